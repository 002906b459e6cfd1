"""A router that nobody reaches is told from one that only the operator does not hear."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.shell.routing import RoutingTable
from tests.contract.router.pods import until
from tests.contract.router.stage import Stage

pytestmark = pytest.mark.contract

OWNER = ("ml", "churn")
LOST_S = 3.0


@pytest.fixture
async def table(stage: Stage) -> AsyncIterator[RoutingTable]:
    """A routing table that watches the stage's one router."""
    stable, _ = await stage.canary(0)
    probe = RouterProbe()
    made = RoutingTable(stage.ads, probe, wake=lambda _: None)
    made.set_routers([(stage.routers[0].name, "127.0.0.1")])
    made.apply(stage.new_traffic(stable))
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await probe.close()


def lost(table: RoutingTable) -> tuple[str, ...]:
    return table.view(OWNER, port=None, published=()).lost


async def test_a_router_that_died_is_lost(stage: Stage, table: RoutingTable) -> None:
    before = lost(table)

    await stage.routers[0].kill()
    await until(lambda: lost(table) == (stage.routers[0].name,), timeout_s=LOST_S)

    assert before == ()


async def test_a_router_without_a_stream_that_answers_clients_is_not_lost(
    stage: Stage, table: RoutingTable
) -> None:
    await stage.xds.stop(0)
    await until(lambda: not stage.ads.routers())
    load = await stage.rest(100)  # a second: what must not happen gets its chance

    assert (load.error_count, lost(table)) == (0, ())


async def test_a_new_operator_does_not_wait_for_a_router_that_nobody_reaches(stage: Stage) -> None:
    """It knows where to ask from the EndpointSlices alone: nothing has been put yet."""
    await stage.canary(0)
    probe = RouterProbe()
    table = RoutingTable(
        stage.ads, probe, wake=lambda _: None, ports=lambda: (stage.port - 1, stage.port)
    )
    table.set_routers([(stage.routers[0].name, "127.0.0.1"), ("cut-off", "127.9.9.9")])
    task = asyncio.create_task(table.run())
    began_s = time.monotonic()
    await table.gather(timeout_s=30.0)
    waited_s = time.monotonic() - began_s
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await probe.close()

    assert waited_s < LOST_S
    assert lost(table) == ("cut-off",)
