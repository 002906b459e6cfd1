"""Evidence that a candidate is worse than stable, or good enough, valid at any moment one looks.

Everything here is an e-process: it starts at 1 and, while its null hypothesis holds, its expected
value never exceeds 1 at any stopping time, so P(ever >= 1/alpha) <= alpha (Ville 1939; Ramdas,
Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference", 2023).
Two tests and their mixtures. The split test asks whose the failures of one block of concurrent
requests were: what hits both sides, drift, bursts and changes of weight cancel. The level test
holds one side against a fixed limit. This module knows counts only: no clock, pods or settings.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import comb, exp, inf, lgamma, log, log1p
from typing import Final, NamedTuple, Protocol

Grid = tuple[tuple[float, float], ...]

# Odds as a multiple of the null's, and prior mass. Spread so that both a doubled error rate and a
# candidate that never answers are near some hypothesis.
WORSE: Final[Grid] = (
    (1.25, 0.10),
    (1.5, 0.10),
    (2.0, 0.15),
    (4.0, 0.15),
    (10.0, 0.10),
    (100.0, 0.15),
    (1e5, 0.25),
)
BETTER: Final[Grid] = ((0.02, 0.25), (0.25, 0.25), (0.5, 0.25), (0.7, 0.25))

# Prior mass kept back for a candidate that breaks later, and how often a portion of it starts.
LATE_MASS: Final = 0.3
LATE_EVERY_S: Final = 30.0

TABLE_BLOCK_MAX: Final = 64  # attempts in a block worth remembering: small blocks recur
POLYNOMIAL_DEGREE_MAX: Final = 40  # odds of 1e5 to this power are far from overflow
TABLE_SIZE_MAX: Final = 4096  # remembered blocks of all tests together, about 2 MB


class Counts(NamedTuple):
    """Attempts of both sides over the same time, and how many of them were bad."""

    candidate: int
    candidate_bad: int
    stable: int
    stable_bad: int

    def plus(self, other: "Counts") -> "Counts":
        """Add two counts side by side."""
        n1, x1, n0, x0 = self
        m1, y1, m0, y0 = other
        return Counts(n1 + m1, x1 + y1, n0 + m0, x0 + y0)


NOTHING: Final = Counts(0, 0, 0, 0)


class Rates(NamedTuple):
    """What a forecast assumes: both shares of bad attempts, and stable attempts per candidate's.

    `alone` is the limit of a candidate without company, None if it has some.
    """

    candidate_share: float
    stable_share: float
    stable_per_candidate: float
    alone: float | None = None


def log_sum(values: Sequence[float]) -> float:
    """Compute log(sum(exp(values))) without overflow.

    >>> round(log_sum([0.0, 0.0]), 4), log_sum([-inf, -inf])
    (0.6931, -inf)
    """
    top = max(values)
    if top in (inf, -inf):
        return top
    return top + log(sum([exp(value - top) for value in values]))


def _log_add(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Compute log(exp(value) + exp(other)) of finite values, pair by pair.

    >>> [round(value, 4) for value in _log_add([1000.0, -1e6], [1000.0, 0.0])]
    [1000.6931, 0.0]
    """
    pairs = zip(values, others, strict=True)
    return [max(one, two) + log1p(exp(-abs(one - two))) for one, two in pairs]


def mean_log_e(logs: Sequence[float]) -> float:
    """Merge e-values by their mean: valid under any dependence (Vovk and Wang, 2021).

    >>> round(exp(mean_log_e([log(3), log(5)])), 6)
    4.0
    """
    return log_sum(logs) - log(len(logs))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


class Margins(NamedTuple):
    """What a split test takes as given: both sides' attempts and the bad ones of both together."""

    candidate: int
    stable: int
    bad: int


def log_partition(margins: Margins, odds: float) -> float:
    """Compute log sum_x C(n1, x) C(n0, k - x) odds^x: Fisher's noncentral hypergeometric sum.

    Starts at the largest term (bisection on the ratio of neighbours) and walks outwards until
    terms no longer count, so the cost grows with the square root of the bad attempts.

    >>> round(exp(log_partition(Margins(5, 5, 5), 1.0)))  # C(10, 5)
    252
    """
    n1, n0, bad = margins
    low, high = max(0, bad - n0), min(n1, bad)
    rest = n0 - bad + 1
    first, last = low, high
    while first < last:
        middle = (first + last) // 2
        if (n1 - middle) * (bad - middle) * odds >= (middle + 1) * (rest + middle):
            first = middle + 1
        else:
            last = middle
    total = term = 1.0
    for x in range(first, high):
        term *= (n1 - x) * (bad - x) * odds / ((x + 1) * (rest + x))
        total += term
        if term < 1e-17 * total:
            break
    term = 1.0
    for x in range(first - 1, low - 1, -1):
        term *= (x + 1) * (rest + x) / ((n1 - x) * (bad - x) * odds)
        total += term
        if term < 1e-17 * total:
            break
    peak = _log_choose(n1, first) + _log_choose(n0, bad - first) + first * log(odds)
    return peak + log(total)


def log_partitions(margins: Margins, odds: Sequence[float]) -> list[float]:
    """Compute `log_partition` for several odds, sharing the binomials where blocks are small."""
    n1, n0, bad = margins
    low, high = max(0, bad - n0), min(n1, bad)
    if n1 + n0 > TABLE_BLOCK_MAX or high - low > POLYNOMIAL_DEGREE_MAX:
        return [log_partition(margins, one) for one in odds]
    terms = [float(comb(n1, x) * comb(n0, bad - x)) for x in range(high, low - 1, -1)]
    found = []
    for one in odds:
        total = 0.0
        for term in terms:
            total = total * one + term
        found.append(log(total) + low * log(one))
    return found


def split_logs(counts: Counts, *, null: float, grid: Grid = WORSE) -> tuple[float, ...]:
    """Weigh one block: log e-values of odds ratio null*g against odds ratio <= null (>= if g < 1).

    The exact conditional likelihood ratio given how many were bad in all; its expectation at the
    null is 1 whatever the base rate of the block was.

    >>> dead = split_logs(Counts(5, 5, 5, 0), null=1.0, grid=((1e9, 1.0),))
    >>> round(exp(dead[0]))  # all five of one side and none of the other: 1 in C(10, 5)
    252
    >>> set(split_logs(Counts(9, 0, 1, 0), null=1.0))  # nothing bad, no news
    {0.0}
    """
    n1, x1, n0, x0 = counts
    bad = x1 + x0
    if not n1 or not n0 or not bad or bad == n1 + n0:
        return (0.0,) * len(grid)
    odds = [null, *[null * g for g, _ in grid]]
    base, *others = log_partitions(Margins(n1, n0, bad), odds)
    pairs = zip(grid, others, strict=True)
    return tuple([x1 * log(g) + base - other for (g, _), other in pairs])


@lru_cache(maxsize=TABLE_SIZE_MAX)
def _small_split_logs(counts: Counts, *, null: float, grid: Grid) -> tuple[float, ...]:
    """Weigh one block, or remember: small blocks of different rollouts are much the same."""
    return split_logs(counts, null=null, grid=grid)


class Level:
    """Weighs one side against a limit: log e-values against "share <= limit" (>= if g < 1).

    Linear in both counts, and true for the running mean of a share that drifts, because the mean of
    log(1 + p c) is at most log(1 + mean(p) c) (Jensen).

    >>> [round(value, 2) for value in Level(0.005, BETTER).logs(1000, 0)]
    [4.91, 3.76, 2.5, 1.5]
    """

    __slots__ = ("_slopes", "limit")

    def __init__(self, limit: float, grid: Grid = WORSE) -> None:
        self.limit = limit
        self._slopes = [(log(g), log1p(limit * (g - 1))) for g, _ in grid]

    def logs(self, attempts: float, bad: float) -> list[float]:
        """Weigh so many attempts; both counts may be tempered ones."""
        return [bad * each_bad - attempts * each for each_bad, each in self._slopes]


def _released(starts: int) -> float:
    """Share of the late mass released after so many starts; tends to 1, no horizon needed."""
    return 1 - 1 / (1 + log(starts + 1))


class Test(Protocol):
    """What the split test and the level test have in common."""

    @property
    def grid(self) -> Grid:
        """The hypotheses and their prior masses."""

    def observe(
        self, block: Counts, power: float, *, nats_max: float = inf, alone: float | None = None
    ) -> None:
        """Take in one closed block, its evidence tempered by `power` (1/phi).

        Before tempering a bad attempt of the candidate counts at most `nats_max`. `alone` is the
        share that stands for stable's in a block without any attempt of it.
        """

    def settled(self) -> "Mixture":
        """Return the mixture with every block in it."""

    def speed(self, g: float, rates: Rates) -> float:
        """Forecast the log e-value per candidate request, if hypothesis g is the one that fits."""


class Mixture:
    """A weighted mean of e-processes, part of whose mass starts later.

    Without late mass a good hour dilutes every hypothesis so far that a candidate which breaks
    then is found late or never (a spending form of the e-detector of Shin, Ramdas and Rinaldo).
    """

    __slots__ = ("_late", "_priors", "logs", "starts")

    def __init__(self, grid: Grid, *, late: float) -> None:
        self._late = late
        self._priors = [log(mass) for _, mass in grid]
        self.starts = 0
        self.logs = [prior + log(1 - late) for prior in self._priors]

    def release(self, starts: int) -> None:
        """Let the late mass of all starts up to this one begin now."""
        portion = log(self._late * (_released(starts) - _released(self.starts)))
        self.starts = starts
        self.logs = _log_add(self.logs, [prior + portion for prior in self._priors])

    def multiply(self, logs: Sequence[float], power: float) -> None:
        """Take in one block's log e-values, tempered by `power` (1/phi)."""
        self.logs = [value + news * power for value, news in zip(self.logs, logs, strict=True)]

    def temper(self, power: float) -> None:
        """Raise the evidence so far to a power below 1: an e-process stays one (Jensen)."""
        mass = log(1 - self._late + self._late * _released(self.starts))
        self.logs = [
            power * (value - prior - mass) + prior + mass
            for value, prior in zip(self.logs, self._priors, strict=True)
        ]

    @property
    def log_e(self) -> float:
        """The mixture's log e-value."""
        return log_sum(self.logs)


def _at_most(logs: Sequence[float], limit: float) -> list[float]:
    """Cut evidence of harm off; less than an e-value is one, too."""
    return [min(value, limit) for value in logs]


class _Heap:
    """Blocks of one side against one limit: summed up, and weighed only when asked."""

    __slots__ = ("_attempts", "_bad", "_level", "_mixture")

    def __init__(self, mixture: Mixture, level: Level) -> None:
        self._mixture, self._level = mixture, level
        self._attempts = self._bad = 0.0

    def add(self, block: Counts, power: float, *, nats_max: float) -> None:
        """Take in the candidate's side of a block, each bad one worth at most `nats_max`."""
        n, x, _, _ = block
        if x and nats_max < inf:
            self._mixture.multiply(_at_most(self._level.logs(n, x), nats_max * x), power)
            return
        self._attempts += n * power
        self._bad += x * power

    def follow(self, limit: float, grid: Grid) -> None:
        """Go on against another limit."""
        if limit != self._level.limit:
            self.settle()
            self._level = Level(limit, grid)

    def settle(self) -> Mixture:
        """Put everything into the mixture."""
        if self._attempts:
            self._mixture.multiply(self._level.logs(self._attempts, self._bad), 1.0)
            self._attempts = self._bad = 0.0
        return self._mixture


class SplitTest:
    """The split test over many blocks."""

    __slots__ = ("_heap", "_mixture", "_null", "grid")

    def __init__(self, null: float, *, grid: Grid, late: float = 0.0) -> None:
        self._null, self.grid = null, grid
        self._mixture = Mixture(grid, late=late)
        self._heap = _Heap(self._mixture, Level(0.0, grid))  # of blocks without company

    def observe(
        self, block: Counts, power: float, *, nats_max: float = inf, alone: float | None = None
    ) -> None:
        """Take in one closed block; a comparison without anything bad costs nothing."""
        if not block.stable and alone is not None:
            self._heap.follow(alone, self.grid)
            self._heap.add(block, power, nats_max=nats_max)
            return
        if not block.candidate_bad and not block.stable_bad:
            return
        is_small = block.candidate + block.stable <= TABLE_BLOCK_MAX
        weigh = _small_split_logs if is_small else split_logs
        logs: Sequence[float] = weigh(block, null=self._null, grid=self.grid)
        if nats_max < inf:
            logs = _at_most(logs, nats_max * block.candidate_bad)
        self._mixture.multiply(logs, power)

    def settled(self) -> Mixture:
        """Return the mixture with every block in it."""
        return self._heap.settle()

    def speed(self, g: float, rates: Rates) -> float:
        """Expected log e-value per candidate request, if hypothesis g is the one that fits."""
        p1, p0, per, alone = rates
        if alone is not None:
            return p1 * log(g) - log1p(alone * (g - 1))
        return p1 * log(g) - (p1 + p0 * per) * log((self._null * g + per) / (self._null + per))


class LevelTest:
    """The level test over many blocks."""

    __slots__ = ("_heap", "_limit", "grid")

    def __init__(self, limit: float, *, grid: Grid, late: float = 0.0) -> None:
        self._limit, self.grid = limit, grid
        self._heap = _Heap(Mixture(grid, late=late), Level(limit, grid))

    def observe(
        self,
        block: Counts,
        power: float,
        *,
        nats_max: float = inf,
        alone: float | None = None,  # noqa: ARG002  its limit is the same without company
    ) -> None:
        """Take in one closed block."""
        self._heap.add(block, power, nats_max=nats_max)

    def settled(self) -> Mixture:
        """Return the mixture with every block in it."""
        return self._heap.settle()

    def speed(self, g: float, rates: Rates) -> float:
        """Expected log e-value per candidate request, if hypothesis g is the one that fits."""
        return rates.candidate_share * log(g) - log1p(self._limit * (g - 1))
