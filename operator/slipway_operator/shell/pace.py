"""Pace: who may write next, so that all status writes together spare the API server.

No more than `RATE_MAX` begin in any second. What waits goes by rank, then in the order in which it
asked. Like `schedule` it only keeps account: times are given, nobody is woken here.
"""

import heapq
from collections import deque
from collections.abc import Hashable
from enum import IntEnum
from typing import Final, NamedTuple

RATE_MAX: Final = 20  # writes a second, over all ModelDeployments
WINDOW_S: Final = 1.0
NUMBERS_MAX: Final = RATE_MAX // 2  # what numbers leave of the window is free for words


class Rank(IntEnum):
    """What a status says that it did not say before; the lower goes first."""

    LOWERING = 0
    WORDS = 1


class Turn(NamedTuple):
    """A place in the line."""

    rank: Rank
    number: int


class Pace:
    """The account of one process; `now_s` is of a clock that never runs backwards."""

    def __init__(self) -> None:
        self._begun_s: deque[float] = deque(maxlen=RATE_MAX)
        self._line: list[Turn] = []
        self._count = 0
        self._due_s: dict[Hashable, float] = {}
        self._due_s_last = 0.0

    def numbers_wait_s(self, key: Hashable, now_s: float) -> float:
        """Tell how long a write of numbers alone has to wait; 0 takes the place at once.

        Numbers stand in no line, there will be newer ones: each key is told a time of its own to
        come again, so that many do not come at once, and keeps it however often it asks.
        """
        due_s = self._due_s.get(key, now_s)
        if due_s <= now_s:
            if self._has_room_for_numbers(now_s):
                self._due_s.pop(key, None)
                self._begun_s.append(now_s)
                return 0.0
            due_s = max(self._due_s_last, now_s) + WINDOW_S / NUMBERS_MAX
            self._due_s[key] = self._due_s_last = due_s
        return due_s - now_s

    def _has_room_for_numbers(self, now_s: float) -> bool:
        begun_s = self._begun_s
        is_calm = len(begun_s) < NUMBERS_MAX or begun_s[-NUMBERS_MAX] + WINDOW_S <= now_s
        return is_calm and not self._line

    def forget(self, key: Hashable) -> None:
        """Drop the time that a key was told: it has written, or is gone."""
        self._due_s.pop(key, None)

    def stand(self, rank: Rank) -> Turn:
        """Stand in line, which is as long as there are workers; `give` says when to go."""
        self._count += 1
        turn = Turn(rank, self._count)
        heapq.heappush(self._line, turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Leave the line, if one still stands in it."""
        if turn in self._line:
            self._line.remove(turn)
            heapq.heapify(self._line)

    def give(self, now_s: float) -> tuple[list[Turn], float | None]:
        """Let go who may; tells also after how many seconds to ask again, None if nobody waits."""
        given: list[Turn] = []
        while self._line:
            if len(self._begun_s) == RATE_MAX:
                wait_s = self._begun_s[0] + WINDOW_S - now_s
                if wait_s > 0:
                    return given, wait_s
            given.append(heapq.heappop(self._line))
            self._begun_s.append(now_s)
        return given, None
