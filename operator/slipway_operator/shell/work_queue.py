"""Workers that run one function for each key that asks for it.

Runs what `schedule` says and nothing else: it knows no Kubernetes and no decisions. Times are those
of the event loop (`loop.time()`), which no change of the wall clock disturbs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

from slipway_operator.shell.schedule import Schedule

K = TypeVar("K", bound=Hashable)

WORKER_COUNT: Final = 16
URGENT_WORKER_COUNT: Final = 2  # free for aborts even while every other worker waits for a timeout

logger = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """A queue of keys with its workers; lives in one event loop, not thread-safe."""

    def __init__(
        self,
        handle: Callable[[K], Awaitable[None]],
        *,
        backoff_s: Callable[[int], float],
        about: Callable[[K], Mapping[str, Any]] = lambda _: {},
        worker_count: int = WORKER_COUNT,
        urgent_worker_count: int = URGENT_WORKER_COUNT,
    ) -> None:
        """`handle` may raise: then its key runs again after `backoff_s(failures in a row)`.

        `about` gives what a log line about a key carries beside its sentence.
        """
        self._handle = handle
        self._about = about
        self._schedule: Schedule[K] = Schedule(backoff_s)
        self._worker_count = worker_count
        self._urgent_worker_count = urgent_worker_count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._since_s: dict[K, float] = {}  # since when a key waits for its next run; oldest first
        self._ended_s = float("-inf")

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Let a key run as soon as may be; urgent keys go first and have workers of their own."""
        self._since_s.setdefault(key, asyncio.get_running_loop().time())
        self._schedule.add(key, urgent=urgent)
        self._dispatch()

    def add_at(self, key: K, when_s: float) -> None:
        """Let a key run at `when_s` of the loop's clock, or earlier if something else asks."""
        self._schedule.add_at(key, when_s)
        self._dispatch()

    def forget(self, key: K) -> None:
        """Drop wake-up time and failures of a key whose object is gone."""
        self._schedule.forget(key)

    @property
    def waiting_count(self) -> int:
        """How many keys could run if a worker were free."""
        return self._schedule.waiting_count

    @property
    def running_count(self) -> int:
        return self._schedule.running_count

    @property
    def oldest_s(self) -> float:
        """How long the key that waits longest has been waiting, also for the end of its own run."""
        if not self._since_s:
            return 0.0
        return asyncio.get_running_loop().time() - next(iter(self._since_s.values()))

    @property
    def stuck_s(self) -> float:
        """Since when there is work of which none has ended; 0 before the queue runs."""
        if self._loop is None or not self._since_s:
            return 0.0
        return min(self.oldest_s, self._loop.time() - self._ended_s)

    async def run(self) -> None:
        """Work until cancelled; runs that are under way are cancelled too and awaited."""
        self._loop = asyncio.get_running_loop()
        self._ended_s = self._loop.time()
        self._dispatch()
        try:
            await self._loop.create_future()
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _dispatch(self) -> None:
        """Start as many runs as there are workers, and set the alarm for the next sleeper."""
        if self._loop is None:
            return
        for woken in self._schedule.wake(self._loop.time()):
            self._since_s.setdefault(woken, self._loop.time())
        while (key := self._next()) is not None:
            self._since_s.pop(key, None)
            task = self._loop.create_task(self._run(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._schedule.next_due_s()
        self._timer = None if due_s is None else self._loop.call_at(due_s, self._dispatch)

    def _next(self) -> K | None:
        count = self._schedule.running_count
        if count < self._worker_count:
            return self._schedule.take()
        if count < self._worker_count + self._urgent_worker_count:
            return self._schedule.take(urgent_only=True)
        return None

    async def _run(self, key: K) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._handle(key)
        except Exception:  # whatever is wrong with one key, the others must go on
            pause_s = self._schedule.fail(key, loop.time())
            extra = self._about(key)
            logger.warning(
                "%s failed, next try in %.1f s", key, pause_s, exc_info=True, extra=extra
            )
        else:
            self._schedule.finish(key)
        self._ended_s = loop.time()
        self._dispatch()
