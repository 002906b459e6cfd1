"""Queries: gates whose number another program measures.

A plain limit convicts on two numbers in a row beyond it: one noisy sample ends no rollout. It must
not know how a number comes here.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from slipway_api.analysis import Metric
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import QueryState
from slipway_operator.engine.verdicts import Verdict

BAD_IN_ROW: Final = 2  # one sample may be noise; waiting for a third costs another interval
RETRY_S: Final = 2.0  # while there is no number: an outage's end is seen soon


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source said to one question: a finite number, or the problem why there is none."""

    at: datetime
    value: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class QueryGate:
    """A query's running answer in one step.

    `started_at` is the step's start, None while its clock does not run. `answer` is the last one
    in this step and process, None before it.
    """

    metric: Metric
    state: QueryState
    started_at: datetime | None = None
    answer: Answer | None = None

    @property
    def limit(self) -> str:
        """Word the limits: at least one is there.

        >>> metric = Metric(name="x", query="y", min=0.9, max="5")
        >>> QueryGate(metric, QueryState(gate="x")).limit
        'min 0.9, max 5'
        """
        metric = self.metric
        limits = (("min", metric.min), ("max", metric.max))
        return ", ".join(f"{name} {float(limit):g}" for name, limit in limits if limit is not None)


def start(metric: Metric, known: tuple[QueryState, ...], started_at: datetime | None) -> QueryGate:
    """Begin, or go on from what status knows of this step."""
    state = next((one for one in known if one.gate == metric.name), None)
    is_of_step = (
        state is not None
        and state.measured_at is not None
        and started_at is not None
        and state.measured_at >= started_at
    )
    if state is None or not is_of_step:
        state = QueryState(gate=metric.name)
    return QueryGate(metric, state, started_at)


def due_at(gate: QueryGate) -> datetime | None:
    """Tell when to ask: from one interval after the step's start. None while no step runs."""
    if gate.started_at is None:
        return None
    interval = timedelta(seconds=gate.metric.interval_s)
    if gate.answer is None:
        return (gate.state.measured_at or gate.started_at) + interval
    if gate.answer.value is None:
        return gate.answer.at + min(interval, timedelta(seconds=RETRY_S))
    return gate.answer.at + interval


def take(gate: QueryGate, answer: Answer) -> QueryGate:
    """Count an answer; one that was asked for before the step began counts nowhere."""
    if gate.started_at is None or answer.at < gate.started_at:
        return gate
    if answer.value is None:
        return replace(gate, answer=answer)
    is_bad = _excess(gate, answer.value) is not None
    state = gate.state.model_copy(
        update={
            "measured_at": answer.at,
            "count": gate.state.count + 1,
            "bad_in_row": gate.state.bad_in_row + 1 if is_bad else 0,
        }
    )
    return replace(gate, state=state, answer=answer)


def verdict(gate: QueryGate) -> Verdict:
    """Say what the gate says now."""
    if gate.started_at is None:
        message = "asked for once the candidate has the weight of a step"
        return _verdict(gate, VerdictState.INSUFFICIENT, message, need=1)
    if gate.answer is None:
        message = f"asked for every {gate.metric.interval_s:g} s from the step's start on"
        return _verdict(gate, VerdictState.INSUFFICIENT, message, need=1)
    if gate.answer.value is None:
        return _verdict(gate, VerdictState.UNAVAILABLE, gate.answer.problem, need=None)
    excess = _excess(gate, gate.answer.value)
    if excess is None:
        return _verdict(gate, VerdictState.PASS, f"{gate.answer.value:g} ({gate.limit})", need=0)
    if gate.state.bad_in_row >= BAD_IN_ROW:
        message = f"{excess}, {gate.state.bad_in_row} times in a row"
        return _verdict(gate, VerdictState.FAIL, message, need=0)
    message = f"{excess}; asked again after {gate.metric.interval_s:g} s, to be sure"
    need = BAD_IN_ROW - gate.state.bad_in_row
    return _verdict(gate, VerdictState.INSUFFICIENT, message, need=need)


def unknown_since(gate: QueryGate) -> datetime | None:
    """Tell since when the number is not known; None if it is, or is not asked for yet."""
    if gate.answer is None or gate.answer.value is not None:
        return None
    return gate.state.measured_at or gate.started_at


_REASONS: Final = {
    VerdictState.PASS: Reason.LIMIT_EXCEEDED,
    VerdictState.FAIL: Reason.LIMIT_EXCEEDED,
    VerdictState.INSUFFICIENT: Reason.INSUFFICIENT_DATA,
    VerdictState.UNAVAILABLE: Reason.MEASUREMENT_UNAVAILABLE,
}


def _verdict(gate: QueryGate, state: VerdictState, message: str, *, need: int | None) -> Verdict:
    return Verdict(
        gate=gate.metric.name,
        state=state,
        reason=_REASONS[state],
        message=message,
        candidate_count=0,
        candidate_bad_count=0,
        stable_count=0,
        stable_bad_count=0,
        have=gate.state.count,
        need=need,
        value=gate.answer.value if gate.answer else None,
        limit=gate.limit,
        needs_requests=False,
    )


def _excess(gate: QueryGate, value: float) -> str | None:
    """Say in which way a number is beyond its limits; None if it is not."""
    metric = gate.metric
    if metric.min is not None and value < metric.min:
        return f"{value:g} is below min {metric.min:g}"
    if metric.max is not None and value > float(metric.max):
        return f"{value:g} is above max {float(metric.max):g}"
    return None
