"""Every query of dashboard and alerts finds what operator, routers and model servers export.

All four programs are real: Prometheus scrapes a router with its Envoy, a model server, and the
operator's metrics over its HTTP port.
"""

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from sandbox import dashboards, places
from slipway_operator.adapters.http_server import HttpServer
from slipway_operator.adapters.metrics import Metrics, Shown
from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.render import promql
from slipway_operator.shell import gauges
from slipway_operator.shell.routing import RoutingTable
from slipway_operator.shell.vitals import Vitals
from slipway_operator.shell.work_queue import WorkQueue
from slipway_server.core.profile import Number, Profile
from tests.contract.insight.scrapes import Prometheus, Target, metric_names, running
from tests.contract.router.stage import Stage
from tests.contract.server.conftest import ServerProcess, start

pytestmark = pytest.mark.contract

RULES: Final = places.checkout() / "charts" / "slipway" / "files" / "alerts.yaml"
IDENTITY: Final = places.checkout() / "server" / "slipway_server" / "share" / "identity.onnx"
OWNER: Final = ("ml", "churn")
DEADLINE_S: Final = 30.0
PROFILE: Final = Profile(
    rows=10, features=(Number(name="age", edges=(0, 0.5, 1), counts=(0, 5, 5, 0, 0)),)
)
VARIABLES: Final = {
    "$namespace": "ml",
    "$name": "churn",
    "$__rate_interval": "30s",
    "$__range": "1m",
}


def test_names_of_metrics_are_told_from_labels() -> None:
    expression = (
        'sum by (slipway_namespace) (rate(envoy_x{slipway_deployment="a}"}[5m]))'
        ' * on (slipway_revision) label_replace(slipway_y, "slipway_z", "$1", "b", "(.*)")'
    )

    assert metric_names(expression) == {"envoy_x", "slipway_y"}


def query_of(expression: str) -> str:
    """Put values where Grafana would."""
    for name, value in sorted(VARIABLES.items(), key=lambda each: -len(each[0])):
        expression = expression.replace(name, value)
    return expression


def operator_metrics(stage: Stage) -> Metrics:
    """The metrics of an operator that has taken a candidate back before and tries another."""
    metrics = Metrics(version="1")

    async def handle(_: str) -> None: ...

    gauges.show(
        metrics,
        queue=WorkQueue(handle, backoff_s=lambda _: 1.0),
        vitals=Vitals(lambda: 0.0),
        table=RoutingTable(stage.ads, RouterProbe(), wake=lambda _: None),
        ads=stage.ads,
        leads=lambda: True,
    )
    metrics.show(
        OWNER,
        Shown(
            phase="RollingOut",
            weight_asked=50,
            weight_verified=50,
            verdicts=(("errors", "pass"),),
            pods=tuple((r, s, 2) for r in ("stable", "candidate") for s in ("desired", "ready")),
            revisions=(("r1", "stable"), ("r2", "candidate")),
        ),
    )
    metrics.rollout_ended(OWNER, outcome="Aborted", reason="Errors")
    metrics.candidate_out(0.1)
    metrics.reconciled(0.02, error="Conflict")
    metrics.kube_answered("get", 200)
    return metrics


def documented_gate() -> str:
    """Write the query of the page about drift as the operator does."""
    text = (places.checkout() / "docs" / "drift.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (metric,) = yaml.safe_load(block)["spec"]["analysis"]["metrics"]
    values = {"namespace": "ml", "name": "churn", "candidate": "r2", "stable": "r1"}
    return promql.render(metric["query"], values)


async def ask_for_ever(servers: list[ServerProcess]) -> None:
    """Let counters grow: what never grows has no rate. Probabilities and a value in turn."""
    for index in itertools.count():
        data = [[0.2, 0.8], [0.7]][index % 2]
        x = {"name": "x", "datatype": "FP32", "shape": [1, len(data)], "data": data}
        for server in servers:
            await asyncio.to_thread(server.infer, x)
        await asyncio.sleep(0.1)


@asynccontextmanager
async def model_servers(directory: Path) -> AsyncIterator[list[ServerProcess]]:
    """Run a model server of each revision."""
    servers: list[ServerProcess] = []
    profile = directory / "profile.json"
    profile.write_text(PROFILE.model_dump_json(exclude_none=True))
    try:
        for revision in ("r1", "r2"):
            names = {"namespace": "ml", "deployment": "churn", "revision": revision}
            names["profile"] = str(profile)
            server = start(directory / f"server-{revision}", IDENTITY, environ={}, **names)
            servers.append(server)
        for server in servers:
            await asyncio.to_thread(server.find_ports)
            await asyncio.to_thread(server.wait_until_ready)
            await asyncio.to_thread(server.call, "/v2/models/model/infer", {"inputs": []})
        asking = asyncio.create_task(ask_for_ever(servers))
        yield servers
        asking.cancel()
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()


@asynccontextmanager
async def everything_scraped(directory: Path, stage: Stage) -> AsyncIterator[Prometheus]:
    """Let requests fail on both revisions, then scrape everything."""
    _, candidate = await stage.canary(50)
    candidate.set_mode("500")
    await stage.rest(40)
    for revision in stage.revisions:
        for pod in revision.all_pods:
            pod.mode = "500"
    await stage.rest(40)
    operator = HttpServer([operator_metrics(stage).route()], port=0)
    port = await operator.start()
    try:
        async with model_servers(directory) as servers:
            targets = [
                Target(port, {"component": "operator"}),
                Target(stage.routers[0].health_port, {"component": "router"}),
                *(Target(server.ports[0], {"component": "model"}) for server in servers),
            ]
            async with running(directory / "prometheus", targets, rules=RULES) as prometheus:
                yield prometheus
    finally:
        await operator.stop()


async def silent(prometheus: Prometheus, expressions: tuple[str, ...]) -> list[str]:
    """Ask until every expression has a result, or time is over; gives those without."""
    deadline_s = time.monotonic() + DEADLINE_S
    left = list(expressions)
    while left and time.monotonic() < deadline_s:
        left = [each for each in left if not await prometheus.query(query_of(each))]
        await asyncio.sleep(0.5)
    return left


async def test_every_query_finds_what_is_really_exported(stage: Stage, tmp_path: Path) -> None:
    alerts = [
        rule["expr"]
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    wanted = set().union(*(metric_names(each) for each in (*alerts, *dashboards.expressions())))

    async with everything_scraped(tmp_path, stage) as prometheus:
        assert await silent(prometheus, dashboards.expressions()) == []
        assert wanted - await prometheus.names() == set()
        for each in alerts:
            await prometheus.query(each)
        groups = (await prometheus.ask("rules"))["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        up = await prometheus.query("up == 0")
        (apart,) = await prometheus.query(documented_gate())

    assert len(alerts) == len(health)
    assert set(health.values()) == {"ok"}, health
    assert up == []
    assert 0 <= float(apart["value"][1]) <= 1
