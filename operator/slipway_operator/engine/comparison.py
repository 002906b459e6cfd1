"""One gate's evidence: is the candidate worse than it may be, and is it good enough?

Puts the two tests of `judgement` together, each twice: over all bad attempts, cautiously, because a
clump is one misfortune and not ten; and over the onsets of clumps, which come one by one however
long clumps are.

Bad = odds above `ratio` times stable's AND a share above `floor`; good = odds below `tolerate`
times stable's OR a share below `floor`. Without a ratio it is an absolute limit, without a floor a
bare comparison. It must not know what an attempt, a pod or a clock is: blocks of counts come in,
closed by its caller and never because of their outcomes.
"""

from collections.abc import Sequence
from math import inf, log
from typing import Final, NamedTuple

from slipway_operator.engine.clumping import UNTEMPERED, Tempers
from slipway_operator.engine.judgement import (
    BETTER,
    LATE_EVERY_S,
    LATE_MASS,
    WORSE,
    Counts,
    Grid,
    LevelTest,
    Mixture,
    Rates,
    SplitTest,
    Test,
    mean_log_e,
)

RATIO: Final = 1.25
FLOOR: Final = 0.005
TOLERATE_PER_RATIO: Final = 1.2  # 1.5 times stable's odds pass where 1.25 times fail
TEMPER_STEP: Final = 1.01  # a rise of phi below 1 % is not worth rewriting old evidence
# What one bad attempt counts for at most. Eight in a row convict a candidate that never answered,
# at whatever weight; without it, four did at a low weight, and clumps of four are common.
NATS_MAX: Final = 1.0
CALM: Final = Counts(1, 0, 1, 0)  # stands for rates before there are any
SPEED_MIN: Final = 1e-12  # nats per request; slower hypotheses never get anywhere


class Alone(NamedTuple):
    """What a candidate without company is held to: shares of bad attempts.

    One above `harm` is worse than stable was; one below `health` is as good, None: cannot be told.
    """

    harm: float
    health: float | None


class Comparison:
    """Evidence of harm for a whole rollout, and evidence of health for one step.

    Ten requests a second, half of them to a candidate that always fails:

    >>> from math import exp
    >>> gate = Comparison()
    >>> for _ in range(3):
    ...     gate.close(Counts(5, 5, 5, 0))
    ...     print(round(exp(gate.log_fail)))
    43
    5454
    746634

    Nobody fails, 600 good answers each: no harm, and not yet enough to pass.

    >>> calm = Comparison()
    >>> for _ in range(120):
    ...     calm.close(Counts(5, 0, 5, 0))
    >>> calm.log_pass >= log(20)
    False
    >>> calm.need(Counts(600, 0, 600, 0), goal_fail=log(100), goal_pass=log(20))
    434
    >>> for _ in range(87):
    ...     calm.close(Counts(5, 0, 5, 0))
    >>> calm.log_pass >= log(20)
    True
    """

    __slots__ = (
        "_age_s",
        "_better",
        "_floor",
        "_has_answered",
        "_onsets",
        "_ratio",
        "_starts",
        "_tolerate",
        "_worse",
    )

    def __init__(
        self,
        *,
        ratio: float | None = RATIO,
        floor: float | None = FLOOR,
        tolerate: float | None = None,
    ) -> None:
        """Compare odds with `ratio` times stable's (None: not at all) and a share with `floor`."""
        assert ratio is not None or floor is not None
        self._ratio, self._floor = ratio, floor
        self._tolerate = TOLERATE_PER_RATIO * (ratio or 1.0) if tolerate is None else tolerate
        self._age_s, self._starts = 0.0, 0
        self._has_answered = False
        self._worse = self._process(WORSE, late=LATE_MASS)
        self._onsets = self._process(WORSE, late=LATE_MASS)
        self._better = self._process(BETTER, late=0.0)

    def _process(self, grid: Grid, *, late: float) -> "_Process":
        tests: list[Test] = []
        if self._ratio is not None:
            null = self._ratio if grid is WORSE else self._tolerate
            tests.append(SplitTest(null, grid=grid, late=late))
        if self._floor is not None:
            tests.append(LevelTest(self._floor, grid=grid, late=late))
        return _Process(tests)

    def start_step(self) -> None:
        """Ask for health anew: more load is a new question. Evidence of harm is kept."""
        self._better = self._process(BETTER, late=0.0)

    def close(
        self,
        block: Counts,
        *,
        onsets: Counts | None = None,
        tempers: Tempers = UNTEMPERED,
        span_s: float = 1.0,
        may_pass: bool = True,
        alone: Alone | None = None,
    ) -> None:
        """Take in one closed block of concurrent attempts.

        `onsets` counts those bad attempts alone with which a clump began; None if nobody can tell
        them apart. `tempers` divide the evidence (see `clumping`), but that of a candidate which
        never answered well: there is no calm time that a clump could have ended. `span_s` is how
        much the block ages the rollout: at most a second, so that late starts keep pace with the
        traffic. `may_pass` False leaves the block out of the evidence of health: parts of it may be
        unknown. `alone` takes the place of stable where it has no traffic.
        """
        if self._age_s >= (self._starts + 1) * LATE_EVERY_S:
            self._starts = int(self._age_s / LATE_EVERY_S)
            self._worse.release(self._starts)
            self._onsets.release(self._starts)
        self._age_s += span_s
        self._has_answered |= block.candidate > block.candidate_bad
        harm = alone.harm if alone else None
        phi = tempers.harm if self._has_answered else 1.0
        self._worse.observe(block, phi, nats_max=NATS_MAX, alone=harm)
        self._onsets.observe(block if onsets is None else onsets, tempers.onsets, alone=harm)
        if may_pass:
            self._better.observe(block, tempers.health, alone=alone.health if alone else None)

    @property
    def log_fail(self) -> float:
        """Log e-value against "not worse": that null is a union, so the smaller of the two.

        Of all bad attempts and of onsets, the mean: it is enough if one of them says so.
        """
        pairs = zip(self._worse.tests, self._onsets.tests, strict=True)
        return min([mean_log_e([test.settled().log_e for test in pair]) for pair in pairs])

    def may_fail(self, goal: float) -> bool:
        """Whether `log_fail` can have reached the goal; cheap, and True if in doubt."""
        reach = goal - log(len(WORSE))
        pairs = zip(self._worse.tests, self._onsets.tests, strict=True)
        return all(any(max(test.settled().logs) >= reach for test in pair) for pair in pairs)

    @property
    def log_pass(self) -> float:
        """Log e-value against "not good": that null is an intersection, so the mean of the two."""
        return mean_log_e([test.settled().log_e for test in self._better.tests])

    def need(
        self, seen: Counts, *, goal_fail: float, goal_pass: float, alone: Alone | None = None
    ) -> int | None:
        """Forecast how many more candidate requests a verdict takes if rates stay as `seen`.

        Missing evidence over expected evidence per request, by the quickest hypothesis; an order of
        magnitude, not a promise. Before the candidate's first one, as if neither side failed. None:
        not to be foreseen at these rates.

        >>> gate = Comparison()
        >>> gate.need(Counts(0, 0, 0, 0), goal_fail=log(100), goal_pass=log(20))
        1034
        """
        if not seen.candidate:
            seen = CALM
        if self._floor is None and not seen.stable and alone is None:
            return None
        stable_share = seen.stable_bad / seen.stable if seen.stable else 0.0
        share = seen.candidate_bad / seen.candidate
        if not seen.candidate_bad:
            share = min(stable_share, (self._floor or 1.0) / 10)
        rates = Rates(share, stable_share, seen.stable / seen.candidate)
        goal_pass += log(len(self._better.tests))
        healthy = rates._replace(alone=alone.health if alone else None)
        better = min(_wait(test, goal_pass, healthy) for test in self._better.tests)
        harmful = rates._replace(alone=alone.harm if alone else None)
        worse = max(_wait(test, goal_fail, harmful) for test in self._worse.tests)
        wait = min(better * self._better.phi, worse * self._worse.phi)
        return None if wait == inf else int(wait) + 1

    def dump(self) -> list[list[float]]:
        """Return everything that `load` needs to go on, as plain numbers."""
        row = [self._age_s, self._starts, float(self._has_answered)]
        return [row, self._worse.dump(), self._onsets.dump(), self._better.dump()]

    def load(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from a dump of a Comparison with the same limits; raises ValueError otherwise."""
        (age_s, starts, has_answered), worse, onsets, better = state
        self._age_s, self._starts, self._has_answered = age_s, int(starts), has_answered > 0
        self._onsets.load(onsets, starts=int(starts))
        self._worse.load(worse, starts=int(starts))
        self._better.load(better, starts=0)


class _Process:
    """The tests of one question, kept at one degree of tempering."""

    __slots__ = ("_phi_applied", "phi", "tests")

    def __init__(self, tests: list[Test]) -> None:
        self.tests = tests
        self.phi = 1.0
        self._phi_applied = 0.0

    def release(self, starts: int) -> None:
        for test in self.tests:
            test.settled().release(starts)

    def observe(
        self, block: Counts, phi: float, *, nats_max: float = inf, alone: float | None = None
    ) -> None:
        """Take in a block; if failures turn out to clump more than thought, so did the old ones."""
        if phi > self._phi_applied * TEMPER_STEP:
            if self._phi_applied:
                for test in self.tests:
                    test.settled().temper(self._phi_applied / phi)
            self._phi_applied = phi
        self.phi = phi
        for test in self.tests:
            test.observe(block, 1.0 / phi, nats_max=nats_max, alone=alone)
            nats_max = inf  # one cautious test is enough, where several have to agree

    def dump(self) -> list[float]:
        logs = [value for test in self.tests for value in test.settled().logs]
        return [self.phi, self._phi_applied, *logs]

    def load(self, state: Sequence[float], *, starts: int) -> None:
        self.phi, self._phi_applied, *logs = state
        for test in self.tests:
            mixture = test.settled()
            mixture.logs, logs = logs[: len(mixture.logs)], logs[len(mixture.logs) :]
            mixture.starts = starts
            if len(mixture.logs) != len(test.grid):
                raise ValueError("evidence of another shape")


def _wait(test: Test, goal: float, rates: Rates) -> float:
    """Requests until the quickest hypothesis of a test reaches the goal, before tempering."""
    mixture: Mixture = test.settled()
    waits = [
        max(goal - value, 0.0) / speed
        for value, (g, _) in zip(mixture.logs, test.grid, strict=True)
        if (speed := test.speed(g, rates)) > SPEED_MIN
    ]
    return min(waits, default=inf)
