"""Panels of the dashboard, and expressions that tell stable from candidate.

Who of the revisions is what comes from the operator (`slipway_revision_info`): routers and model
servers only know their names.
"""

from dataclasses import dataclass
from typing import Any, Final

from slipway_api import metrics

RATE: Final = "$__rate_interval"
OBJECT: Final = 'namespace="$namespace",name="$name"'
ROUTED: Final = 'slipway_namespace="$namespace",slipway_deployment="$name"'
SERVED: Final = 'namespace="$namespace",deployment="$name"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and how its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `unit` is one of Grafana's ("reqps", "percentunit", "ms", "s", "short")."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    about: str = ""
    kind: str = "timeseries"
    width: int = 12
    maximum: float | None = None


def by_role(expression: str, *, revision_label: str, keep: str = "") -> str:
    """Sum an expression by role; `keep` are further labels that stay ("le")."""
    role = f"max by (revision, role) ({metrics.REVISION_INFO}{{{OBJECT}}})"
    if revision_label != "revision":
        role = (
            f"max by ({revision_label}, role) (label_replace({metrics.REVISION_INFO}{{{OBJECT}}},"
            f' "{revision_label}", "$1", "revision", "(.*)"))'
        )
    labels = ", ".join(("role", keep) if keep else ("role",))
    return f"sum by ({labels}) ({expression} * on ({revision_label}) group_left (role) {role})"


def routed(metric: str, more: str = "", *, keep: str = "") -> str:
    """Sum the rate of a router's counter by role."""
    expression = f"rate({metric}{{{ROUTED}{more}}}[{RATE}])"
    return by_role(expression, revision_label="slipway_revision", keep=keep)


def served(metric: str, *, keep: str) -> str:
    """Sum the rate of a model server's counter by role."""
    expression = f"rate({metric}{{{SERVED}}}[{RATE}])"
    return by_role(expression, revision_label="revision", keep=keep)


def pair(title: str, queries: tuple[Query, ...], **more: Any) -> tuple[Panel, Panel]:
    """Show the same of both sides: stable on the left."""
    left, right = (
        Panel(
            f"{title}: {role}",
            tuple(Query(of_role(query.expression, role), query.legend) for query in queries),
            **more,
        )
        for role in ("stable", "candidate")
    )
    return left, right


def of_role(expression: str, role: str) -> str:
    """Keep one role of an expression."""
    for name in (metrics.REVISION_INFO, metrics.PODS):
        expression = expression.replace(f"{name}{{{OBJECT}", f'{name}{{{OBJECT},role="{role}"')
    return expression
