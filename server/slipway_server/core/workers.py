"""Threads that run inferences, with a bounded queue in front.

A model that hangs holds a worker, never the event loop: health and metrics go on. A job whose
caller has gone is dropped while it waits; a running one cannot be stopped, its result is lost.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from slipway_server.core.errors import ErrorKind, ServingError

T = TypeVar("T")


class _Job:
    __slots__ = ("future", "has_left_queue", "work")

    def __init__(self, work: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        self.work = work
        self.future = future
        self.has_left_queue = False


class Workers:
    """A fixed number of daemon threads. `run` must be called on the given loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, thread_count: int, queue_max: int
    ) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the two counts and `has_left_queue`
        self._waiting_count = 0
        self._running_count = 0
        self._open_count_max = thread_count + queue_max
        # Daemons: a hanging inference must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True)
            for index in range(thread_count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting_count(self) -> int:
        """Jobs that no thread has taken yet."""
        return self._waiting_count

    @property
    def running_count(self) -> int:
        """Jobs in a thread; a hanging one stays counted."""
        return self._running_count

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in a thread; OVERLOADED at once when the queue is full."""
        job = _Job(work, self._loop.create_future())
        with self._lock:
            if self._waiting_count + self._running_count >= self._open_count_max:
                raise ServingError(
                    ErrorKind.OVERLOADED,
                    f"{self._waiting_count} requests wait already; try again later",
                )
            self._waiting_count += 1
        self._jobs.put(job)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            self._drop(job)
            raise
        return result

    def close(self) -> None:
        """Let the threads end after the jobs in the queue; does not wait for them."""
        for _ in self._threads:
            self._jobs.put(None)

    def _drop(self, job: _Job) -> None:
        with self._lock:
            if not job.has_left_queue:
                job.has_left_queue = True
                self._waiting_count -= 1

    def _take(self, job: _Job) -> bool:
        with self._lock:
            if job.has_left_queue:
                return False
            job.has_left_queue = True
            self._waiting_count -= 1
            self._running_count += 1
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._take(job):
                continue
            result, error = None, None
            try:
                result = job.work()
            except BaseException as err:  # noqa: BLE001 - belongs to the caller, who awaits it
                error = err
            with self._lock:
                self._running_count -= 1
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(_settle, job.future, result, error)


def _settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():  # the caller has gone
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
