"""Attempts that have begun and not ended: a candidate that hangs leaves no other trace.

A router logs an attempt's end only when it ends, so an attempt that stays open beyond the per-try
timeout counts as failed, once; its later end says nothing new. Ages are taken between ticks of the
operator, because a router's clock may be off. Every table has a bound: beyond it attempts count at
their end only.
"""

from typing import Final, Generic, TypeVar

OPEN_MAX: Final = 10_000
SETTLED_MAX: Final = 10_000
EARLY_MAX: Final = 10_000
EARLY_KEPT_S: Final = 5.0  # how much later than its end the record of a start may arrive

Origin = TypeVar("Origin")


class Flights(Generic[Origin]):
    """Open attempts by key; `Origin` is whatever the caller wants back when one is overdue."""

    __slots__ = ("_begun", "_early", "_early_old", "_now_s", "_open", "_settled", "_turned_s")

    def __init__(self) -> None:
        self._begun: dict[str, tuple[Origin, float]] = {}  # since the last tick
        self._open: dict[str, tuple[Origin, float]] = {}  # with the time from which they age
        self._settled: dict[str, None] = {}  # counted or excused: their ends are ignored
        self._early: set[str] = set()  # ended before their start was seen
        self._early_old: set[str] = set()
        self._now_s, self._turned_s = 0.0, 0.0

    def begin(self, key: str, origin: Origin, *, began_at_s: float) -> None:
        """Note the start of an attempt that is not known yet; beyond the bound it is left out."""
        assert not self.is_known(key), key
        if len(self) < OPEN_MAX:
            self._begun[key] = (origin, began_at_s)

    def is_known(self, key: str) -> bool:
        """Whether a start was noted, or is no longer of interest."""
        return (
            key in self._begun
            or key in self._open
            or key in self._settled
            or key in self._early
            or key in self._early_old
        )

    def end(self, key: str) -> Origin | None:
        """Note an end and return the origin, None if no start was noted."""
        begun = self._begun.pop(key, None) or self._open.pop(key, None)
        if begun is not None:
            return begun[0]
        if len(self._early) < EARLY_MAX:
            self._early.add(key)
        return None

    def take_settled(self, key: str) -> bool:
        """Whether an attempt that ends now was counted or excused before; asked once."""
        if key not in self._settled:
            return False
        del self._settled[key]
        return True

    def overdue(self, now_s: float, *, limit_s: float | None) -> list[Origin]:
        """Settle what has been open longer than the limit (None: no limit) and return it, once."""
        for began_at_s, key in sorted((at_s, key) for key, (_, at_s) in self._begun.items()):
            # Not older than the last tick: a router's clock may be behind.
            opened_at_s = min(max(began_at_s, self._now_s), now_s)
            self._open[key] = (self._begun[key][0], opened_at_s)
        self._begun.clear()
        self._now_s = now_s
        if now_s - self._turned_s >= EARLY_KEPT_S:
            self._early_old, self._early, self._turned_s = self._early, set(), now_s
        if limit_s is None:
            return []
        late = []
        for key, (_, opened_at_s) in self._open.items():
            if now_s - opened_at_s < limit_s:
                break  # the table is in the order of opening
            late.append(key)
        origins = [self._open.pop(key)[0] for key in late]
        self._settle(late)
        return origins

    def excuse(self) -> None:
        """Let nothing that is open now count, neither while it stays open nor when it ends."""
        self._settle([*self._open, *self._begun])
        self._open.clear()
        self._begun.clear()

    def _settle(self, keys: list[str]) -> None:
        for key in keys:
            self._settled[key] = None
        while len(self._settled) > SETTLED_MAX:
            del self._settled[next(iter(self._settled))]

    def __len__(self) -> int:
        """Count open attempts."""
        return len(self._open) + len(self._begun)
