"""Telling clients that went away from pods that did not answer.

Envoy's record of an attempt is the same for both if the router itself ended the attempt (no
status, no flag) and if the pod gave up at the client's own deadline. Only the client's own record,
in the other log, says that the client left. The two logs come on two streams in any order, so such
an attempt waits a moment for that record.

Pure: time is passed in, nothing is sent.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Final

from slipway_operator.engine.attempts import Attempt

# Both logs are flushed every 0.1 s; the rest is for a busy operator.
WAIT_S: Final = 0.5
KEPT_S: Final = 5.0
KEPT_COUNT: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Held:
    request: tuple[str, str]
    due_s: float
    attempt: Attempt


class ClientCuts:
    """Attempts that wait, and requests whose clients left; `request` is (router, request id)."""

    def __init__(self) -> None:
        self._cuts: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._held: deque[_Held] = deque()

    @property
    def due_at_s(self) -> float | None:
        """Tell when the oldest waiting attempt has waited enough."""
        return self._held[0].due_s if self._held else None

    def client_left(self, request: tuple[str, str], now_s: float) -> None:
        """Note that a request's client went away."""
        self._cuts[request] = now_s
        while len(self._cuts) > KEPT_COUNT or next(iter(self._cuts.values())) < now_s - KEPT_S:
            self._cuts.popitem(last=False)

    def hold(self, request: tuple[str, str], attempt: Attempt, now_s: float) -> None:
        """Let an attempt wait for its client's record."""
        self._held.append(_Held(request, now_s + WAIT_S, attempt))

    def release(self, now_s: float) -> list[Attempt]:
        """Give out the attempts that are known to be cut, and those that have waited enough."""
        ready: list[Attempt] = []
        waiting: deque[_Held] = deque()
        for held in self._held:
            if held.request in self._cuts:
                ready.append(replace(held.attempt, is_cut_by_client=True))
            elif held.due_s <= now_s or len(waiting) >= KEPT_COUNT:
                ready.append(held.attempt)
            else:
                waiting.append(held)
        self._held = waiting
        return ready
