"""Baselines: what stable showed while it had traffic, for the time in which it has none.

At weight 100 nobody is left to compare with. The candidate is held to a fixed share instead: twice
the odds that stable's own may have been, as far as its attempts of this rollout tell. The factor
and the least share leave room for what changes with time, which no comparison cancels any more. It
must not know weights, nor which attempts are fit to be counted.
"""

from collections.abc import Sequence
from math import exp, sqrt
from typing import Final, NamedTuple

ODDS_MIN: Final = 2.0  # times stable's; a finer difference is also made by the hour of the day
LEAST_PER_FLOOR: Final = 2.0  # one per cent where a comparison asks for half of one
SEEN_MAX: Final = 4.0  # times the share that was seen: few attempts excuse no candidate altogether
Z: Final = 1.645  # a bound that fails once in 20; with the factor of two, a limit once in 400
MEMORY_S: Final = 600.0  # beyond ATTEMPTS_KEPT, what is older counts less and less
ATTEMPTS_KEPT: Final = 2000.0
SPAN_S_MAX: Final = 10.0


class Past(NamedTuple):
    """What a candidate without company is held to, and all that stable showed in this rollout."""

    attempts: int
    bad: int
    limit: float


class Baseline:
    """Stable's attempts and how many were bad, the last ten minutes or 2000 attempts above all.

    Nothing bad in 300 attempts, then in 3000:

    >>> stable = Baseline()
    >>> stable.add(300, 0, now_s=0.0)
    >>> round(stable.limit(floor=0.005, phi=1.0, unseen=0.05), 3)
    0.02
    >>> stable.add(2700, 0, now_s=1.0)
    >>> round(stable.limit(floor=0.005, phi=1.0, unseen=0.05), 3)
    0.01
    """

    __slots__ = ("_at_s", "attempts", "bad")

    def __init__(self) -> None:
        self.attempts = self.bad = 0.0
        self._at_s: float | None = None

    def add(self, attempts: int, bad: int, *, now_s: float) -> None:
        """Count attempts that ended by now."""
        if self._at_s is not None and self.attempts > ATTEMPTS_KEPT:
            keep = exp(-min(max(now_s - self._at_s, 0.0), SPAN_S_MAX) / MEMORY_S)
            self.attempts, self.bad = self.attempts * keep, self.bad * keep
        self._at_s = now_s
        self.attempts += attempts
        self.bad += bad

    def limit(
        self, *, floor: float | None, phi: float, unseen: float, ratio: float = ODDS_MIN
    ) -> float:
        """Return the share of bad attempts that a candidate without company may have, 0 to 1.

        `phi` is how far stable's failures come in clumps: so much less its attempts tell. `unseen`
        is the limit where stable was not seen at all.

        >>> Baseline().limit(floor=0.005, phi=1.2, unseen=0.05)
        0.05
        >>> known = Baseline()
        >>> known.add(2000, 100, now_s=0.0)
        >>> round(known.limit(floor=0.005, phi=1.2, unseen=0.05), 3)
        0.113
        """
        share = self.bad / self.attempts if self.attempts else 0.0
        worst = min(1.0, _at_most(self.bad / phi) / (self.attempts / phi)) if self.attempts else 1.0
        factor = max(ratio, ODDS_MIN)
        limit = factor * worst / (1 + (factor - 1) * worst)
        limit = min(limit, max(unseen, SEEN_MAX * share))
        return max(limit, LEAST_PER_FLOOR * floor) if floor is not None else limit

    def dump(self) -> list[float]:
        """Return what `load` needs."""
        return [self.attempts, self.bad]

    def load(self, state: Sequence[float]) -> None:
        """Go on from a dump; raises ValueError if it has another shape."""
        self.attempts, self.bad = state


def _at_most(bad: float) -> float:
    """Bound the mean of a Poisson count from above (Wilson and Hilferty, 1931).

    >>> round(_at_most(0), 1), round(_at_most(10), 1)
    (3.0, 17.0)
    """
    return (bad + 1) * (1 - 1 / (9 * (bad + 1)) + Z / (3 * sqrt(bad + 1))) ** 3
