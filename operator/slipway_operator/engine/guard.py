"""The guard: every attempt of one rollout goes in, verdicts come out.

A reducer over attempts and ticks. Time comes only from its inputs, and all judging happens at
ticks, so the same inputs give the same verdicts on every machine. It must not know pods, steps or
what follows from a verdict.
"""

from typing import Any, Final, NamedTuple

from slipway_api.analysis import Analysis
from slipway_operator.engine.attempts import Attempt, AttemptClass, classify
from slipway_operator.engine.budget import Budget
from slipway_operator.engine.copies import Copies, Request
from slipway_operator.engine.evidence import Evidence, decode, encode
from slipway_operator.engine.flights import Flights
from slipway_operator.engine.gates import WEIGHT_ALONE
from slipway_operator.engine.latency import Histogram
from slipway_operator.engine.panel import Panel
from slipway_operator.engine.questions import Subject, questions
from slipway_operator.engine.retries import Retries
from slipway_operator.engine.tallies import HostTally, Onsets, Shedding, Tally
from slipway_operator.engine.traffic import Opening
from slipway_operator.engine.verdicts import GuardView

TICK_S: Final = 0.25  # how often `tick` is meant to be called; nothing depends on it
SPAN_S_MAX: Final = 10.0  # a longer gap between ticks ages nothing further
WARM_UP_S: Final = 30.0  # latencies of a pod younger than this do not count
RECORDS_MAX: Final = 50_000  # between two ticks; more are taken in at once
HOSTS_MAX: Final = 4096
TAIL_ANSWERS_MIN: Final = 1000
TAIL_BEYOND: Final = 10
LATENCY_P999_ANSWERS: Final = 1000  # below this the value of before a restart is better


class _Origin(NamedTuple):
    """Where an attempt went, and why; `copied` is the request that it is a copy of."""

    host: str
    is_candidate: bool
    is_retry: bool
    copied: Request | None


class Guard:
    """Judges one rollout. Not thread-safe; `observe` is called per attempt, `tick` by the clock."""

    def __init__(
        self,
        rollout: str,
        *,
        candidate: str,
        stable: str,
        analysis: Analysis,
        per_try_timeout_s: float | None,
        evidence: str | None,
        phi: float | None,
    ) -> None:
        """Start, or go on where `evidence` (of `GuardView`) of the same rollout ends.

        `candidate` and `stable` are revisions. An attempt open longer than `per_try_timeout_s`
        counts as failed. `phi` is `Guard.phi` of the deployment's last rollout.
        """
        assert candidate != stable, candidate
        self._rollout, self._candidate, self._stable = rollout, candidate, stable
        self._timeout_s = per_try_timeout_s
        self._panel = Panel(questions(analysis), phi=phi)
        self._asks_latency = any(
            gate.question.subject is Subject.LATENCY for gate in self._panel.gates
        )
        self._budget = Budget(analysis.max_bad_answers)
        self._records: list[Attempt] = []  # since the last tick
        self._flights: Flights[_Origin] = Flights()
        self._retries, self._copies = Retries(), Copies()
        self._tally, self._shedding, self._onsets = Tally(), Shedding(), Onsets()
        self._stable_answers = Histogram()
        self._p999_before_s: float | None = None
        self._started_at_s: dict[str, float] = {}  # by host
        self._stable_hosts: dict[str, bool] = {}  # whether it is in the other half
        self._other_half: frozenset[str] = frozenset()
        self._now_s: float | None = None
        self._weight_percent: int | None = None
        self._beside = ""
        self._is_alone = False  # now or at the last tick: routers learn of a change in between
        self._is_source_alive = True
        self._view: GuardView | None = None
        self._restore(decode(evidence, rollout=rollout))

    def _restore(self, evidence: Evidence | None) -> None:
        if evidence is None:
            return
        self._panel.load(evidence.gates)
        self._panel.conviction = evidence.conviction
        self._budget.load(evidence.spent)
        self._weight_percent, self._beside = evidence.weight_percent, evidence.beside
        self._p999_before_s = evidence.stable_latency_s_p999

    @property
    def phi(self) -> float:
        """How far failures of stable come in clumps; keep it for the next rollout."""
        return self._panel.phi

    @property
    def is_convicted(self) -> bool:
        """Whether some gate has convicted the candidate; cheaper than `view`."""
        return self._panel.conviction is not None or self._budget.is_spent

    def pods_started(self, host: str, at_s: float) -> None:
        """Tell since when the pod at an upstream address runs; unknown ones count as new."""
        self._started_at_s[host] = at_s
        _trim(self._started_at_s)

    def observe(self, attempt: Attempt) -> None:
        """Take in one record of an attempt: its start or its end. Judged at the next tick."""
        if attempt.revision in (self._candidate, self._stable):
            self._records.append(attempt)
            if len(self._records) >= RECORDS_MAX:
                self._take_records()

    def _take_records(self) -> None:
        """Take in all records in the order in which attempts began, whatever order they came in."""
        records, self._records = self._records, []
        records.sort(key=_order)
        for attempt in records:
            if attempt.duration_s is None:
                if not self._flights.is_known(attempt.key):
                    origin = self._origin(attempt)
                    self._flights.begin(attempt.key, origin, began_at_s=attempt.began_at_s)
            else:
                self._take_end(attempt, attempt.duration_s)

    def _origin(self, attempt: Attempt) -> "_Origin":
        request = (attempt.router, attempt.request)
        is_candidate = attempt.revision == self._candidate
        if is_candidate and attempt.request and not attempt.copy_of:
            self._copies.asked(request)
        return _Origin(
            attempt.host,
            is_candidate,
            bool(attempt.request) and self._retries.take(request, began_at_s=attempt.began_at_s),
            (attempt.router, attempt.copy_of) if attempt.copy_of else None,
        )

    def _take_end(self, attempt: Attempt, duration_s: float) -> None:
        kind = classify(attempt)
        is_settled = self._flights.take_settled(attempt.key)
        origin = None if is_settled else self._flights.end(attempt.key) or self._origin(attempt)
        if attempt.request and kind in (AttemptClass.FAIL, AttemptClass.SHED):
            self._retries.failed(
                (attempt.router, attempt.request),
                began_at_s=attempt.began_at_s,
                ended_at_s=attempt.began_at_s + duration_s,
            )
        if origin is None or attempt.is_cut_by_client or self._is_standing_in(origin):
            return
        if kind is AttemptClass.OK and not origin.is_candidate:
            self._stable_answers.add(duration_s)
        if self._is_told_elsewhere(origin):
            return
        tally = self._count(origin, kind)
        if kind is AttemptClass.OK and self._asks_latency:
            started_at_s = self._started_at_s.get(origin.host)
            if started_at_s is not None and attempt.began_at_s - started_at_s >= WARM_UP_S:
                tally.add_latency(duration_s)

    def _is_standing_in(self, origin: _Origin) -> bool:
        """Whether stable got what the candidate, which has everything, could not answer.

        Such requests are picked by their failing: they tell nothing about stable.
        """
        return self._is_alone and not origin.is_candidate

    def _is_told_elsewhere(self, origin: _Origin) -> bool:
        """Whether another attempt tells what this one would; asked once for each that counts."""
        return origin.is_retry or (origin.copied is not None and self._copies.take(origin.copied))

    def _count(self, origin: _Origin, kind: AttemptClass) -> HostTally:
        tally = self._tally.at(origin.host, is_candidate=origin.is_candidate)
        tally.add(kind, is_onset=self._onsets.take(origin.host, kind))
        return tally

    def _close_epoch(self, now_s: float) -> None:
        """Close what was counted at the old shares of requests.

        Pooled over two of them, a drifting error rate would look like the candidate's (Simpson).
        """
        may_pass = self._is_source_alive
        self._panel.close(now_s, weight_percent=0, may_pass=may_pass, is_forced=True)

    def step_started(self) -> None:
        """Ask for a pass anew; evidence of harm stays."""
        self._panel.start_step()
        self._view = None

    def tick(self, now_s: float, *, opening: Opening, is_source_alive: bool) -> None:
        """Judge what came since the last tick.

        `now_s` is Unix time; it may stand still but is never taken to run backwards.
        `opening` is what brings the candidate requests now. `is_source_alive` False: a ready router
        is silent or lost records, so nothing of this time can speak for the candidate.
        """
        weight_percent, beside = opening.weight_percent, opening.beside
        before_s = self._now_s
        now_s = now_s if before_s is None else max(now_s, before_s)
        self._now_s, self._view = now_s, None
        self._is_alone = WEIGHT_ALONE in (weight_percent, self._weight_percent)
        span_s = TICK_S if before_s is None else min(now_s - before_s, SPAN_S_MAX)
        self._take_records()
        for origin in self._flights.overdue(now_s, limit_s=self._timeout_s):
            if not self._is_standing_in(origin) and not self._is_told_elsewhere(origin):
                self._count(origin, AttemptClass.FAIL)
        before = (self._weight_percent, self._beside)
        if self._weight_percent is not None and before != (weight_percent, beside):
            self._close_epoch(now_s)
            self._flights.excuse()  # what is under way belongs to neither share
        self._absorb(now_s, span_s=span_s)
        self._weight_percent, self._beside = weight_percent, beside
        may_pass = is_source_alive and self._is_source_alive
        if is_source_alive != self._is_source_alive:
            # What is open now may have lost its end, or its neighbours in the block.
            self._flights.excuse()
            self._panel.drop_open()
            self._is_source_alive = is_source_alive
        self._panel.close(now_s, weight_percent=weight_percent, may_pass=may_pass)

    def _absorb(self, now_s: float, *, span_s: float) -> None:
        tally, self._tally = self._tally, Tally()
        self._shedding.add(tally, span_s=span_s)
        self._meet(tally, now_s)
        latencies = tally.latencies(self._other_half) if self._asks_latency else None
        counted = {
            subject: tally.count(subject, self._other_half)
            for subject in (Subject.FAILURES, Subject.REFUSALS)
        }
        self._budget.add(*(counted[subject][0].counts for subject in counted))
        for gate in self._panel.gates:
            if gate.question.subject is not Subject.LATENCY:
                sample, onsets = counted[gate.question.subject]
                gate.add(sample, onsets=onsets, now_s=now_s)
            elif latencies is not None:
                gate.add_latencies(latencies, now_s=now_s, span_s=span_s)

    def _meet(self, tally: Tally, now_s: float) -> None:
        """Put hosts never seen before in one half or the other, and start their warm-up."""
        for host in sorted(tally.candidate.keys() | tally.stable.keys()):
            self._started_at_s.setdefault(host, now_s)
        news = sorted(tally.stable.keys() - self._stable_hosts.keys())
        if not news:
            return
        for host in news:
            others = sum(self._stable_hosts.values())
            self._stable_hosts[host] = 2 * others < len(self._stable_hosts)
        _trim(self._started_at_s)
        _trim(self._stable_hosts)
        self._other_half = frozenset(host for host, is_in in self._stable_hosts.items() if is_in)

    def view(self) -> GuardView:
        """Say everything that is known at the last tick."""
        if self._view is None:
            self._view = self._look()
        return self._view

    def _look(self) -> GuardView:
        panel = self._panel
        p999_s = self._stable_answers.quantile(_tail(self._stable_answers.total))
        if self._p999_before_s is not None and self._stable_answers.total < LATENCY_P999_ANSWERS:
            p999_s = self._p999_before_s
        evidence = Evidence(
            rollout=self._rollout,
            weight_percent=self._weight_percent,
            beside=self._beside,
            gates=panel.dump(),
            stable_latency_s_p999=p999_s,
            conviction=panel.conviction,
            spent=self._budget.dump(),
        )
        is_alive = self._is_source_alive
        return GuardView(
            rollout=self._rollout,
            verdicts=(
                *panel.verdicts(self._now_s or 0.0, is_source_alive=is_alive),
                *self._budget.verdicts(is_source_alive=is_alive),
            ),
            is_shedding=self._shedding.is_candidate_shedding,
            evidence=encode(evidence),
            stable_latency_s_p999=p999_s,
            phi=round(panel.phi, 3),
        )


def _tail(answers: float) -> float:
    """Pick the quantile that stands for stable's slowest answers: 0.999, or less of fewer.

    Of 1500 answers the p99.9 is the second slowest: a moment's pause of the machine, not the
    model. So ten answers must lie beyond it; below 1000 answers being too careful costs less.

    >>> _tail(500), _tail(2000), _tail(50_000)
    (0.999, 0.995, 0.999)
    """
    if answers < TAIL_ANSWERS_MIN:
        return 0.999
    return min(0.999, 1 - TAIL_BEYOND / answers)


def _order(attempt: Attempt) -> tuple[float, str, bool]:
    return (attempt.began_at_s, attempt.key, attempt.duration_s is not None)


def _trim(table: dict[str, Any]) -> None:
    while len(table) > HOSTS_MAX:
        del table[next(iter(table))]
