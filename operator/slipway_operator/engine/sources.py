"""Sources: the gates of one rollout that Prometheus answers, next to those of the guard.

A reducer over answers. It must not know addresses, timeouts or what follows from a verdict.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from slipway_api.analysis import Analysis
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import QueryState
from slipway_operator.engine import alerts, queries
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.alerts import AlertsSeen, Owner
from slipway_operator.engine.queries import Answer
from slipway_operator.engine.verdicts import GuardView, Verdict

NOT_CONFIGURED: Final = (
    "the operator knows no Prometheus: set the chart's value prometheus.url"
    " (SLIPWAY_OPERATOR_PROMETHEUS_URL)"
)


@dataclass(frozen=True, slots=True)
class SourcesView:
    """What the gates of one rollout say that others measure.

    `away` is the first gate that cannot say anything, None if each can; `away_since` is since
    when. `queries` is what a restart needs.
    """

    verdicts: tuple[Verdict, ...]
    queries: tuple[QueryState, ...]
    away: Verdict | None
    away_since: datetime | None


def are_asked(analysis: Analysis) -> bool:
    """Tell whether an analysis has gates that Prometheus answers."""
    return bool(analysis.alerts) or any(one.query is not None for one in analysis.metrics)


def hindrance(guard: GuardView | None, analysis: Analysis) -> tuple[Reason, str] | None:
    """Say why nothing may go on because of what Prometheus is asked; None if it may."""
    if guard is None:
        just_begun = (Reason.MEASUREMENT_UNAVAILABLE, "measurement has just begun")
        return just_begun if are_asked(analysis) else None
    if guard.away is None:
        return None
    return guard.away.reason, f"{guard.away.gate}: {guard.away.message}"


def join(guard: GuardView, sources: SourcesView | None) -> GuardView:
    """Let one view say what all gates of a rollout say."""
    if sources is None:
        return guard
    return replace(
        guard,
        verdicts=(*guard.verdicts, *sources.verdicts),
        queries=sources.queries,
        away=sources.away,
        away_since=sources.away_since,
    )


class Sources:
    """Judges one rollout by answers of Prometheus; not thread-safe."""

    def __init__(self, owner: Owner, watch: Watch, *, is_configured: bool) -> None:
        """Start, or go on where the watch's memory ends."""
        self._owner = owner
        self._is_configured = is_configured
        self._watch = watch
        self._gates = {
            metric.name: queries.start(metric, watch.queries, watch.step_started_at)
            for metric in watch.analysis.metrics
            if metric.query is not None
        }
        self._alerts: AlertsSeen | None = None
        self._clear_at: dict[str, datetime] = {}  # by gate: when an alert could last be judged
        self._convicted: dict[str, Verdict] = {}

    @property
    def watch(self) -> Watch:
        return self._watch

    def follow(self, watch: Watch) -> None:
        """Follow the rollout: its steps, its weight, a changed analysis; convictions stay."""
        before, self._watch = self._watch, watch
        for metric in watch.analysis.metrics:
            if metric.query is None:
                continue
            gate = self._gates.get(metric.name)
            if gate is None or gate.metric != metric:
                self._gates[metric.name] = queries.start(metric, (), watch.step_started_at)
            elif before.step_started_at != watch.step_started_at:
                self._gates[metric.name] = queries.start(
                    metric, (gate.state,), watch.step_started_at
                )
        for name in self._gates.keys() - {metric.name for metric in watch.analysis.metrics}:
            del self._gates[name]

    def due(self, now: datetime) -> tuple[str, ...]:
        """List the queries that are to be asked now."""
        if not self._is_configured:
            return ()
        times = {name: queries.due_at(gate) for name, gate in self._gates.items()}
        return tuple(name for name, at in times.items() if at is not None and at <= now)

    def query(self, gate: str) -> str:
        """Give a gate's query as the user wrote it; raises ValueError if it is gone."""
        known = self._gates.get(gate)
        if known is None or known.metric.query is None:
            raise ValueError(f"analysis.metrics has no query {gate!r} any more")
        return known.metric.query

    def take_answer(self, gate: str, answer: Answer) -> None:
        """Take an answer in; one to a question that nobody asks any more counts nowhere."""
        if gate in self._gates:
            self._gates[gate] = queries.take(self._gates[gate], answer)

    def take_alerts(self, seen: AlertsSeen) -> None:
        """Take in which alerts fire."""
        self._alerts = seen
        for alert in self._watch.analysis.alerts:
            verdict = self._judge(alerts.gate_name(alert))
            if verdict.state is not VerdictState.UNAVAILABLE:
                self._clear_at[verdict.gate] = seen.at

    def view(self) -> SourcesView:
        """Say everything that is known now."""
        names = [*self._gates, *map(alerts.gate_name, self._watch.analysis.alerts)]
        verdicts = tuple(self._convicted.get(name) or self._judge(name) for name in names)
        for verdict in verdicts:
            if verdict.state is VerdictState.FAIL:
                self._convicted.setdefault(verdict.gate, verdict)
        silent = [one for one in verdicts if one.state is VerdictState.UNAVAILABLE]
        times = [since for one in silent if (since := self._silent_since(one)) is not None]
        return SourcesView(
            verdicts=verdicts,
            queries=tuple(gate.state for gate in self._gates.values()),
            away=silent[0] if silent else None,
            away_since=min(times, default=None),
        )

    def _judge(self, name: str) -> Verdict:
        gate = self._gates.get(name)
        if gate is not None:
            verdict = queries.verdict(gate)
        else:
            alert = next(a for a in self._watch.analysis.alerts if alerts.gate_name(a) == name)
            verdict = alerts.verdict(
                alert, self._alerts, owner=self._owner, weighted_at=self._watch.weighted_at
            )
        if self._is_configured:
            return verdict
        return replace(
            verdict,
            state=VerdictState.UNAVAILABLE,
            reason=Reason.MEASUREMENT_UNAVAILABLE,
            message=NOT_CONFIGURED,
            need=None,
        )

    def _silent_since(self, verdict: Verdict) -> datetime | None:
        """Tell since when a gate cannot say anything; None: it never could."""
        gate = self._gates.get(verdict.gate)
        if gate is not None:
            return queries.unknown_since(gate)
        if self._alerts is None:
            return None
        return self._clear_at.setdefault(verdict.gate, self._alerts.at)
