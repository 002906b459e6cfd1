"""Which key runs next: lanes, wake-up times and failures per key, as plain data.

Synchronous and without a clock: every method that needs the time takes it. Knows nothing of what a
key means and of what running it does.
"""

import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Schedule(Generic[K]):
    """Keys that wait, keys that run.

    A key waits at most once, runs at most once at a time, and runs again if it was added while it
    ran. Urgent keys go first. Each run takes the key's wake-up time with it: whoever runs it says
    afresh when to look again.
    """

    def __init__(self, backoff_s: Callable[[int], float]) -> None:
        """`backoff_s` gives the pause after the n-th failure in a row (from 1), jitter included."""
        self._backoff_s = backoff_s
        self._urgent: dict[K, None] = {}  # dictionaries as sets that keep the order
        self._ready: dict[K, None] = {}
        self._running: set[K] = set()
        self._again: dict[K, bool] = {}  # added while running; True: urgently
        self._due_s: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []  # entries that disagree with _due_s are dead
        self._sequence = 0
        self._failures: dict[K, int] = {}

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Let a key run as soon as may be."""
        if key in self._running:
            self._again[key] = self._again.get(key, False) or urgent
        elif urgent:
            self._ready.pop(key, None)
            self._urgent[key] = None
        elif key not in self._urgent:
            self._ready[key] = None

    def add_at(self, key: K, when_s: float) -> None:
        """Let a key run at a time; of several times the earliest holds."""
        if when_s < self._due_s.get(key, float("inf")):
            self._due_s[key] = when_s
            self._sequence += 1  # keys need not be comparable
            heapq.heappush(self._heap, (when_s, self._sequence, key))

    def wake(self, now_s: float) -> list[K]:
        """Let every key run whose time has come; gives these keys."""
        woken = []
        while (due_s := self.next_due_s()) is not None and due_s <= now_s:
            _, _, key = heapq.heappop(self._heap)
            del self._due_s[key]
            self.add(key)
            woken.append(key)
        return woken

    def take(self, *, urgent_only: bool = False) -> K | None:
        """Start the next key; None if nothing may run now."""
        lane = self._urgent or (self._ready if not urgent_only else {})
        if not lane:
            return None
        key = next(iter(lane))
        del lane[key]
        self._due_s.pop(key, None)
        self._running.add(key)
        return key

    def finish(self, key: K) -> None:
        """Note that a run ended well."""
        self._failures.pop(key, None)
        self._end(key)

    def fail(self, key: K, now_s: float) -> float:
        """Note that a run failed; gives the pause until the next try in seconds."""
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        pause_s = self._backoff_s(count)
        self._end(key)
        self.add_at(key, now_s + pause_s)
        return pause_s

    def forget(self, key: K) -> None:
        """Drop wake-up time and failures of a key whose object is gone; a run goes on."""
        self._due_s.pop(key, None)
        self._failures.pop(key, None)

    def next_due_s(self) -> float | None:
        """Tell when the earliest sleeping key wakes up."""
        while self._heap and self._due_s.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    @property
    def waiting_count(self) -> int:
        """How many keys could run if a worker were free."""
        return len(self._urgent) + len(self._ready)

    @property
    def running_count(self) -> int:
        return len(self._running)

    def _end(self, key: K) -> None:
        self._running.discard(key)
        if (urgent := self._again.pop(key, None)) is not None:
            self.add(key, urgent=urgent)
