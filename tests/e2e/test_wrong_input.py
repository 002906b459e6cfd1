"""Wrong input: the user is told where he looks, and what served goes on serving."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.scene import STARTED_S, Object, Scene, Target, condition, eventually, manifest
from slipway_api.conditions import ConditionType, Phase, Reason
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

STEADY = Target("e2e", "steady")
WAITING = Target("e2e", "waiting")
DIGEST = "sha256:" + "0" * 64
IMAGE = "slipway.local/nobody/made-this:1"
IMAGE_S = 60.0 + STARTED_S  # a registry gets a minute to recover

# What differs from a good specification, the reason in status, and words of the message.
MISTAKES: dict[str, tuple[Object, Reason, tuple[str, ...]]] = {
    "unknown-pool": (
        {"compute": {"pool": "gpu"}},
        Reason.UNKNOWN_POOL,
        ("ComputePool 'gpu'", "kubectl get computepools"),
    ),
    "wrong-digest": (
        {"model": {"digest": DIGEST}},
        Reason.MODEL_REJECTED,
        ("the server rejected the model", "digest mismatch: the bytes have sha256:"),
    ),
    "not-onnx": (
        {"model": {"uri": "file:///etc/passwd"}},
        Reason.MODEL_REJECTED,
        ("passwd is not an ONNX model",),
    ),
    "no-image": (
        {"runtime": {"image": IMAGE}},
        Reason.IMAGE_UNAVAILABLE,
        (IMAGE,),
    ),
}
SLOW = "no-image"  # told after a minute, so it is begun with the rest and looked at last
QUICK = [mistake for mistake in MISTAKES if mistake != SLOW]
REFUSED: dict[str, tuple[Object, str]] = {
    "no model": ({"spec": {"model": None}}, "spec.model: Required value"),
    "weights that fall": (
        {"spec": {"strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 25}]}}}},
        "weights must rise from step to step, e.g. 5, 25, 50",
    ),
    "a name too long": (
        {"metadata": {"name": "n" * 51, "namespace": "e2e"}},
        "metadata.name may have at most 50 characters",
    ),
    "an unknown field": ({"spec": {"replicas": 3}}, 'unknown field "spec.replicas"'),
}


def first(mistake: str) -> Target:
    return Target("e2e", f"first-{mistake}")


def stranger(name: str) -> Object:
    """Write a Service that somebody else made."""
    ports = [{"port": 80}]
    metadata = {"name": name, "namespace": "e2e"}
    spec = {"selector": {"app": "other"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def deployments(scene: Scene) -> Iterator[None]:
    """Two deployments that serve, and one for each mistake, all begun at once."""
    taken = first("taken-name")
    scene.apply(manifest(STEADY), manifest(WAITING), stranger(taken.name), manifest(taken))
    for mistake, (changes, _, _) in MISTAKES.items():
        scene.apply(manifest(first(mistake), **changes))
    for target in (WAITING, STEADY):
        scene.serves(target)
    scene.apply(manifest(WAITING, version="2", **MISTAKES[SLOW][0]))
    yield
    scene.delete(STEADY, WAITING, taken, *map(first, MISTAKES))
    scene.kubectl("delete", "service", taken.name, "--namespace=e2e", "--ignore-not-found")


def stalled(status: ModelDeploymentStatus) -> tuple[str, str]:
    """Read reason and message of Stalled, which must be true."""
    found = condition(status, ConditionType.STALLED)
    assert found is not None
    return found.reason, found.message


def is_warned(scene: Scene, target: Target, *, reason: str, words: tuple[str, ...]) -> bool:
    """Tell whether a Warning about a deployment has this reason and these words."""
    return any(
        found == reason and all(word in message for word in words)
        for found, message in scene.warnings(target)
    )


def assert_warned(scene: Scene, target: Target, *, reason: str, words: tuple[str, ...]) -> None:
    """Wait for that Warning: Events are written a moment after status."""
    eventually(
        lambda: is_warned(scene, target, reason=reason, words=words),
        what=f"a Warning about {target} with reason {reason} and words {words}",
    )


@pytest.mark.parametrize("mistake", REFUSED)
def test_the_api_server_refuses_what_makes_no_sense(scene: Scene, mistake: str) -> None:
    changes, message = REFUSED[mistake]
    wanted: Any = manifest(Target("e2e", "refused"))
    wanted["spec"] |= changes.get("spec", {})
    wanted["metadata"] |= changes.get("metadata", {})

    assert message in scene.refusal(wanted)


@pytest.mark.parametrize("mistake", QUICK)
def test_a_first_revision_that_cannot_serve_says_why(scene: Scene, mistake: str) -> None:
    assert_failed(scene, mistake)


def assert_failed(scene: Scene, mistake: str) -> None:
    """Wait until a first revision is told to be wrong, in status and as a Warning."""
    _, reason, words = MISTAKES[mistake]
    target = first(mistake)

    status = scene.until(
        target, lambda s: s.phase == Phase.FAILED, what="not failed", timeout_s=IMAGE_S
    )

    found, message = stalled(status)
    assert found == reason
    for word in words:
        assert word in message
    assert_warned(scene, target, reason=reason, words=words)


def test_a_service_of_that_name_is_left_alone(scene: Scene) -> None:
    target = first("taken-name")

    status = scene.until(target, lambda s: s.phase == Phase.FAILED, what="not failed")

    reason, message = stalled(status)
    words = f"Service e2e/{target.name} exists and was not made for"
    assert reason == Reason.NAME_CONFLICT
    assert words in message
    assert_warned(scene, target, reason=reason, words=(words,))
    service = scene.read("service", target.name, "--namespace=e2e")
    assert service["spec"]["selector"] == {"app": "other"}


def test_once_the_stranger_is_gone_the_deployment_serves(scene: Scene) -> None:
    target = first("taken-name")

    scene.kubectl("delete", "service", target.name, "--namespace=e2e")

    scene.serves(target)
    assert scene.ask(target.host).status == "200"


@pytest.mark.parametrize("mistake", ["unknown-pool", "wrong-digest"])
def test_a_first_revision_that_is_corrected_serves_without_steps(
    scene: Scene, mistake: str
) -> None:
    target = first(mistake)

    scene.apply(manifest(target, steps=[{"weight": 1, "pause": True}]))

    status = scene.serves(target)
    assert status.history == ()
    answer = scene.ask(target.host)
    assert (answer.status, answer.revision) == ("200", status.stable)


@pytest.mark.parametrize("mistake", QUICK)
def test_the_old_revision_serves_on_after_a_bad_change(scene: Scene, mistake: str) -> None:
    scene.apply(manifest(STEADY, version=f"after-{mistake}", **MISTAKES[mistake][0]))

    assert_serves_on(scene, STEADY, mistake)


def assert_serves_on(scene: Scene, target: Target, mistake: str) -> None:
    """Wait until a change is told to be wrong; the revision of before answers."""
    _, reason, words = MISTAKES[mistake]
    stable = scene.status(target).stable
    status = scene.until(
        target,
        lambda s: s.phase in (Phase.STALLED, Phase.ROLLED_BACK),
        what="the mistake is not told",
        timeout_s=IMAGE_S,
    )

    found, message = stalled(status)
    assert (found == reason) or (found == Reason.ROLLED_BACK and reason in message)
    for word in words:
        assert word in message
    assert_warned(scene, target, reason=reason, words=words)
    assert condition(status, ConditionType.AVAILABLE) is not None
    for answer in (scene.ask(target.host), scene.ask_rpc(target.host)):
        assert answer.status in ("200", "OK")
        assert answer.revision == status.stable == stable


def test_a_first_image_that_does_not_exist_is_named(scene: Scene) -> None:
    assert_failed(scene, SLOW)


def test_the_old_revision_serves_on_when_an_image_does_not_exist(scene: Scene) -> None:
    assert_serves_on(scene, WAITING, SLOW)
