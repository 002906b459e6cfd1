"""The Grafana dashboard of a ModelDeployment, made from its queries; `./dev generate` writes it.

Stable and candidate stand side by side, on one scale.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from sandbox import drift
from sandbox.panels import OBJECT, RATE, Panel, Query, pair, routed, served
from slipway_api import metrics

FILE: Final = "dashboard.json"
UID: Final = "slipway-rollout"
TITLE: Final = "Slipway / ModelDeployment"
WIDTH: Final = 24  # of Grafana's grid
HEIGHT: Final = 7
SCHEMA_VERSION: Final = 39  # Grafana 11; later ones migrate it when they load it

Json = dict[str, Any]


def rows() -> tuple[tuple[str, tuple[Panel, ...]], ...]:
    """List the panels of each row, in reading order."""
    return (
        ("Rollout", tuple(_rollout())),
        ("Stable and candidate", tuple(panel for pair in _pairs() for panel in pair)),
        ("Predictions and features", tuple(drift.panels())),
        ("Operator and routers", tuple(_operator())),
    )


def _rollout() -> Iterable[Panel]:
    yield Panel(
        "Phase",
        (Query(f"{metrics.PHASE}{{{OBJECT}}}", "{{phase}}"),),
        kind="state-timeline",
        about="What the status tells: RollingOut, Paused, Aborting, RolledBack, Stalled, …",
    )
    yield Panel(
        "Weight of the candidate",
        (Query(f"{metrics.WEIGHT}{{{OBJECT}}}", "{{kind}}"),),
        unit="percent",
        maximum=100,
        about="Asked of the routers, and verified: seen at every router.",
    )
    yield Panel(
        "Verdicts",
        (Query(f"{metrics.GATE_VERDICT}{{{OBJECT}}} == 1", "{{gate}}: {{verdict}}"),),
        kind="state-timeline",
        about="What each gate says while a rollout runs.",
    )
    yield Panel(
        "Rollouts that ended",
        (
            Query(
                f"sum by (outcome, reason) (increase({metrics.ROLLOUTS}{{{OBJECT}}}[$__range]))",
                "{{outcome}}: {{reason}}",
            ),
        ),
        kind="stat",
        about="In the shown time, by outcome and cause.",
    )


def _pairs() -> Iterable[tuple[Panel, Panel]]:
    answers = routed(metrics.ROUTER_ANSWERS)
    failed = routed(metrics.ROUTER_ANSWERS, ',envoy_response_code_class="5"')
    yield pair("Attempts", (Query(routed(metrics.ROUTER_ATTEMPTS), "attempts"),), unit="reqps")
    yield pair(
        "Errors",
        (
            Query(f"{routed(metrics.ROUTER_RETRIES)} / {answers}", "tried again"),
            Query(f"{failed} / {answers}", "failed at clients"),
        ),
        unit="percentunit",
        about="Share of the requests that first went to this revision: those that needed another"
        " attempt, and those that failed all the same.",
    )
    buckets = routed(f"{metrics.ROUTER_LATENCY_MS}_bucket", keep="le")
    yield pair(
        "Latency at the routers",
        tuple(
            Query(f"histogram_quantile({quantile}, {buckets})", f"p{name}")
            for quantile, name in ((0.5, 50), (0.95, 95), (0.99, 99))
        ),
        unit="ms",
    )
    yield pair(
        "Answers of the model server",
        (Query(served(metrics.SERVER_REQUESTS, keep="code"), "{{code}}"),),
        unit="reqps",
        about="By code, from the built-in model server itself.",
    )
    spent, count = (
        served(f"{metrics.SERVER_STAGE_SECONDS}_{part}", keep="stage") for part in ("sum", "count")
    )
    yield pair(
        "Time in the model server",
        (Query(f"{spent} / {count}", "{{stage}}"),),
        unit="s",
        about="Mean time of a request in each stage, from its body to its answer.",
    )
    yield pair(
        "Pods",
        (Query(f"{metrics.PODS}{{{OBJECT}}}", "{{state}}"),),
    )


def _operator() -> Iterable[Panel]:
    yield Panel(
        "Routers and operators",
        (
            Query(f"max by (state) ({metrics.ROUTERS})", "routers {{state}}"),
            Query(f"sum({metrics.LEADER})", "operators that lead"),
        ),
        about="Routers: ready pods, and those connected to the operator that leads.",
        width=8,
    )
    safe = f"sum by (le) (increase({metrics.TIME_TO_SAFE}_bucket[$__range]))"
    yield Panel(
        "Time to safe",
        tuple(
            Query(f"histogram_quantile({quantile}, {safe})", f"p{name}")
            for quantile, name in ((0.5, 50), (0.99, 99))
        ),
        unit="s",
        about="From the decision to abort until every router was seen to give the candidate none.",
        width=8,
    )
    yield Panel(
        "Queue and event loop",
        (
            Query(f"max({metrics.QUEUE_OLDEST})", "oldest key"),
            Query(f"max({metrics.LOOP_LAG})", "event loop"),
        ),
        unit="s",
        width=8,
    )
    looks = f"sum by (le) (rate({metrics.RECONCILE}_bucket[{RATE}]))"
    yield Panel(
        "Looks at ModelDeployments",
        (
            Query(f"histogram_quantile(0.5, {looks})", "p50"),
            Query(f"histogram_quantile(0.99, {looks})", "p99"),
        ),
        unit="s",
        width=8,
    )
    yield Panel(
        "Looks that failed",
        (Query(f"sum by (error) (rate({metrics.RECONCILE_ERRORS}[{RATE}]))", "{{error}}"),),
        unit="ops",
        width=8,
    )
    yield Panel(
        "Requests to the API server",
        (
            Query(
                f"sum by (verb, code) (rate({metrics.KUBE_REQUESTS}[{RATE}]))", "{{verb}} {{code}}"
            ),
        ),
        unit="reqps",
        width=8,
    )


def expressions() -> tuple[str, ...]:
    """List every expression, with Grafana's variables in it."""
    return tuple(
        query.expression for _, panels in rows() for panel in panels for query in panel.queries
    )


def text() -> str:
    """Write the dashboard as Grafana imports it."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def dashboard() -> Json:
    """Make the dashboard."""
    return {
        "uid": UID,
        "title": TITLE,
        "tags": ["slipway"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one crosshair through all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": _laid_out(),
    }


def _variables() -> list[Json]:
    source = {"type": "prometheus", "uid": "${datasource}"}

    def of(name: str, query: str) -> Json:
        return {
            "name": name,
            "type": "query",
            "datasource": source,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,  # when the time range changes
            "sort": 1,
        }

    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        of("namespace", f"label_values({metrics.PHASE}, namespace)"),
        of("name", f'label_values({metrics.PHASE}{{namespace="$namespace"}}, name)'),
    ]


def _laid_out() -> list[Json]:
    """Place rows and panels on the grid, left to right and top to bottom."""
    placed: list[Json] = []
    top = 0
    for title, panels in rows():
        placed.append(
            {
                "type": "row",
                "id": len(placed) + 1,
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        top, left = top + 1, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left = top + HEIGHT, 0
            position = {"x": left, "y": top, "w": panel.width, "h": HEIGHT}
            placed.append(_panel(panel, number=len(placed) + 1) | {"gridPos": position})
            left += panel.width
        top += HEIGHT
    return placed


def _panel(panel: Panel, *, number: int) -> Json:
    source = {"type": "prometheus", "uid": "${datasource}"}
    defaults: Json = {"unit": panel.unit, "min": 0}
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": source,
                "expr": query.expression,
                "legendFormat": query.legend,
                "range": True,
            }
            for index, query in enumerate(panel.queries)
        ],
    }
