"""The operator's side of the stream: restarts, refusals, several routers, strangers."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from slipway_api import names
from slipway_operator.render import envoy
from tests.contract.router.pods import until
from tests.contract.router.stage import OWNER, SETTINGS, Stage, admin

pytestmark = pytest.mark.contract


async def _reconnected(stage: Stage) -> None:
    await until(lambda: stage.ads.routers(), timeout_s=5)


async def test_restart_with_the_same_state_sends_nothing_and_loses_nothing(stage: Stage) -> None:
    stable, candidate = await stage.canary(30)
    traffic = replace(stage.new_traffic(stable, candidate), weight_percent=30)
    before = await admin(stage, "/stats?filter=update_(success|rejected)$")
    assert "http.router.rds" in before
    load = asyncio.create_task(stage.rest(200))

    await stage.xds.stop(0)
    await asyncio.sleep(0.2)
    await stage.open(is_released=False)
    shown = stage.put(traffic)
    stage.ads.release()
    await _reconnected(stage)
    assert await stage.ads.settled(OWNER)

    assert (await load).error_count == 0
    assert shown == stage.ads.routers()[0].acked[OWNER]
    assert before == await admin(stage, "/stats?filter=update_(success|rejected)$")


async def test_restart_with_nothing_known_yet_keeps_traffic(stage: Stage) -> None:
    stable, candidate = await stage.canary(30)
    load = asyncio.create_task(stage.rest(300))

    await stage.xds.stop(0)
    await stage.open(is_released=False)
    await _reconnected(stage)
    await until(lambda: OWNER in stage.ads.unknown_owners())
    # Routers tell what they have kind by kind, clusters first.
    await until(lambda: OWNER in stage.ads.routers()[0].acked)
    acked_while_held = stage.ads.routers()[0].acked[OWNER]
    stage.ads.release()
    await asyncio.sleep(0.3)  # what must not happen gets its chance
    still_unknown = stage.ads.unknown_owners()
    stage.put(stage.new_traffic(stable, candidate))
    assert await stage.ads.settled(OWNER)

    assert (await load).error_count == 0
    assert stage.first_hash == acked_while_held
    assert {OWNER} == still_unknown


async def test_only_a_confirmed_removal_takes_a_listener_away(stage: Stage) -> None:
    await stage.canary(0)
    await stage.xds.stop(0)
    await stage.open()
    await _reconnected(stage)
    await until(lambda: OWNER in stage.ads.unknown_owners())
    served = await stage.rest(3)

    stage.ads.confirm_removed(OWNER)
    assert await stage.ads.settled(OWNER)
    refused = await stage.rest(3)
    await until(lambda: not stage.ads.unknown_owners())

    assert (served.error_count, refused.error_count) == (0, 3)
    async with asyncio.timeout(2):
        while "ml~churn" in await admin(stage, "/clusters"):
            await asyncio.sleep(0.02)


async def test_router_without_any_deployment_gets_ready_only_after_release(stage: Stage) -> None:
    await stage.xds.stop(0)
    await stage.open(is_released=False)
    router = await stage.router()
    await until(lambda: stage.ads.routers())
    await asyncio.sleep(0.3)  # what must not happen gets its chance
    was_ready = await router.is_ready()

    stage.ads.release()
    await stage.ready(router)

    assert not was_ready


async def test_a_refused_listener_is_reported_and_the_rest_goes_on(stage: Stage) -> None:
    stable, candidate = await stage.canary(0)
    thief = replace(stage.new_traffic(stable), name="thief")

    stage.ads.put("ml/thief", envoy.resources(thief, settings=SETTINGS))
    await until(lambda: stage.ads.nacks())
    shown = await stage.set(replace(stage.new_traffic(stable, candidate), weight_percent=10))

    (nack, *_) = stage.ads.nacks()
    assert (nack.router, nack.resources) == ("router-0", ("ml/thief",))
    assert "address" in nack.message
    assert not await stage.ads.settled("ml/thief", timeout_s=0.1)
    assert shown == stage.ads.routers()[0].acked[OWNER]
    assert (await stage.rest(5)).error_count == 0


async def test_a_listener_gets_the_address_of_one_that_is_confirmed_to_be_gone(
    stage: Stage,
) -> None:
    """As after a restart of the operator: the deployment ended meanwhile, its port looks free."""
    stable, _ = await stage.canary(0)
    await stage.xds.stop(0)
    await stage.open()
    await _reconnected(stage)
    await until(lambda: OWNER in stage.ads.unknown_owners())
    heir = replace(stage.new_traffic(stable), name="heir")
    stage.ads.put("ml/heir", envoy.resources(heir, settings=SETTINGS))
    await until(lambda: stage.ads.nacks())

    stage.ads.confirm_removed(OWNER)

    assert await stage.ads.settled("ml/heir")
    assert (await stage.rest(3)).error_count == 0


async def test_two_routers_are_both_served_and_told_apart(stage: Stage) -> None:
    stable, candidate = await stage.canary(0)
    second = await stage.router("router-1")
    await until(lambda: len(stage.ads.routers()) == 2)

    shown = await stage.set(replace(stage.new_traffic(stable, candidate), weight_percent=10))
    before = {router.node_id: router.acked.get(OWNER) for router in stage.ads.routers()}
    await second.kill()
    await until(lambda: len(stage.ads.routers()) == 1)

    assert {"router-0": shown, "router-1": shown} == before


async def test_a_revision_that_is_gone_leaves_the_router(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    load = asyncio.create_task(stage.rest(100))

    await stage.set(replace(stage.new_traffic(stable), drain=(candidate.backend(),)))
    assert "ml~churn~r2" in await admin(stage, "/clusters")
    await stage.set(stage.new_traffic(stable))

    async with asyncio.timeout(3):
        while "ml~churn~r2" in await admin(stage, "/clusters"):
            await asyncio.sleep(0.02)
    assert (await load).error_count == 0


async def test_a_new_deployment_answers_on_its_own_port(stage: Stage) -> None:
    stable, _ = await stage.canary(0)
    other = replace(stage.new_traffic(stable), namespace="shop", port=stage.other_port)

    stage.ads.put("shop/churn", envoy.resources(other, settings=SETTINGS))
    assert await stage.ads.settled("shop/churn")

    url = f"http://127.0.0.1:{stage.other_port}{names.CONFIG_PATH}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert envoy.config_hash(other) == await answer.text()
