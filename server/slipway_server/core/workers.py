"""Threads that run inferences. A model that hangs holds a worker, never the event loop.

A running job cannot be stopped; who waits for it may leave.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

_log = logging.getLogger(__name__)
Job = Callable[[], None]


class Workers:
    """A fixed number of daemon threads. All methods belong to the given loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, thread_count: int) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, Job] | None] = SimpleQueue()
        self._running_count = 0
        self._in_line: dict[Callable[[], None], None] = {}  # ordered; one entry for each queue
        # Daemons: a hanging inference must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True)
            for index in range(thread_count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running_count(self) -> int:
        """Jobs that have not ended; a hanging one stays counted."""
        return self._running_count

    @property
    def has_idle(self) -> bool:
        """Whether a thread has nothing to do."""
        return self._running_count < len(self._threads)

    def run(self, job: Job, *, done: Job) -> None:
        """Run a job in an idle thread, then `done` on the loop, also where the job raised.

        Who gives a job sees to its errors: here they are only logged.
        """
        self._running_count += 1
        self._jobs.put((job, done))

    def line_up(self, call: Callable[[], None]) -> None:
        """Call once a thread is idle, after those who stand in line already."""
        self._in_line[call] = None

    def pass_on(self) -> None:
        """Let the next in line have an idle thread, if there is one."""
        if self._in_line and self.has_idle:
            call = next(iter(self._in_line))
            del self._in_line[call]
            call()

    def close(self) -> None:
        """Let the threads end after their jobs; does not wait for them."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (next_job := self._jobs.get()) is not None:
            job, done = next_job
            try:
                job()
            except BaseException:  # noqa: BLE001 - the border; panics of extensions too
                _log.exception("an inference ended outside of what it is made to fail with")
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(self._ended, done)
            # A thread that waits would keep the last job's model in memory.
            del next_job, job, done

    def _ended(self, done: Job) -> None:
        self._running_count -= 1
        self.pass_on()  # first: who has just run may not go again before the others
        done()
