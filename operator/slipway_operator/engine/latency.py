"""Latency as counts: is a quantile of the candidate slower than it may be?

If the candidate is at most (1 + increase) times as slow as stable, then its answers exceed
(1 + increase) * tau at most as often as stable's exceed tau, for any tau fixed beforehand: exactly
the split test's null. tau is stable's own quantile over the last seconds; it decides which quantile
is asked about, not whether the test is valid, so 5 % wide buckets are fine, while the latencies
that are compared stay raw. It must not know which attempts count.
"""

from collections.abc import Sequence
from math import ceil, exp, log
from typing import Final, NamedTuple

from slipway_operator.engine.clumping import Sample
from slipway_operator.engine.judgement import NOTHING, Counts

BUCKET_WIDTH: Final = log(1.05)
SHORTEST_S: Final = 1e-4
LONGEST_S: Final = 3600.0
MEMORY_S: Final = 15.0  # tau looks back so far, or over MEMORY_ANSWERS beyond the quantile
MEMORY_ANSWERS: Final = 20.0
FORGOTTEN: Final = 1e-6


def _bucket(latency_s: float) -> int:
    return ceil(log(min(max(latency_s, SHORTEST_S), LONGEST_S)) / BUCKET_WIDTH)


class Histogram:
    """Latencies in buckets of 5 %, at most about 360 of them.

    >>> answers = Histogram()
    >>> for index in range(1000):
    ...     answers.add(0.001 * (index + 1))
    >>> 0.95 <= answers.quantile(0.95) <= 1.0
    True
    >>> Histogram().quantile(0.5) is None
    True
    """

    __slots__ = ("_buckets", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, float] = {}
        self.total = 0.0

    def add(self, latency_s: float) -> None:
        """Count one latency."""
        bucket = _bucket(latency_s)
        self._buckets[bucket] = self._buckets.get(bucket, 0.0) + 1.0
        self.total += 1.0

    def fade(self, keep: float) -> None:
        """Let every count shrink to this share of itself."""
        faded = {bucket: count * keep for bucket, count in self._buckets.items()}
        self._buckets = {bucket: count for bucket, count in faded.items() if count > FORGOTTEN}
        self.total = sum(self._buckets.values())

    def quantile(self, q: float) -> float | None:
        """Return the upper edge, in seconds, of the bucket that holds the q-quantile."""
        missing = q * self.total
        for bucket in sorted(self._buckets):
            missing -= self._buckets[bucket]
            if missing <= FORGOTTEN:
                return exp(bucket * BUCKET_WIDTH)
        return None


def count_above(limit_s: float, latencies_s: Sequence[float]) -> int:
    """Count latencies above a limit."""
    return sum([latency_s > limit_s for latency_s in latencies_s])


class Latencies(NamedTuple):
    """Latencies of one tick: the candidate's, and stable's in its two halves (see `clumping`)."""

    candidate_s: Sequence[float]
    stable_s: Sequence[float]
    other_stable_s: Sequence[float]

    def slower_than(self, candidate_limit_s: float, stable_limit_s: float) -> Sample:
        """Count what lies above one limit for each side."""
        n, m = len(self.stable_s), len(self.other_stable_s)
        x, y = (
            count_above(stable_limit_s, self.stable_s),
            count_above(stable_limit_s, self.other_stable_s),
        )
        bad = count_above(candidate_limit_s, self.candidate_s)
        return Sample(Counts(len(self.candidate_s), bad, n + m, x + y), (n, x, m, y))


class Tail:
    """Turns both sides' latencies into counts for the split test.

    >>> tail = Tail(0.9, increase=0.2)
    >>> stable = [0.001 * (index + 1) for index in range(100)]
    >>> for _ in range(3):
    ...     counts, _ = tail.count(Latencies([0.030] * 10, stable, []), span_s=1.0)
    >>> counts, round(tail.tau_s, 3)
    (Counts(candidate=10, candidate_bad=0, stable=100, stable_bad=9), 0.092)
    """

    __slots__ = ("_histogram", "_increase", "_q", "tau_s")

    def __init__(self, q: float, *, increase: float) -> None:
        self._q, self._increase = q, increase
        self._histogram = Histogram()
        self.tau_s: float | None = None

    @property
    def limit_s(self) -> float | None:
        """What the candidate is held to now; None before stable answered 1/(1-q) times."""
        return None if self.tau_s is None else self.tau_s * (1 + self._increase)

    def count(self, tick: Latencies, *, span_s: float) -> Sample:
        """Count latencies beyond tau as of before this tick, then let tau follow stable.

        `span_s` is the length of the tick. All zero while tau is unknown.
        """
        tau_s, limit_s = self.tau_s, self.limit_s
        counted = Sample(NOTHING, (0, 0, 0, 0))
        if tau_s is not None and limit_s is not None:
            counted = tick.slower_than(limit_s, tau_s)
        if tick.stable_s or tick.other_stable_s:
            self._follow((*tick.stable_s, *tick.other_stable_s), span_s)
        return counted

    def _follow(self, stable_s: Sequence[float], span_s: float) -> None:
        tail_count = len(stable_s) * (1 - self._q)
        self._histogram.fade(exp(-min(span_s / MEMORY_S, tail_count / MEMORY_ANSWERS)))
        for latency_s in stable_s:
            self._histogram.add(latency_s)
        if self._histogram.total * (1 - self._q) >= 1:
            self.tau_s = self._histogram.quantile(self._q)
