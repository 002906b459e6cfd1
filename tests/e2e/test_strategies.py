"""Rolling and direct, and what a person can ask for again: retry, restart, undo, scale."""

import json

import pytest

from bench.scene import STARTED_S, Scene, Target, condition, eventually, manifest
from slipway_api.conditions import ConditionType, Outcome, Phase, Reason
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

ROLLED = Target("e2e", "rolled")
AGAIN = Target("e2e", "again")
ROLLING = {"compute": {"replicas": 2}, "strategy": {"rolling": {}}}
DIRECT = {"strategy": {"direct": {}}}


@pytest.fixture(scope="module", autouse=True)
def deployments(scene: Scene):
    """Two deployments at once, and the second revision of one that is replaced pod by pod."""
    scene.apply(manifest(ROLLED, **ROLLING), manifest(AGAIN, **DIRECT))
    for target in (ROLLED, AGAIN):
        scene.serves(target)
    yield
    scene.delete(ROLLED, AGAIN)


def _promoted(scene: Scene, target: Target) -> ModelDeploymentStatus:
    """Wait until the last rollout has ended well."""

    def is_promoted(status: ModelDeploymentStatus) -> bool:
        return status.rollout is None and bool(condition(status, ConditionType.READY))

    status = scene.until(target, is_promoted, what="is not promoted", timeout_s=STARTED_S)
    assert status.history[0].outcome == Outcome.PROMOTED
    return status


def test_rolling_replaces_pod_by_pod(scene: Scene) -> None:
    before = scene.serves(ROLLED)
    scene.apply(manifest(ROLLED, version="2", **ROLLING))

    halfway = scene.until(
        ROLLED, lambda s: s.weight.verified == 50, what="50 % with one pod", timeout_s=STARTED_S
    )
    after = _promoted(scene, ROLLED)

    assert halfway.replicas.stable_ready == 2
    assert after.stable != before.stable
    assert scene.ask(ROLLED.host).revision == after.stable


def test_direct_goes_to_everything_at_once(scene: Scene) -> None:
    before = scene.serves(AGAIN)
    scene.apply(manifest(AGAIN, version="2", **DIRECT))

    after = _promoted(scene, AGAIN)

    assert after.stable != before.stable
    assert after.history[0].unproven
    assert scene.ask(AGAIN.host).revision == after.stable


def test_a_restart_makes_new_pods_and_undo_brings_the_old_revision_back(scene: Scene) -> None:
    before = scene.serves(AGAIN)
    names = {pod["metadata"]["name"] for pod in scene.pods(AGAIN)}

    scene.command(AGAIN, "restart", revision=before.stable)
    scene.until(AGAIN, lambda s: s.stable != before.stable, what="restarted", timeout_s=STARTED_S)
    restarted = _promoted(scene, AGAIN)
    answer = scene.ask(AGAIN.host)
    pods = {pod["metadata"]["name"] for pod in scene.pods(AGAIN)}
    scene.command(AGAIN, "undo", revision=before.stable)
    scene.until(AGAIN, lambda s: s.stable == before.stable, what="undone", timeout_s=STARTED_S)
    undone = _promoted(scene, AGAIN)

    assert restarted.chosen is not None
    assert restarted.stable == restarted.chosen.revision == answer.revision
    assert pods - names
    assert (undone.stable, undone.chosen) == (before.stable, None)


def test_a_rejected_revision_is_tried_again_by_retry_alone(scene: Scene) -> None:
    before = scene.serves(AGAIN)
    steps = [{"weight": 50, "pause": True}]
    scene.apply(manifest(AGAIN, version="3", steps=steps))
    begun = scene.until(AGAIN, lambda s: s.weight.verified == 50, what="50 %", timeout_s=STARTED_S)
    scene.command(AGAIN, "abort")
    rejected = scene.until(AGAIN, lambda s: s.phase == Phase.ROLLED_BACK, what="taken back")

    scene.command(AGAIN, "retry", revision=begun.candidate)
    again = scene.until(AGAIN, lambda s: s.weight.verified == 50, what="again", timeout_s=STARTED_S)
    scene.command(AGAIN, "promote")
    promoted = _promoted(scene, AGAIN)

    assert (rejected.stable, rejected.rejected[0].revision) == (before.stable, begun.candidate)
    assert again.rollout is not None
    assert begun.rollout is not None
    assert again.rollout.id != begun.rollout.id
    assert (promoted.stable, promoted.rejected) == (begun.candidate, ())


def test_kubectl_scale_changes_pods_and_no_revision(scene: Scene) -> None:
    before = scene.serves(ROLLED)

    scene.kubectl("scale", "md", ROLLED.name, f"--namespace={ROLLED.namespace}", "--replicas=1")
    after = scene.until(
        ROLLED, lambda s: s.replicas.stable == s.replicas.stable_ready == 1, what="1 pod"
    )

    assert (after.stable, len(after.history)) == (before.stable, len(before.history))
    path = f"namespaces/{ROLLED.namespace}/modeldeployments/{ROLLED.name}/scale"
    scale = json.loads(scene.kubectl("get", "--raw", f"/apis/slipway.dev/v1alpha1/{path}"))
    assert scale["status"] == {"replicas": 1, "selector": f"slipway.dev/deployment={ROLLED.name}"}


def test_an_autoscaler_sets_the_number_of_pods(scene: Scene) -> None:
    """By its bounds, which need no metrics: one pod is less than it may be."""
    before = scene.serves(ROLLED)
    space = f"--namespace={ROLLED.namespace}"

    scene.kubectl("autoscale", "md", ROLLED.name, space, "--min=2", "--max=3", "--cpu-percent=50")
    try:
        after = scene.until(
            ROLLED, lambda s: s.replicas.stable == s.replicas.stable_ready == 2, what="2 pods"
        )
        autoscaler = scene.read("hpa", ROLLED.name, space)
    finally:
        scene.kubectl("delete", "hpa", ROLLED.name, space)

    assert after.stable == before.stable
    able = next(c for c in autoscaler["status"]["conditions"] if c["type"] == "AbleToScale")
    assert able["status"] == "True", able


def test_what_no_node_could_take_is_said_before_anything_is_made(scene: Scene) -> None:
    before = scene.serves(ROLLED)
    greedy = {"compute": {"replicas": 1, "resources": {"requests": {"cpu": "900"}}}}

    scene.apply(manifest(ROLLED, version="2", **(ROLLING | greedy)))
    stalled = scene.until(
        ROLLED, lambda s: condition(s, ConditionType.STALLED), what="no room is said"
    )
    found = condition(stalled, ConditionType.STALLED)
    assert found is not None
    assert found.reason == Reason.NO_ROOM
    assert "a pod asks for cpu 900, the most that one of its" in found.message
    selector = f"slipway.dev/deployment={ROLLED.name}"
    made = scene.read("deployments", f"--namespace={ROLLED.namespace}", f"--selector={selector}")
    assert len(made["items"]) == len(before.history) + 1
    assert scene.ask(ROLLED.host).revision == before.stable

    scene.apply(manifest(ROLLED, version="2", **(ROLLING | {"compute": {"replicas": 1}})))
    eventually(
        lambda: condition(scene.status(ROLLED), ConditionType.READY), what="as before it serves"
    )
