"""Analysis: which measurements and alerts decide about a candidate, as a user writes it.

Besides what is always watched: failures, refusals and pod health.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import Field

from slipway_api.base import (
    DURATION_PATTERN,
    ContractModel,
    Duration,
    Percent,
    cel_text,
    duration_s,
)
from slipway_api.rules import rule

METRIC_COUNT_MAX: Final = 6
ALERT_COUNT_MAX: Final = 3
QUERY_LENGTH_MAX: Final = 2048
BAD_ANSWERS_MAX: Final = 1_000_000_000
INTERVAL_DEFAULT: Final = "10s"

BUILT_IN: Final = ("error-rate", "latency-p50", "latency-p90", "latency-p95", "latency-p99")
# Names that gates of built-in measurements have in status.
RESERVED: Final = (*BUILT_IN, "errors", "refusals", "budget", *(f"{name}-max" for name in BUILT_IN))
# A share above 0 % and at most 100 %.
ERROR_RATE_PATTERN: Final = r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)%$"
NUMBER_PATTERN: Final = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"
LIMIT_MAX: Final = 1e15

PLACEHOLDERS: Final = ("namespace", "name", "candidate", "stable")
# Two braces begin a placeholder that we know, or nothing: PromQL itself has no use for them.
QUERY_PATTERN: Final = r"^([^{]|\{[^{]|\{\{(" + "|".join(PLACEHOLDERS) + r")\}\})*$"
LABEL_NAME_PATTERN: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*$"


class Metric(ContractModel):
    """A gate: a measurement with a limit, by the routers or by a query to Prometheus."""

    name: Annotated[
        str,
        Field(
            max_length=63,
            pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
            description="error-rate, latency-p50, latency-p90, latency-p95 or latency-p99, taken by"
            " the routers on every attempt; or a name of your own for a query.",
        ),
    ]
    max: Annotated[
        Annotated[int, Field(ge=-(10**15), le=10**15)]
        | Annotated[str, Field(max_length=32)]
        | None,
        Field(
            description="Absolute limit: a percentage for error-rate (1%), a duration for latency"
            ' (200ms), a number for a query (5, "0.05").',
        ),
    ] = None
    max_increase: Annotated[
        Percent | None,
        Field(description="Limit relative to stable over the same time, e.g. 20%."),
    ] = None
    min: Annotated[
        float | None,
        Field(
            ge=-LIMIT_MAX, le=LIMIT_MAX, description="Lower limit of a query's number, e.g. 0.9."
        ),
    ] = None
    query: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=QUERY_LENGTH_MAX,
            description="PromQL that gives one number about the candidate. {{namespace}}, {{name}},"
            " {{candidate}} and {{stable}} stand for this deployment and its two revisions.",
        ),
    ] = None
    interval: Annotated[
        Duration | None,
        Field(description=f"How often a query is asked; {INTERVAL_DEFAULT} if nothing is said."),
    ] = None

    @property
    def interval_s(self) -> float:
        return duration_s(self.interval or INTERVAL_DEFAULT)

    @rule(
        f"has(self.query) || self.name in [{', '.join(map(cel_text, BUILT_IN))}]",
        message=f"name one of {', '.join(BUILT_IN)}, or give a query for a measurement of your own",
        field="name",
    )
    def is_built_in_or_asks(self) -> bool:
        return self.query is not None or self.name in BUILT_IN

    @rule(
        f"!has(self.query) || !(self.name in [{', '.join(map(cel_text, RESERVED))}])",
        message="a built-in gate has this name: give the query another one, e.g. business-value",
        field="name",
    )
    def query_has_a_name_of_its_own(self) -> bool:
        return self.query is None or self.name not in RESERVED

    @rule(
        "has(self.max) || has(self.maxIncrease) || has(self.min)",
        message="give a limit: max (absolute) or maxIncrease (relative to stable), or both;"
        " a query has min, max or both",
    )
    def has_a_limit(self) -> bool:
        return any(limit is not None for limit in (self.max, self.max_increase, self.min))

    @rule(
        "!has(self.max) || self.name != 'error-rate' || (type(self.max) == string &&"
        f" self.max.matches({cel_text(ERROR_RATE_PATTERN)}) && self.max.matches('[1-9]'))",
        message="max of error-rate is a percentage above 0% and up to 100%, e.g. max: 1%",
        field="max",
    )
    def error_rate_is_a_percentage(self) -> bool:
        if self.max is None or self.name != "error-rate":
            return True
        return _is_positive(self.max, ERROR_RATE_PATTERN)

    @rule(
        "!has(self.max) || !self.name.startsWith('latency-') || has(self.query) ||"
        " (type(self.max) == string &&"
        f" self.max.matches({cel_text(DURATION_PATTERN)}) && self.max.matches('[1-9]'))",
        message="max of a latency is a duration above 0, e.g. max: 200ms",
        field="max",
    )
    def latency_is_a_duration(self) -> bool:
        if self.max is None or not self.name.startswith("latency-") or self.query is not None:
            return True
        return _is_positive(self.max, DURATION_PATTERN)

    @rule(
        "!has(self.query) || !has(self.max) || type(self.max) == int ||"
        f" self.max.matches({cel_text(NUMBER_PATTERN)})",
        message='max of a query is a number, one with a fraction in quotes, e.g. max: "0.05"',
        field="max",
    )
    def query_has_a_number_as_limit(self) -> bool:
        if self.query is None or self.max is None or isinstance(self.max, int):
            return True
        return bool(re.fullmatch(NUMBER_PATTERN, self.max))

    @rule(
        "!has(self.query) || !has(self.min) || !has(self.max) || (type(self.max) == string &&"
        f" !self.max.matches({cel_text(NUMBER_PATTERN)})) || self.min <= double(self.max)",
        message="no number is above min and below max: let min be the smaller one",
        field="min",
    )
    def limits_leave_room(self) -> bool:
        if self.query is None or self.min is None or self.max is None:
            return True
        return not self.query_has_a_number_as_limit() or self.min <= float(self.max)

    @rule(
        "has(self.query) || !has(self.min)",
        message="min is for a query; built-in measurements have max and maxIncrease",
        field="min",
    )
    def min_is_for_queries(self) -> bool:
        return self.query is not None or self.min is None

    @rule(
        "!has(self.query) || !has(self.maxIncrease)",
        message="maxIncrease is for built-in measurements: let the query divide by the same for"
        ' {{stable}}, and give max, e.g. max: "1.2"',
        field="maxIncrease",
    )
    def increase_is_for_built_in_ones(self) -> bool:
        return self.query is None or self.max_increase is None

    @rule(
        f"!has(self.query) || self.query.matches({cel_text(QUERY_PATTERN)})",
        message="a query may hold {{namespace}}, {{name}}, {{candidate}} and {{stable}}, written"
        " without spaces, and no other '{{'",
        field="query",
    )
    def query_has_known_placeholders(self) -> bool:
        return self.query is None or bool(re.fullmatch(QUERY_PATTERN, self.query))

    @rule(
        "!has(self.interval) || (has(self.query) && duration(self.interval) >= duration('1s')"
        " && duration(self.interval) <= duration('10m'))",
        message="interval is 1s to 10m, and for a query only: built-in measurements are judged"
        " all the time",
        field="interval",
    )
    def interval_is_sensible(self) -> bool:
        if self.interval is None:
            return True
        return self.query is not None and 1 <= duration_s(self.interval) <= 600


def _is_positive(text: int | str, pattern: str) -> bool:
    return (
        isinstance(text, str)
        and bool(re.fullmatch(pattern, text))
        and bool(re.search("[1-9]", text))
    )


class Alert(ContractModel):
    """A gate: an alert of Prometheus that ends the rollout if it fires because of it."""

    name: Annotated[
        str, Field(min_length=1, max_length=63, description="Name of the alert, its alertname.")
    ]
    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=128)]] | None,
        Field(
            min_length=1,
            max_length=8,
            description="Labels that the alert must have. If nothing is said: namespace and"
            " modeldeployment, with this deployment's namespace and name.",
        ),
    ] = None

    @rule(
        "!has(self.labels) || self.labels.all(k, k.size() <= 63 &&"
        f" k.matches({cel_text(LABEL_NAME_PATTERN)}))",
        message="labels are named as in Prometheus: letters, digits and '_', e.g. service: churn",
        field="labels",
    )
    def labels_have_names(self) -> bool:
        return all(
            len(name) <= 63 and re.fullmatch(LABEL_NAME_PATTERN, name) for name in self.labels or ()
        )


class Insufficient(ContractModel):
    """What to do when there is too little traffic for a verdict."""

    after: Annotated[Duration, Field(description="How long to wait for samples in a step.")] = "30m"
    then: Annotated[
        Literal["hold", "pause", "promote"],
        Field(description="hold: keep waiting; pause: ask a person; promote: go on unproven."),
    ] = "hold"

    @rule(
        "!has(self.after) || duration(self.after) <= duration('168h')",
        message="after may be at most 168h; to wait for ever write then: hold",
        field="after",
    )
    def wait_ends(self) -> bool:
        return duration_s(self.after) <= 168 * 3600


_BY_NAME: Final = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


class Analysis(ContractModel):
    """Which measurements decide. Failures, refusals and pod health are always watched."""

    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            max_length=METRIC_COUNT_MAX,
            description="Limits besides the built-in comparison of failures and refusals.",
            json_schema_extra=dict(_BY_NAME),
        ),
    ] = ()
    alerts: Annotated[
        tuple[Alert, ...],
        Field(
            max_length=ALERT_COUNT_MAX,
            description="Alerts that take the candidate back if they begin after it got traffic.",
            json_schema_extra=dict(_BY_NAME),
        ),
    ] = ()
    max_bad_answers: Annotated[
        int | None,
        Field(
            ge=1,
            le=BAD_ANSWERS_MAX,
            description="Take the candidate back as soon as it has failed or refused so many"
            " attempts in one rollout, mirrored ones included; no such bound if nothing is said.",
        ),
    ] = None
    insufficient: Annotated[
        Insufficient, Field(description="What to do when there is too little traffic.")
    ] = Insufficient()

    @rule(
        "!has(self.metrics) || self.metrics.all(m, self.metrics.exists_one(o, o.name == m.name))",
        message="a metric is given twice: put max and maxIncrease into one entry",
        field="metrics",
    )
    def names_each_metric_once(self) -> bool:
        return len({metric.name for metric in self.metrics}) == len(self.metrics)

    @rule(
        "!has(self.alerts) || self.alerts.all(a, self.alerts.exists_one(o, o.name == a.name))",
        message="an alert is given twice: keep one entry for each name",
        field="alerts",
    )
    def names_each_alert_once(self) -> bool:
        return len({alert.name for alert in self.alerts}) == len(self.alerts)
