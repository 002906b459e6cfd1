"""Vitals: whether this process still works, by its own word alone.

Liveness never asks the API server: one that is away heals without us, and a restart would only cost
what we know. What counts is that the event loop turns and that the queue gets on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 0.25
WINDOW_S: Final = 30.0  # of two scrapes, usually
LAG_S_MAX: Final = 10.0
# Every request of a look has a time limit of at most half a minute, and failed looks end too.
STUCK_S_MAX: Final = 180.0


class Vitals:
    """The pulse of one event loop."""

    def __init__(self, stuck_s: Callable[[], float]) -> None:
        """`stuck_s` tells since when the queue has had work and ended none of it."""
        self._stuck_s = stuck_s
        self._lags: deque[tuple[float, float]] = deque()  # (when, how late), within the window
        self._beat_s: float | None = None

    async def run(self) -> None:
        """Feel the pulse until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.beat(loop.time(), late_s=max(0.0, loop.time() - due_s))

    def beat(self, now_s: float, *, late_s: float) -> None:
        """Take in one beat and how late it came."""
        self._beat_s = now_s
        self._lags.append((now_s, late_s))
        while self._lags[0][0] < now_s - WINDOW_S:
            self._lags.popleft()

    @property
    def lag_s(self) -> float:
        """The longest that the event loop let something wait in the last half minute."""
        return max((late_s for _, late_s in self._lags), default=0.0)

    def trouble(self, now_s: float) -> str | None:
        """Say what a restart would mend; None if there is nothing."""
        if self._beat_s is not None and now_s - self._beat_s > LAG_S_MAX:
            return f"the event loop has not turned for {now_s - self._beat_s:.0f} s"
        stuck_s = self._stuck_s()
        if stuck_s > STUCK_S_MAX:
            return f"the queue has work and has ended none of it for {stuck_s:.0f} s"
        return None
