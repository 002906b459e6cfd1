"""Questions: what is asked of a candidate, from the defaults and `spec.analysis`.

Failures and refusals are always compared with stable; metrics tighten them and add limits and
latencies. It must not know how an answer is found.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slipway_api.analysis import Analysis, Metric
from slipway_api.base import duration_s, percent_share
from slipway_api.conditions import Reason
from slipway_operator.engine.comparison import FLOOR, RATIO

GATE_ERRORS: Final = "errors"  # always on

UNSEEN_FAILED: Final = 0.1
UNSEEN_REFUSED: Final = 0.5  # refusals are as much the clients': a single broken one is no proof
LIMIT_MIN: Final = 1e-4  # "max: 0%" could be violated, but never be met


class Subject(StrEnum):
    """What makes an attempt bad."""

    FAILURES = "failures"
    REFUSALS = "refusals"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Question:
    """One gate as asked. `ratio` None: an absolute limit; `floor` None: a bare comparison.

    `unseen` is the share of bad attempts that the candidate may have where nobody has seen stable.
    For latency, `quantile` is set and either `increase` (of stable's latency, share of one) or
    `latency_max_s`.
    """

    name: str
    subject: Subject
    reason: Reason
    ratio: float | None = RATIO
    floor: float | None = FLOOR
    unseen: float = UNSEEN_FAILED
    quantile: float | None = None
    increase: float | None = None
    latency_max_s: float | None = None


def questions(analysis: Analysis) -> tuple[Question, ...]:
    """List the gates of a rollout; a metric named twice keeps the last of each limit.

    >>> [question.name for question in questions(Analysis())]
    ['errors', 'refusals']
    >>> strict = Analysis(metrics=[Metric(name="error-rate", max="1%", max_increase="10%")])
    >>> [(question.name, question.ratio, question.floor) for question in questions(strict)]
    [('errors', 1.1, 0.005), ('refusals', 1.25, 0.005), ('error-rate-max', None, 0.01)]
    """
    asked: dict[str, Question] = {
        GATE_ERRORS: Question(GATE_ERRORS, Subject.FAILURES, Reason.ERRORS),
        "refusals": Question("refusals", Subject.REFUSALS, Reason.REFUSALS, unseen=UNSEEN_REFUSED),
    }
    for metric in analysis.metrics:
        if metric.query is not None:
            continue  # measured by Prometheus
        found = _error_rate(metric) if metric.name == "error-rate" else _latency(metric)
        asked |= {question.name: question for question in found}
    return tuple(asked.values())


def _error_rate(metric: Metric) -> list[Question]:
    found = []
    if metric.max_increase is not None:
        ratio = 1 + percent_share(metric.max_increase)
        found.append(Question(GATE_ERRORS, Subject.FAILURES, Reason.ERRORS, ratio=ratio))
    if metric.max is not None:
        limit = min(max(percent_share(str(metric.max)), LIMIT_MIN), 1.0)
        name = f"{metric.name}-max"
        reason = Reason.LIMIT_EXCEEDED
        found.append(Question(name, Subject.FAILURES, reason, ratio=None, floor=limit))
    return found


def _latency(metric: Metric) -> list[Question]:
    quantile = int(metric.name.removeprefix("latency-p")) / 100
    found = []
    if metric.max_increase is not None:
        found.append(
            Question(
                metric.name,
                Subject.LATENCY,
                Reason.LATENCY,
                # The margin is in the increase: more of stable's latency is the question itself.
                ratio=1.0,
                floor=None,
                unseen=1.0,  # stable's quantile itself is unknown then
                quantile=quantile,
                increase=percent_share(metric.max_increase),
            )
        )
    if metric.max is not None:
        found.append(
            Question(
                f"{metric.name}-max",
                Subject.LATENCY,
                Reason.LIMIT_EXCEEDED,
                ratio=None,
                floor=1 - quantile,
                quantile=quantile,
                latency_max_s=duration_s(str(metric.max)),
            )
        )
    return found
