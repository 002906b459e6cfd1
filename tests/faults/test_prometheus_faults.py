"""Prometheus that goes away, and alerts that fire: with the real programs beside the cluster.

They run in the clients' place: names of Services work there, and pods can call it. What they are
asked about is a number that the test sets.
"""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from bench import monitoring
from bench.monitoring import Numbers, Program
from bench.scene import SYSTEM_NAMESPACE, Scene, eventually, install
from bench.trial import HEALTHY, Trial
from slipway_api.conditions import Outcome, Reason
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.faults

OPERATOR_URL: Final = f"http://slipway-operator.{SYSTEM_NAMESPACE}:8080"
TOKEN: Final = "a-token-of-at-least-sixteen-bytes"
TOKEN_SECRET: Final = "alertmanager-token"
BROKEN: Final = "broken == 1"
AWAY_S: Final = 60.0
INTERVAL_S: Final = 2.0
RETRY_S: Final = 2.0
NOTICED_S: Final = 3.0  # evaluation, scrape and a busy machine
BY_WEBHOOK_S: Final = 2.0
BY_POLLING_S: Final = 4.0
QUERY: Final = {"name": "business", "query": "business", "min": 0.9, "interval": f"{INTERVAL_S:g}s"}


@dataclass
class Watchers:
    """Prometheus and Alertmanager of the tests, and the numbers that they look at."""

    numbers: Numbers
    prometheus: Program
    alertmanager: Program

    def ask(self, path: str, **query: str) -> Any:
        """Ask Prometheus' API."""
        url = f"{self.prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5.0) as answer:
            return json.load(answer)["data"]

    def began(self, name: str, *, namespace: str) -> datetime | None:
        """Tell since when an alert fires; None if it does not."""
        for alert in self.ask("alerts")["alerts"]:
            labels = alert["labels"]
            is_mine = labels["alertname"] == name and labels["namespace"] == namespace
            if is_mine and alert["state"] == "firing":
                return datetime.fromisoformat(alert["activeAt"])
        return None

    def calls(self) -> dict[str, float]:
        """Read what Alertmanager counts of its webhook calls, by name."""
        with urllib.request.urlopen(f"{self.alertmanager.url}/metrics", timeout=5.0) as answer:
            lines = answer.read().decode().splitlines()
        found = {}
        for line in lines:
            name, _, value = line.rpartition(" ")
            if 'integration="webhook"' in name and not name.startswith("#"):
                found[name.partition("{")[0]] = found.get(name.partition("{")[0], 0.0) + float(
                    value
                )
        return found


@pytest.fixture(scope="module")
def watchers(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watchers]:
    """Run both programs, and tell the operator of them by the chart's values."""
    folder: Path = tmp_path_factory.mktemp("monitoring")
    address = scene.ground.cluster.layout.addresses.client.address
    wrap = scene.ground.client_command
    numbers = Numbers(business=0.95, broken=0)
    # One rule for all namespaces of this file's tests: each gets the label of its own.
    rules = [
        monitoring.alert(
            "Broken", f"broken_{index} == 1", namespace=f"alerts-{index}", modeldeployment="tumour"
        )
        for index in ("webhook", "polling")
    ]
    numbers.values |= {"broken_webhook": 0, "broken_polling": 0}
    manager = monitoring.alertmanager(
        folder / "alertmanager",
        webhook=f"{OPERATOR_URL}/alerts",
        token=TOKEN,
        address=address,
        wrap=wrap,
    )
    with numbers.served(scene.ground.host_address) as target:
        program = monitoring.prometheus(
            folder / "prometheus",
            address=address,
            targets=(target,),
            rules=rules,
            alertmanager=manager.url,
            wrap=wrap,
        )
        scene.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": TOKEN_SECRET, "namespace": SYSTEM_NAMESPACE},
                "stringData": {"token": TOKEN},
            }
        )
        program.start()
        told = {"prometheus": {"url": program.url}, "alertmanager": {"tokenSecret": TOKEN_SECRET}}
        install(scene, told)
        try:
            yield Watchers(numbers, program, manager)
        finally:
            program.stop()
            manager.stop()
            install(scene)


@contextmanager
def rolled_out(trial: Trial, analysis: dict[str, Any], *, hold: str) -> Iterator[None]:
    """Let a healthy candidate have half of the load, for the length of a block."""
    how: dict[str, Any] = {"steps": [{"weight": 50, "hold": hold}], "analysis": analysis}
    trial.serve(**how)
    with trial.load():
        trial.change(HEALTHY, **how)
        yield


def labelled(trial: Trial, namespace: str) -> dict[str, Any]:
    """Ask about the alert that a rule of these tests fires."""
    labels = {"namespace": namespace, "modeldeployment": trial.target.name}
    return {"alerts": [{"name": "Broken", "labels": labels}]}


def aborted_s(trial: Trial, began: datetime) -> float:
    """Wait until the candidate is out because of the alert; seconds from its beginning on."""
    status, ended = trial.ended()
    assert (Outcome.ABORTED, Reason.ALERT_FIRING) == (ended.outcome, ended.reason), ended
    return (status.rejected[0].at - began).total_seconds()


def test_an_alert_takes_the_candidate_back_through_the_webhook(
    trial: Trial, watchers: Watchers
) -> None:
    namespace = "alerts-webhook"
    watchers.alertmanager.start()
    with rolled_out(trial, labelled(trial, namespace), hold="10m"):
        trial.at_weight(50)
        trial.pass_time(3.0)
        watchers.numbers.values["broken_webhook"] = 1
        began = eventually(lambda: watchers.began("Broken", namespace=namespace), what="it fires")
        taken_s = aborted_s(trial, began)
        eventually(
            lambda: watchers.calls().get("alertmanager_notification_latency_seconds_count"),
            what="Alertmanager's call was answered",
        )
        calls = watchers.calls()
        watchers.numbers.values["broken_webhook"] = 0
    watchers.alertmanager.stop()

    found = trial.toll()
    count = calls["alertmanager_notification_latency_seconds_count"]
    answered_s = calls["alertmanager_notification_latency_seconds_sum"] / count
    trial.note(fired_to_abort_s=taken_s, call_to_status_s=answered_s, calls=count)
    assert found.is_nothing, found
    assert answered_s <= BY_WEBHOOK_S, calls
    assert taken_s <= BY_POLLING_S


def test_polling_alone_takes_the_candidate_back_and_an_older_alert_holds_the_start(
    trial: Trial, watchers: Watchers
) -> None:
    namespace = "alerts-polling"
    watchers.numbers.values["broken_polling"] = 1
    eventually(lambda: watchers.began("Broken", namespace=namespace), what="it fires")
    with rolled_out(trial, labelled(trial, namespace), hold="10m"):
        held = trial.scene.until(
            trial.target,
            lambda status: status.waiting and status.waiting.reason == Reason.ALERT_FIRING,
            what="an alert that fires holds the start",
            timeout_s=120.0,
        )
        watchers.numbers.values["broken_polling"] = 0
        trial.at_weight(50)
        trial.pass_time(3.0)
        watchers.numbers.values["broken_polling"] = 1
        began = eventually(lambda: watchers.began("Broken", namespace=namespace), what="it fires")
        taken_s = aborted_s(trial, began)
        watchers.numbers.values["broken_polling"] = 0

    found = trial.toll()
    trial.note(fired_to_abort_s=taken_s)
    assert 0 == held.weight.asked
    assert found.is_nothing, found
    assert taken_s <= BY_POLLING_S


def test_while_prometheus_is_away_a_step_stands_still(trial: Trial, watchers: Watchers) -> None:
    with rolled_out(trial, {"metrics": [QUERY]}, hold="40s"):
        trial.at_weight(50)
        before = trial.scene.until(
            trial.target,
            lambda status: any(one.gate == "business" and one.value for one in status.verdicts),
            what="the query has given a number",
        )
        stopped_at = time.time()
        watchers.prometheus.stop()
        noticed = trial.scene.until(trial.target, _is_away, what="the gate is unavailable")
        _watch(trial, until_s=stopped_at + AWAY_S)
        away_s = time.time() - stopped_at
        watchers.prometheus.start()
        away_s = time.time() - stopped_at
        after = trial.scene.until(
            trial.target,
            lambda status: status.step and status.step.ends_at,
            what="the clock goes on",
        )
        _, ended = trial.ended(timeout_s=180.0)

    found = trial.toll()
    assert before.step is not None
    assert before.step.ends_at is not None
    assert after.step is not None
    assert after.step.ends_at is not None
    moved_s = (after.step.ends_at - before.step.ends_at) / timedelta(seconds=1)
    trial.note(away_s=away_s, end_moved_s=moved_s)
    assert noticed.step is not None
    assert noticed.step.ends_at is None
    assert away_s - NOTICED_S <= moved_s <= away_s + INTERVAL_S + RETRY_S + NOTICED_S
    assert (Outcome.PROMOTED, False) == (ended.outcome, ended.unproven), ended
    assert ended.ended_at >= after.step.ends_at
    assert found.is_nothing, found


def _is_away(status: ModelDeploymentStatus) -> bool:
    return status.waiting is not None and status.waiting.reason == Reason.MEASUREMENT_UNAVAILABLE


def _watch(trial: Trial, *, until_s: float) -> None:
    """See that nothing is promoted or aborted meanwhile."""
    while time.time() < until_s:
        status = trial.status()
        assert status.rollout is not None
        assert status.rollout.abort is None
        assert 50 == status.weight.asked
        assert _is_away(status), status.waiting
        time.sleep(1.0)
