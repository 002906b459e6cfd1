"""Start, load, drain: in the order that loses no request."""

import asyncio
import threading
from typing import NoReturn

import pytest

from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import LoadError
from slipway_server.core.registry import Registry
from slipway_server.core.workers import Workers
from slipway_server.lifecycle import Lifecycle, run_in_thread

GRACE_S = 0.05
DRAIN_S = 0.2


class Listener:
    """A front end that keeps what it was told and whether the server was ready then."""

    def __init__(self, dataplane: Dataplane, close_s: float = 0.0) -> None:
        self.dataplane = dataplane
        self.close_s = close_s
        self.told: list[tuple[str, bool, float]] = []

    def note(self, word: str) -> None:
        now = asyncio.get_running_loop().time()
        self.told.append((word, self.dataplane.is_ready, now))

    async def start(self) -> None:
        self.note("start")

    async def close(self, drain_s: float = 0.0) -> None:
        self.note("close")
        await asyncio.sleep(self.close_s)
        self.note("closed")


@pytest.fixture
async def house():
    registry = Registry()
    workers = Workers(asyncio.get_running_loop(), thread_count=1)
    yield registry, Dataplane(registry, workers)
    workers.close()


async def run(house, load, stop, *, close_s=0.0) -> list[tuple[str, bool, float]]:
    registry, dataplane = house

    async def bring_up() -> None:
        registry.publish([await run_in_thread(load)])

    http, grpc = Listener(dataplane, close_s), Listener(dataplane)
    either = Listener(dataplane)
    await Lifecycle(dataplane, registry, http=http, grpc=grpc, either=either).run(
        bring_up, stop, grace_s=GRACE_S, drain_s=DRAIN_S
    )
    return http.told


async def test_readiness_goes_at_once_and_listeners_only_after_the_grace(house, make_model):
    _, dataplane = house
    stop = asyncio.Event()
    running = asyncio.create_task(run(house, lambda: make_model("m", "1"), stop))
    async with asyncio.timeout(5):
        while not dataplane.is_ready:
            await asyncio.sleep(0.001)

    stopped_at = asyncio.get_running_loop().time()
    stop.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    was_ready = dataplane.is_ready
    told = await running

    assert not was_ready
    assert [word for word, _, _ in told] == ["start", "close", "closed"]
    assert told[1][2] - stopped_at >= GRACE_S


async def test_what_is_in_flight_does_not_hold_the_end_for_ever(house, make_model):
    stop = asyncio.Event()
    running = asyncio.create_task(run(house, lambda: make_model("m", "1"), stop, close_s=60))
    async with asyncio.timeout(5):
        while not house[1].is_ready:
            await asyncio.sleep(0.001)
    stop.set()

    async with asyncio.timeout(GRACE_S + DRAIN_S + 1):
        assert "closed" not in [word for word, _, _ in await running]


async def test_a_stop_while_the_model_loads_ends_at_once(house):
    stop = asyncio.Event()
    stop.set()
    release = threading.Event()

    async with asyncio.timeout(1):
        told = await run(house, lambda: release.wait(5), stop)
    release.set()

    assert [word for word, _, _ in told] == ["start"]


async def test_a_model_that_cannot_be_loaded_ends_the_run(house):
    def load() -> NoReturn:
        raise LoadError("no such model")

    with pytest.raises(LoadError, match="no such model"):
        await run(house, load, asyncio.Event())
