"""How far failures come in clumps: the factor phi by which evidence is divided.

Tests that take failures as independent convict healthy candidates when failures come together (one
ill host, one hammering client). How much they do is measured on stable against itself: its hosts
are parted in two halves, and phi is how much more the halves differ than two random draws would,
while what hits both halves cancels. This module must not see the candidate: a dead candidate must
not be able to excuse itself.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from slipway_operator.engine.judgement import Counts

# Attempts and bad ones of one half of stable, then of the other, over the same time.
Halves = tuple[int, int, int, int]

PHI_DEFAULT: Final = 1.2  # of a service never measured; independent failures show about 1.1
# Where nothing is measured yet, harm is believed half as readily: with 1.2, clumps of mean length
# two or three ended 3 to 23 of 200 first rollouts of healthy candidates; with 2, none.
PHI_CAUTIOUS: Final = 2.0
PHI_START_MAX: Final = 6.0  # inherited caution must still convict a dead candidate in seconds
SCALES_S: Final = (1, 10, 60)  # clumps may be spread over time; the largest phi counts
# Weight of the starting value in units of expected variance: about eight failures of stable
# (one failure between even halves has a variance of a quarter).
PRIOR_WEIGHT: Final = 2.0
# A time in which both halves lose more than a fifth, and not by one or two, is trouble common to
# all. It has more failures than hours of calm and, falling evenly, would prove that none clump.
LOUD_SHARE: Final = 0.2
LOUD_BAD_MIN: Final = 5


class Sample(NamedTuple):
    """Attempts of both sides over the same time; `halves` are stable's again."""

    counts: Counts
    halves: Halves


class Tempers(NamedTuple):
    """By what evidence is divided: that of health, of harm by bad attempts, of harm by onsets."""

    health: float
    harm: float
    onsets: float


UNTEMPERED: Final = Tempers(1.0, 1.0, 1.0)


class Clumping:
    """The running estimate of phi: Pearson's statistic of both halves over blocks of 1, 10, 60 s.

    Ten failures at a time, all in one half of stable: evidence counts for about a tenth.

    >>> clumps = Clumping(PHI_DEFAULT)
    >>> for second in range(600):
    ...     first, other = 10 * (second % 20 == 0), 10 * (second % 20 == 10)
    ...     clumps.add(second, (50, first, 50, other))
    >>> round(clumps.phi)
    11
    """

    __slots__ = ("_cautious", "_cells", "_expected", "_now", "_phi", "_seen", "_start")

    def __init__(self, start: float | None = None) -> None:
        """Start from the value of an earlier rollout, or from PHI_DEFAULT."""
        self._start = min(max(PHI_DEFAULT if start is None else start, 1.0), PHI_START_MAX)
        self._phi: float | None = None  # until it is asked for
        self._cautious: float | None = None  # likewise
        self._seen = [0.0] * len(SCALES_S)
        self._expected = [0.0] * len(SCALES_S)
        self._cells = [[0, 0, 0, 0] for _ in SCALES_S]
        self._now = 0

    def add(self, second: int, halves: Halves) -> None:
        """Take in attempts and bad ones of one half, then of the other, seen in this second."""
        if second != self._now:
            self._turn(second)
        _put(self._cells[0], halves)

    def _turn(self, second: int) -> None:
        """Weigh the cells that end before this second, the shortest first."""
        now, cells = self._now, self._cells
        for index, scale in enumerate(SCALES_S):
            if second // scale == now // scale:
                break
            cell = cells[index]
            n, x, m, y = cell
            if index + 1 < len(cells):
                _put(cells[index + 1], cell)
            cells[index] = [0, 0, 0, 0]
            bad, size = x + y, n + m
            if bad and n and m and bad < size and not _is_loud(cell):
                self._seen[index] += (x - n * bad / size) ** 2
                self._expected[index] += n * m * bad * (size - bad) / (size * size * (size - 1))
                self._phi = self._cautious = None
        self._now = second

    @property
    def phi(self) -> float:
        """The estimate, drawn towards where it started while stable has few failures."""
        if self._phi is None:
            self._phi = self._drawn_to(self._start)
        return self._phi

    @property
    def caution(self) -> float:
        """The estimate, drawn towards PHI_CAUTIOUS if it started lower."""
        if self._cautious is None:
            self._cautious = self._drawn_to(max(self._start, PHI_CAUTIOUS))
        return self._cautious

    def _drawn_to(self, start: float) -> float:
        prior, phi = PRIOR_WEIGHT * start, 1.0
        for seen, expected in zip(self._seen, self._expected, strict=True):
            phi = max(phi, (seen + prior) / (expected + PRIOR_WEIGHT))
        return phi

    @property
    def is_measured(self) -> bool:
        """Whether stable had enough failures for `phi` to be more than its starting value."""
        return max(self._expected) >= PRIOR_WEIGHT

    def dump(self) -> list[float]:
        """Return what `load` needs; open blocks of up to a minute are not part of it."""
        return [self._start, *self._seen, *self._expected]

    def load(self, state: Sequence[float]) -> None:
        """Go on from a dump; raises ValueError if it has another shape."""
        size = len(SCALES_S)
        if len(state) != 1 + 2 * size:
            raise ValueError("clumping of another shape")
        self._start = state[0]
        self._seen, self._expected = list(state[1 : 1 + size]), list(state[1 + size :])
        self._phi = self._cautious = None


def _is_loud(cell: Sequence[int]) -> bool:
    n, x, m, y = cell
    return min(x, y) >= LOUD_BAD_MIN and x > LOUD_SHARE * n and y > LOUD_SHARE * m


def _put(cell: list[int], more: Sequence[int]) -> None:
    cell[0] += more[0]
    cell[1] += more[1]
    cell[2] += more[2]
    cell[3] += more[3]
