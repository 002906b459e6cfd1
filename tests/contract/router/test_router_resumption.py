"""A new control plane meets routers that the one before left with a lower weight."""

import asyncio
from dataclasses import replace

import pytest

from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.engine.traffic import SHUT, Opening
from slipway_operator.shell.routing import RoutingTable
from tests.contract.router.pods import until
from tests.contract.router.stage import OWNER, Stage

pytestmark = pytest.mark.contract


async def successor(stage: Stage) -> RoutingTable:
    """Start the control plane anew, held, and wait for its routers."""
    await stage.xds.stop(0)
    await stage.open(is_released=False)
    table = RoutingTable(stage.ads, RouterProbe(), wake=lambda _: None)
    table.set_routers([(router.name, "127.0.0.1") for router in stage.routers])
    await table.gather(timeout_s=5)
    return table


@pytest.mark.parametrize("lowered", [0, 5, 49])
async def test_a_lower_weight_is_read_from_what_routers_have(stage: Stage, lowered: int) -> None:
    stable, candidate = await stage.canary(50)
    asked = replace(stage.new_traffic(stable, candidate), weight_percent=50)
    await stage.set(replace(asked, weight_percent=lowered))

    table = await successor(stage)

    assert all(router.is_complete for router in stage.ads.routers())
    assert table.found(asked) == Opening(lowered)
    assert table.found(replace(asked, weight_percent=lowered)) is None


async def test_routes_without_a_rollout_give_the_candidate_nothing(stage: Stage) -> None:
    """The rollout was over, but the status did not hear of it."""
    stable, candidate = await stage.canary(50, per_try_timeout_s=1.5)
    asked = replace(stage.new_traffic(stable, candidate), weight_percent=50, per_try_timeout_s=1.5)
    await stage.set(replace(stage.new_traffic(stable), salt=""))

    assert (await successor(stage)).found(asked) == SHUT


async def test_a_candidate_that_had_become_stable_is_not_lowered(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    asked = replace(stage.new_traffic(stable, candidate), weight_percent=100)
    await stage.set(replace(stage.new_traffic(candidate), salt=""))

    assert (await successor(stage)).found(asked) is None


async def test_while_it_is_found_out_clients_get_what_routers_had(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    asked = replace(stage.new_traffic(stable, candidate), weight_percent=50)
    await stage.set(replace(asked, weight_percent=0))
    load = asyncio.create_task(stage.rest(200))

    table = await successor(stage)
    stage.put(asked.opened(table.found(asked) or SHUT))
    stage.ads.release()
    assert await stage.ads.settled(OWNER)

    answered = await load
    assert answered.error_count == 0
    assert answered.revisions[candidate.name] == 0


async def test_an_operator_that_lost_the_lease_steers_no_router(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    shown = stage.ads.routers()[0].acked[OWNER]

    stage.is_holder = False
    stage.put(replace(stage.new_traffic(stable, candidate), weight_percent=100))
    await until(lambda: not stage.ads.routers(), timeout_s=5)
    served = await stage.rest(100)
    assert set(served.configs) == {shown}

    stage.is_holder = True  # and when it holds it again, routers are back within seconds
    await until(lambda: stage.ads.routers(), timeout_s=5)
    assert await stage.ads.settled(OWNER)
    assert (await stage.rest(20)).revisions[candidate.name] == 20
