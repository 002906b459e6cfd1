"""Weights, through the real Envoy: how exact, how fast, at what cost."""

import asyncio
from dataclasses import replace

import pytest

from slipway_operator.adapters.router_probe import RouterProbe
from tests.contract.router.stage import OWNER, Stage

pytestmark = pytest.mark.contract


async def _shown(stage: Stage, probe: RouterProbe, expected: str) -> float:
    """Wait until the router shows the configuration; returns the seconds that took."""
    began_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(2):
        while await probe.shown("127.0.0.1", stage.port) != expected:
            await asyncio.sleep(0.005)
    return asyncio.get_running_loop().time() - began_s


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_shares_follow_the_weight(stage: Stage, protocol: str) -> None:
    await stage.canary(25)

    load = await (stage.rest if protocol == "rest" else stage.rpc)(400, rate=400)

    # Binomial: 100 expected, standard deviation 8.7; five of them.
    assert 57 <= load.revisions["r2"] <= 143
    assert load.revisions["r1"] + load.revisions["r2"] == 400


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_every_answer_names_the_router_that_carried_it(stage: Stage, protocol: str) -> None:
    await stage.canary(50)

    load = await (stage.rest if protocol == "rest" else stage.rpc)(20)

    assert load.routers == {stage.routers[0].name: 20}


async def test_weights_change_under_load_without_an_error(stage: Stage) -> None:
    stable, candidate = await stage.canary(0)
    traffic = stage.new_traffic(stable, candidate)
    probe = RouterProbe()
    rest = asyncio.create_task(stage.rest(400, rate=100))
    rpc = asyncio.create_task(stage.rpc(400, rate=100))

    hashes = set()
    while not rest.done():
        weight = (len(hashes) * 7) % 101
        changed = replace(traffic, weight_percent=weight, salt=str(len(hashes)))
        shown = stage.put(changed)
        await _shown(stage, probe, shown)
        hashes.add(shown)
    await probe.close()

    assert ((await rest).error_count, (await rpc).error_count) == (0, 0)
    assert len(hashes) >= 30
    # Every answer names the configuration that chose its revision.
    assert set((await rest).configs) <= hashes | {stage.first_hash}


async def test_weight_zero_is_effective_once_the_router_shows_it(stage: Stage) -> None:
    stable, candidate = await stage.canary(100)
    probe = RouterProbe()
    await stage.rest(20)

    shown = stage.put(stage.new_traffic(stable, candidate))
    await _shown(stage, probe, shown)
    await probe.close()
    seen_before = candidate.seen_count
    load = await stage.rest(60)

    assert load.error_count == 0
    assert seen_before == candidate.seen_count


async def test_a_lowered_weight_does_not_wait_for_new_clusters(stage: Stage) -> None:
    """A third revision that no router can warm must not delay the second one's end."""
    stable, candidate = await stage.canary(50)
    third = await stage.revision()
    lowered = replace(
        stage.new_traffic(stable, third),
        drain=(candidate.backend(),),
    )

    shown = stage.put(lowered)
    async with asyncio.timeout(1):
        while stage.ads.routers()[0].acked[OWNER] != shown:
            await asyncio.sleep(0.005)

    assert dict((await stage.rest(20)).revisions) == {"r1": 20}


async def test_probe_answers_nothing_where_nobody_listens() -> None:
    probe = RouterProbe()

    assert await probe.shown("127.0.0.1", 1) is None
    await probe.close()
