"""The real Prometheus takes its targets from the operator, and keeps them while it has no news."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from slipway_operator.adapters.http_server import HttpServer
from slipway_operator.adapters.metrics import Metrics
from slipway_operator.shell.insight import Insight
from slipway_operator.shell.observe import Snapshot
from tests import builders
from tests.contract.insight.scrapes import Prometheus, running
from tests.unit.engine.worlds import World

pytestmark = pytest.mark.contract

DEADLINE_S: Final = 20.0


def insight_of(world: World) -> Insight:
    """An operator's insight after one look at a world."""
    insight = Insight(Metrics(version="1"), pod="operator-a", routers=lambda: builders.ROUTERS)
    snapshot = Snapshot(world.observation(), {}, "1")
    insight.decided(snapshot, world.step(), world.now)
    return insight


async def found(
    prometheus: Prometheus, is_enough: Callable[[list[dict[str, str]]], bool]
) -> list[dict[str, str]]:
    """Ask until the labels of all targets are enough."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        active: list[dict[str, Any]] = (await prometheus.ask("targets"))["activeTargets"]
        labels = [each["labels"] for each in active]
        if is_enough(labels):
            return labels
        assert time.monotonic() < deadline_s, labels
        await asyncio.sleep(0.1)


async def test_prometheus_finds_every_pod_with_what_it_is_a_part_of(tmp_path: Path) -> None:
    world = World.rolling()
    insight = insight_of(world)
    insight.complete()
    server = HttpServer([insight.route()], port=0)
    url = f"http://127.0.0.1:{await server.start()}/http_sd"
    try:
        async with running(tmp_path / "prometheus", [], discovery=url) as prometheus:
            labels = await found(prometheus, lambda each: len(each) >= 7)
    finally:
        await server.stop()

    models = [each for each in labels if each.get("component") == "model"]
    routers = [each for each in labels if each.get("component") == "router"]
    assert {(each["revision"], each["role"]) for each in models} == {
        (world.status.stable, "stable"),
        (world.status.candidate, "candidate"),
    }
    assert {(each["namespace"], each["modeldeployment"]) for each in models} == {("ml", "churn")}
    assert {each["pod"] for each in routers} == {"router-a", "router-b"}
    assert [each["pod"] for each in labels if each.get("component") == "operator"] == ["operator-a"]


async def test_an_operator_without_an_overview_tells_nothing(tmp_path: Path) -> None:
    insight = insight_of(World.rolling())
    server = HttpServer([insight.route()], port=0)
    url = f"http://127.0.0.1:{await server.start()}/http_sd"
    try:
        async with running(tmp_path / "prometheus", [], discovery=url) as prometheus:
            failures = "prometheus_sd_http_failures_total > 0"
            while not await prometheus.query(failures):
                await asyncio.sleep(0.1)
            labels = (await prometheus.ask("targets"))["activeTargets"]
    finally:
        await server.stop()

    assert [each["labels"]["job"] for each in labels] == ["prometheus"]
