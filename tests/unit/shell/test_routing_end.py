"""How the routing table ends."""

import asyncio
from typing import Any

from slipway_operator.shell.routing import RoutingTable
from tests import builders


class Routers:
    """Routers of which none is there."""

    def routers(self) -> tuple[Any, ...]:
        return ()

    def put(self, *_: object) -> None:
        """Take what is pushed."""


async def test_a_table_that_is_told_to_end_while_routers_change_ends() -> None:
    routers: Any = Routers()
    table = RoutingTable(routers, routers, wake=lambda _: None)
    table.apply(builders.traffic(is_logged=True))  # as during a rollout
    running = asyncio.create_task(table.run())
    await asyncio.sleep(0.01)  # until it waits for a change

    table.changed()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=2)

    assert done
