"""What a team looks at: the operator's metrics and targets follow a rollout on the cluster."""

import json
import re
from typing import Any, Final

import pytest

from bench.scene import STARTED_S, SYSTEM_NAMESPACE, Scene, Target, eventually, manifest
from slipway_api import metrics, names
from slipway_api.conditions import Outcome, Phase, Reason

pytestmark = pytest.mark.e2e

SEEN: Final = Target("e2e", "seen")
SERIES: Final = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
ABORT_S_MAX: Final = 2.0


@pytest.fixture(scope="module", autouse=True)
def deployment(scene: Scene):
    """One deployment that serves."""
    scene.apply(manifest(SEEN))
    scene.serves(SEEN)
    yield
    scene.delete(SEEN)


def addresses(scene: Scene, component: str) -> list[str]:
    selector = f"{names.LABEL_NAME}=slipway,{names.LABEL_COMPONENT}={component}"
    pods = scene.read("pods", f"--namespace={SYSTEM_NAMESPACE}", f"--selector={selector}")["items"]
    return [pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")]


def fetched(scene: Scene, url: str) -> str | None:
    """Get a page as something in the cluster would; None if there is none."""
    done = scene.client("curl", "--silent", "--fail", "--max-time", "10", url)
    return done.stdout if done.returncode == 0 else None


def operators(scene: Scene, path: str) -> list[str]:
    """Get a page of every operator that has it."""
    urls = [
        f"http://{address}:{names.PORT_OPERATOR_HTTP}{path}"
        for address in addresses(scene, names.COMPONENT_OPERATOR)
    ]
    return [page for page in (fetched(scene, url) for url in urls) if page is not None]


def samples(scene: Scene, name: str) -> list[tuple[dict[str, str], float]]:
    """Read the samples of a metric that are about our deployment, or about none."""
    found = []
    for page in operators(scene, "/metrics"):
        for line in page.splitlines():
            match = SERIES.fullmatch(line)
            if match and match[1] == name:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if labels.get(metrics.NAME, SEEN.name) == SEEN.name:
                    found.append((labels, float(match[3])))
    return found


def aborts_of(scene: Scene) -> tuple[float, float]:
    """Count aborts of all deployments, and those that were quick."""
    quick = [
        value
        for labels, value in samples(scene, f"{metrics.TIME_TO_SAFE}_bucket")
        if labels["le"] == f"{ABORT_S_MAX}"
    ]
    return sum(value for _, value in samples(scene, f"{metrics.TIME_TO_SAFE}_count")), sum(quick)


def weights(scene: Scene) -> dict[str, float]:
    return {labels["kind"]: value for labels, value in samples(scene, metrics.WEIGHT)}


def targets(scene: Scene) -> list[dict[str, Any]]:
    """The targets of the operator that leads: the other one has none to tell."""
    (page,) = operators(scene, "/http_sd")
    listed: list[dict[str, Any]] = json.loads(page)
    return listed


def test_a_rollout_shows_its_weight_its_pods_and_how_it_ended(scene: Scene) -> None:
    scene.apply(manifest(SEEN, version="2", steps=[{"weight": 30}]))
    begun = scene.until(
        SEEN,
        lambda s: s.rollout and s.rollout.step_started_at and s.weight.verified == 30,
        what="30 %",
        timeout_s=STARTED_S,
    )
    assert eventually(lambda: weights(scene) == {"asked": 30, "verified": 30}, what="30 % shown")
    ours = [each["labels"] for each in targets(scene)]
    revisions = {
        labels["revision"]: labels["role"]
        for labels in ours
        if labels.get("modeldeployment") == SEEN.name
    }
    assert revisions == {begun.stable: "stable", begun.candidate: "candidate"}

    before = aborts_of(scene)
    scene.command(SEEN, "abort")
    ended = scene.until(SEEN, lambda s: s.phase == Phase.ROLLED_BACK, what="rolled back")

    cause = {"outcome": Outcome.ABORTED.value, "reason": Reason.ABORTED_BY_USER.value}
    counted = {"namespace": SEEN.namespace, "name": SEEN.name, **cause}
    assert eventually(
        lambda: [(counted, 1.0)] == [each for each in samples(scene, metrics.ROLLOUTS) if each[1]],
        what="the abort is counted",
    )
    assert weights(scene) == {"asked": 0, "verified": 0}
    aborts, quick = aborts_of(scene)
    assert (aborts - before[0], quick - before[1]) == (1, 1)
    assert len(ended.history) == 1


def test_everything_that_is_named_as_a_target_has_metrics(scene: Scene) -> None:
    listed = targets(scene)
    components = {each["labels"]["component"] for each in listed}

    assert components == {"operator", "router", "model"}
    for each in listed:
        page = fetched(scene, f"http://{each['targets'][0]}/metrics")
        assert page is not None, each
        assert "# TYPE" in page, each


def test_one_operator_leads_and_all_are_alive(scene: Scene) -> None:
    count = len(addresses(scene, names.COMPONENT_OPERATOR))

    assert [value for _, value in samples(scene, metrics.LEADER)].count(1.0) == 1
    assert operators(scene, "/healthz") == ["ok"] * count


def test_a_line_of_the_log_says_what_it_is_about(scene: Scene) -> None:
    text = scene.kubectl(
        *("logs", f"--namespace={SYSTEM_NAMESPACE}", "--tail=-1"),
        f"--selector={names.LABEL_COMPONENT}={names.COMPONENT_OPERATOR}",
    )
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    ours = [line for line in lines if line.get("name") == SEEN.name]

    assert {"RolloutStarted", "AbortedByUser", "RolledBack"} <= {e.get("reason") for e in ours}
    assert all(line["namespace"] == SEEN.namespace for line in ours)


def test_describe_tells_each_phase_once(scene: Scene) -> None:
    found = scene.read("events", f"--namespace={SEEN.namespace}")["items"]
    reasons = [each["reason"] for each in found if each["involvedObject"]["name"] == SEEN.name]
    told = [each for each in reasons if each not in ("WeightVerified", "CommandAccepted")]

    assert sorted(told) == [
        "AbortedByUser",
        "FirstRevision",
        "RolledBack",
        "RolloutStarted",
        "Serving",
    ]
