"""The life of the process: listen, load, serve, drain, end. Decides no request."""

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from slipway_server.core.dataplane import Dataplane
from slipway_server.core.registry import Registry

T = TypeVar("T")


class Listener(Protocol):
    """What the life cycle needs of the REST listener, and of the one for either protocol."""

    async def start(self) -> None:
        """Accept connections."""

    async def close(self) -> None:
        """Accept nothing more and finish what is in flight."""


class GrpcFront(Protocol):
    """What the life cycle needs of the gRPC listener."""

    async def start(self) -> None:
        """Accept connections."""

    async def close(self, drain_s: float) -> None:
        """Accept nothing more and finish what is in flight, at most so long."""


async def _nothing() -> None:
    pass


class Lifecycle:
    """Runs once, from start to drained."""

    def __init__(
        self,
        dataplane: Dataplane,
        registry: Registry,
        *,
        http: Listener,
        grpc: GrpcFront,
        either: Listener,
        more: Sequence[Listener] = (),
    ) -> None:
        self._dataplane = dataplane
        self._registry = registry
        self._http = http
        self._grpc = grpc
        self._either = either
        self._more = more

    async def run(
        self,
        bring_up: Callable[[], Awaitable[None]],
        stop: asyncio.Event,
        *,
        later: Callable[[], Awaitable[None]] = _nothing,
        grace_s: float,
        drain_s: float,
    ) -> None:
        """Serve until `stop` is set, then drain; the start is over when `bring_up` has returned.

        `later` is what no probe and no inference needs, and is done then.

        Raises what that raises, LoadError above all; nothing was ready then, so nothing is
        drained.
        """
        await self._http.start()
        await self._grpc.start()
        await self._either.start()
        for each in self._more:
            await each.start()
        loading = asyncio.ensure_future(bring_up())
        stopping = asyncio.create_task(stop.wait())
        try:
            either: set[asyncio.Future[Any]] = {loading, stopping}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                self._registry.settle()
                await later()
                freeze_garbage()
                await stopping
                await self._drain(grace_s, drain_s)
        finally:
            stopping.cancel()
            loading.cancel()

    async def _drain(self, grace_s: float, drain_s: float) -> None:
        """Not ready at once; serve on while routers notice; then finish what is in flight."""
        self._dataplane.drain()
        await asyncio.sleep(grace_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await asyncio.gather(
                    self._either.close(),
                    self._http.close(),
                    self._grpc.close(drain_s),
                    *(each.close() for each in self._more),
                )


def freeze_garbage() -> None:
    """Take the loaded program out of the collector's sight: its full passes cost tail latency."""
    gc.collect()
    gc.freeze()


def run_in_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Run blocking work in a daemon thread, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # no error: work's own result

    def target() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as err:  # noqa: BLE001 - belongs to the future's reader
            error = err
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=target, name="loading", daemon=True).start()
    return future


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; repeated signals change nothing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
