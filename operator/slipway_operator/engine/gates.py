"""Gates: one question's running answer.

A gate joins the counts of ticks into blocks until both sides have two attempts: by counts and
weight, never by what the attempts came to, or the evidence would be biased. It must not know
attempts, keys or hosts.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from slipway_operator.engine.baseline import Baseline, Past
from slipway_operator.engine.clumping import Clumping, Sample, Tempers
from slipway_operator.engine.comparison import Alone, Comparison
from slipway_operator.engine.judgement import NOTHING, Counts
from slipway_operator.engine.latency import Latencies, Tail
from slipway_operator.engine.questions import Question, Subject

BLOCK_MIN: Final = 2  # attempts a side; ten would double the delay at low weights
SPAN_S_MAX: Final = 1.0  # a block ages a gate by a second at most
COMPANY_S_MAX: Final = 10.0  # what stable did longer before the candidate's next attempt is past
ONSET_PHI: Final = 1.0  # where clumps begin, they come one by one, until stable shows otherwise
WEIGHT_ALONE: Final = 100  # percent: stable gets nothing, or only what the candidate failed
RECENT_S: Final = 60
RATE_SPAN_S: Final = 10


class Gate:
    """One question's blocks, clumping and evidence."""

    __slots__ = (
        "_alone",
        "_closed_at_s",
        "_is_alone",
        "_known",
        "_onset_clumping",
        "_open",
        "_open_onsets",
        "_open_since_s",
        "_recent",
        "_tail",
        "baseline",
        "clumping",
        "comparison",
        "question",
        "step",
        "total",
    )

    def __init__(self, question: Question, *, phi: float | None = None) -> None:
        """Start without evidence; `phi` is the clumping of an earlier rollout."""
        self.question = question
        tolerate = 1.0 if question.subject is Subject.LATENCY else None
        self.comparison = Comparison(ratio=question.ratio, floor=question.floor, tolerate=tolerate)
        self.clumping = Clumping(phi)
        self._onset_clumping = Clumping(ONSET_PHI)
        self.total = self.step = self._open = self._open_onsets = NOTHING
        self._tail: Tail | None = None
        if question.quantile is not None and question.increase is not None:
            self._tail = Tail(question.quantile, increase=question.increase)
        self.baseline = Baseline()
        self._known: tuple[float, float, float] | None = None  # what `_alone` was worked out from
        self._alone: Alone | None = None
        self._is_alone = False
        self._open_since_s = 0.0
        self._closed_at_s: float | None = None
        self._recent: deque[tuple[int, Counts]] = deque(maxlen=RECENT_S + 1)  # by second

    def add(self, sample: Sample, *, onsets: Sample, now_s: float) -> None:
        """Count attempts of one tick, once by what was bad and once by where it began."""
        counts, halves = sample
        if not counts.candidate and not counts.stable:
            return
        if not self._open.candidate and now_s - self._open_since_s > COMPANY_S_MAX:
            self.drop_open()
        if self._open == NOTHING:
            self._open_since_s = now_s
        self._open_onsets = self._open_onsets.plus(onsets.counts)
        self._open = self._open.plus(counts)
        self.total = self.total.plus(counts)
        self.step = self.step.plus(counts)
        second = int(now_s)
        if self._recent and self._recent[-1][0] == second:
            self._recent[-1] = (second, self._recent[-1][1].plus(counts))
        else:
            self._recent.append((second, counts))
        if counts.stable:
            self.baseline.add(counts.stable, counts.stable_bad, now_s=now_s)
            self.clumping.add(second, halves)
            self._onset_clumping.add(second, onsets.halves)

    def add_latencies(self, tick: Latencies, *, now_s: float, span_s: float) -> None:
        """Count answers of one tick, `span_s` long, that were too slow."""
        limit_s = self.question.latency_max_s
        if self._tail is not None:
            sample = self._tail.count(tick, span_s=span_s)
        elif limit_s is not None:
            sample = tick.slower_than(limit_s, limit_s)
        else:
            raise AssertionError(f"{self.question.name} does not ask for latency")
        # Slow answers are taken as they come: each may be one of a clump, or its beginning.
        self.add(sample, onsets=sample, now_s=now_s)

    @property
    def tau_s(self) -> float | None:
        """Stable's quantile now, if the question is about it and it is known."""
        return None if self._tail is None else self._tail.tau_s

    def is_due(self, *, weight_percent: int) -> bool:
        """Whether the open block can be closed: each side that is asked about has enough."""
        if self.question.ratio is None:
            return self._open.candidate > 0
        if weight_percent >= WEIGHT_ALONE:
            return self._open.candidate >= BLOCK_MIN
        return self._open.candidate >= BLOCK_MIN and self._open.stable >= BLOCK_MIN

    @property
    def past(self) -> Past | None:
        """What stands for stable while the candidate has all traffic; None while it has not."""
        asked = self.question
        if not self._is_alone or asked.ratio is None:
            return None
        limit = self.baseline.limit(
            floor=asked.floor, phi=self.clumping.phi, unseen=asked.unseen, ratio=asked.ratio
        )
        return Past(self.total.stable, self.total.stable_bad, limit)

    @property
    def alone(self) -> Alone | None:
        """What the candidate is held to while it has all traffic; None while it has not."""
        if not self._is_alone or self.question.ratio is None:
            return None
        known = (self.baseline.attempts, self.baseline.bad, self.clumping.phi)
        if known != self._known:  # stable has shown more; mostly it has nothing to show then
            past = self.past
            assert past is not None
            # Where stable showed nothing bad, what is good is what stays below the floor.
            is_told = bool(self.baseline.bad) or self.question.floor is None
            self._known, self._alone = known, Alone(past.limit, past.limit if is_told else None)
        return self._alone

    def close(
        self, now_s: float, *, may_pass: bool, is_alone: bool = False, span_s: float | None = None
    ) -> bool:
        """Close the open block; True if it held something bad of the candidate.

        `is_alone`: the candidate has all traffic, so the baseline stands for stable. `span_s`
        overrides how much the block ages the gate (one block may stand for many).
        """
        block, self._open = self._open, NOTHING
        onsets, self._open_onsets = self._open_onsets, NOTHING
        if span_s is None:
            since_s = SPAN_S_MAX if self._closed_at_s is None else now_s - self._closed_at_s
            span_s = min(max(since_s, 0.0), SPAN_S_MAX)
        self._closed_at_s, self._is_alone = now_s, is_alone
        if not block.candidate:
            return False
        tempers = Tempers(self.clumping.phi, self.clumping.caution, self._onset_clumping.phi)
        self.comparison.close(
            block,
            onsets=onsets,
            tempers=tempers,
            span_s=span_s,
            may_pass=may_pass,
            alone=self.alone,
        )
        return block.candidate_bad > 0

    def drop_open(self) -> None:
        """Forget the open block: part of its time is unknown."""
        self._open = self._open_onsets = NOTHING

    def start_step(self) -> None:
        """Earn a pass anew; harm is remembered."""
        self.step = NOTHING
        self.comparison.start_step()

    def recent(self, now_s: float, *, span_s: int) -> Counts:
        """Sum up the last seconds, at most RECENT_S."""
        counts = NOTHING
        for second, seen in self._recent:
            if second > now_s - span_s:
                counts = counts.plus(seen)
        return counts

    def rate_hz(self, now_s: float) -> float:
        """Candidate attempts per second, lately."""
        if not self._recent:
            return 0.0
        span_s = min(max(now_s - self._recent[0][0], 1.0), RATE_SPAN_S)
        return self.recent(now_s, span_s=RATE_SPAN_S).candidate / span_s

    def dump(self) -> list[list[float]]:
        """Return what `load` needs."""
        counts = [*self._open, *self._open_onsets, *self.total, *self.step]
        return [
            self._asked(),
            [self.tau_s or 0.0],
            list(map(float, counts)),
            self.baseline.dump(),
            self.clumping.dump(),
            self._onset_clumping.dump(),
            *self.comparison.dump(),
        ]

    def _asked(self) -> list[float]:
        asked = self.question
        return [
            asked.ratio or 0.0,
            asked.floor or 0.0,
            asked.increase or 0.0,
            asked.latency_max_s or 0.0,
        ]

    def load(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from a dump of a gate of this name; raises ValueError if it has another shape.

        If its limit was another one, only what it tells of stable is taken.
        """
        asked, (tau_s,), counts, baseline, clumping, onset_clumping, *comparison = state
        self.baseline.load(baseline)
        self.clumping.load(clumping)
        self._onset_clumping.load(onset_clumping)
        if self._tail is not None and tau_s:
            self._tail.tau_s = tau_s
        if any(abs(a - b) > 1e-5 * b for a, b in zip(asked, self._asked(), strict=True)):
            return
        whole = [int(value) for value in counts]
        if len(whole) != 16:
            raise ValueError("counts of another shape")
        parts = [Counts(*whole[index : index + 4]) for index in range(0, 16, 4)]
        self._open, self._open_onsets, self.total, self.step = parts
        self.comparison.load(comparison)
