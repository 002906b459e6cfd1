"""The queue in front of a model: bounded, by rows, and without a timer.

Whatever arrived while the workers were busy runs together next; a request that finds one idle goes
at once. A delay, if somebody sets one, holds a batch that is not full for so long. A request whose
deadline cannot be met is shed when it arrives, so that it may be tried elsewhere in time. Models
share the threads in turn.

Used from one event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from slipway_server.backends.base import Backend
from slipway_server.core import batching
from slipway_server.core.batching import Entry
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.workers import Job, Workers

_log = logging.getLogger(__name__)
_SMOOTHING: Final = 0.2  # of what a batch takes; some five batches back
_SERIES_NS: Final = 500_000  # runs that go to a worker together end within this time of each other


@dataclass(frozen=True, slots=True)
class Limits:
    """How requests wait. `row_count_max` 1 means that none run together.

    `waiting_rows_max`: more are shed, but one request may always wait. `delay_s`: for how long a
    batch that is not full is held.
    """

    row_count_max: int = 32
    waiting_rows_max: int = 256
    delay_s: float = 0.0


class Scheduler:
    """Runs the requests of one model."""

    def __init__(
        self,
        workers: Workers,
        backend: Backend,
        limits: Limits,
        *,
        observe: Callable[[Sequence[Entry]], None],
        now_ns: Callable[[], int],
        proof_count: int = 2,
    ) -> None:
        """`observe` is told of each batch that has run.

        Requests run alone until `proof_count` of them have shown that rows do not mix.
        """
        self._workers, self._backend, self._limits = workers, backend, limits
        self._observe, self._now_ns = observe, now_ns
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Entry] = deque()
        self._waiting_rows = 0
        self._running_count = 0
        self._calm = asyncio.Event()
        self._is_woken = False
        self._proofs_wanted = proof_count if limits.row_count_max > 1 else 0
        self._is_shared = limits.row_count_max > 1 and not proof_count
        self._batch_ns = 0.0
        self._batch_rows = 1.0

    @property
    def waiting_count(self) -> int:
        """Requests that no worker has taken yet."""
        return len(self._waiting)

    @property
    def waiting_rows(self) -> int:
        """Their rows."""
        return self._waiting_rows

    @property
    def running_count(self) -> int:
        """Batches that have not ended; one that hangs stays counted."""
        return self._running_count

    async def drained(self) -> None:
        """Wait until nothing waits and nothing runs; who calls says for how long."""
        while self._waiting or self._running_count:
            self._calm.clear()
            await self._calm.wait()

    def submit(self, entry: Entry, done: Callable[[], None]) -> None:
        """Let an entry run, then call `done` unless it was dropped; raises OVERLOADED at once."""
        self._admit(entry)
        entry.done = done
        self._waiting.append(entry)
        self._waiting_rows += entry.row_count
        self.wake()

    def drop(self, entry: Entry) -> None:
        """Forget an entry whose client has gone; what runs already ends for nobody."""
        entry.done = None
        if entry in self._waiting:
            self._take([entry])
            self._note_calm()

    def wake(self) -> None:
        """Look for work once everything that has arrived by now is in the queue."""
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._dispatch)

    def _admit(self, entry: Entry) -> None:
        """Shed only behind others: what batches take is learned by running them."""
        if not self._waiting:
            return
        if self._waiting_rows + entry.row_count > self._limits.waiting_rows_max:
            raise _overloaded(f"{self._waiting_rows} rows wait already")
        if entry.deadline_ns is not None:
            lasts_ns = self._batch_ns * (1 + self._waiting_rows / self._batch_rows)
            if self._now_ns() + lasts_ns > entry.deadline_ns:
                raise _overloaded("the queue is longer than the client waits")

    def _dispatch(self) -> None:
        self._is_woken = False
        while self._waiting and self._workers.has_idle:
            self._fail_late()
            if not self._waiting or self._is_held():
                break
            batch = self._choose()
            self._take(batch)
            self._running_count += 1
            self._workers.run(self._job(batch), done=partial(self._ended, batch))
        if self._workers.has_idle:
            self._workers.pass_on()
        elif self._waiting:
            self._workers.line_up(self.wake)

    def _job(self, batch: Sequence[Entry]) -> Job:
        if self._proofs_wanted:
            return partial(batching.prove, self._backend, batch[0])
        return partial(batching.compute, self._backend, batch, is_shared=self._is_shared)

    def _choose(self) -> list[Entry]:
        """The next batch. Without any, as many short runs as one may wait for the others' ends.

        Handing work to a thread and back costs more than a small model.
        """
        if self._proofs_wanted:
            return [self._waiting[0]]
        if self._is_shared:
            return batching.choose(self._waiting, self._limits.row_count_max)
        run_ns = self._batch_ns / self._batch_rows
        count = max(1, int(_SERIES_NS / run_ns)) if run_ns else 1
        return list(islice(self._waiting, count))

    def _is_held(self) -> bool:
        """Whether the next batch waits for more, and if so, for how much longer at most."""
        if not self._is_shared or not self._limits.delay_s:
            return False
        if self._waiting_rows >= self._limits.row_count_max:
            return False
        waited_s = (self._now_ns() - self._waiting[0].queued_ns) / 1e9
        if waited_s >= self._limits.delay_s:
            return False
        self._loop.call_later(self._limits.delay_s - waited_s, self.wake)
        return True

    def _take(self, batch: Sequence[Entry]) -> None:
        if len(batch) == len(self._waiting):
            self._waiting.clear()
        else:
            taken = set(batch)
            self._waiting = deque(entry for entry in self._waiting if entry not in taken)
        self._waiting_rows -= sum([entry.row_count for entry in batch])

    def _fail_late(self) -> None:
        """Answer those whose clients have given up by now, instead of computing for nobody."""
        now_ns = self._now_ns()
        late = [e for e in self._waiting if e.deadline_ns is not None and e.deadline_ns <= now_ns]
        if late:
            self._take(late)
            for entry in late:
                entry.error = _overloaded("the request waited for as long as the client does")
                _settle(entry)
            self._note_calm()

    def _fail_broken(self, batch: Sequence[Entry]) -> None:
        """Fail those whose job raised before it came to them."""
        now_ns = self._now_ns()
        for entry in batch:
            if not entry.ended_ns:
                entry.error = _broken()
                entry.began_ns = entry.ended_ns = now_ns

    def _ended(self, batch: Sequence[Entry]) -> None:
        if not batch[-1].ended_ns:
            self._fail_broken(batch)
        spent_ns = batch[-1].ended_ns - batch[0].began_ns
        rows = sum([entry.row_count for entry in batch])
        weight = _SMOOTHING if self._batch_ns else 1.0
        self._batch_ns += weight * (spent_ns - self._batch_ns)
        self._batch_rows += weight * (max(rows, 1) - self._batch_rows)
        self._learn(batch[0].proof)
        for entry in batch:
            _settle(entry)
        self._observe(batch)  # behind the answers
        self._running_count -= 1
        if self._waiting:
            self.wake()
        self._note_calm()

    def _learn(self, proof: bool | None) -> None:
        if proof is None or not self._proofs_wanted:
            return
        self._proofs_wanted = self._proofs_wanted - 1 if proof else 0
        self._is_shared = proof and not self._proofs_wanted
        if not proof:
            _log.warning("rows of this model change each other's outputs: none will run together")

    def _note_calm(self) -> None:
        if not self._waiting and not self._running_count:
            self._calm.set()


def _settle(entry: Entry) -> None:
    done, entry.done = entry.done, None
    if done is not None:  # else the caller has gone
        done()


def _overloaded(why: str) -> ServingError:
    return ServingError(ErrorKind.OVERLOADED, f"{why}; try again later")


def _broken() -> ServingError:
    message = "the inference did not come to its end, see the server's log"
    return ServingError(ErrorKind.INTERNAL, message)
