"""A person steers a live rollout by the annotation; what happens around it does not lose it."""

import pytest

from bench.scene import STARTED_S, SYSTEM_NAMESPACE, Scene, Target, eventually, manifest
from slipway_api.conditions import Outcome, Phase, Reason
from slipway_api.names import ANNOTATION_COMMAND
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

STEERED = Target("e2e", "steered")
RESTARTED = Target("e2e", "restarted")
LEAVING = Target("e2e", "leaving")
OPERATOR = "app.kubernetes.io/component=operator"
ROUTER = "app.kubernetes.io/component=router"
HOLD_S = 20
LISTENER_GONE_S = 40.0  # 12 s of life, and what a busy machine adds
UNPROVEN = {"insufficient": {"after": "0s", "then": "promote"}}


@pytest.fixture(scope="module", autouse=True)
def deployments(scene: Scene):
    """Three deployments at once; each test changes its own."""
    for target in (STEERED, RESTARTED, LEAVING):
        scene.apply(manifest(target))
    for target in (STEERED, RESTARTED, LEAVING):
        scene.serves(target)
    yield
    scene.delete(STEERED, RESTARTED, LEAVING)


def is_shown(weight: int):
    """Make the question whether every router gives the candidate this weight."""

    def asked(status: ModelDeploymentStatus) -> bool:
        return bool(status.rollout and status.rollout.step_started_at) and (
            status.weight.verified == weight
        )

    return asked


def test_pause_resume_and_promote_are_obeyed(scene: Scene) -> None:
    scene.apply(manifest(STEERED, version="2", steps=[{"weight": 10}, {"weight": 50}]))
    begun = scene.until(STEERED, is_shown(10), what="10 %", timeout_s=STARTED_S)

    scene.command(STEERED, "pause")
    paused = scene.until(STEERED, lambda s: s.phase == Phase.PAUSED, what="paused")
    assert paused.command is not None
    assert (paused.command.result, paused.weight.verified) == ("Accepted", 10)

    scene.command(STEERED, "resume")
    resumed = scene.until(STEERED, lambda s: s.phase == Phase.ROLLING_OUT, what="resumed")
    assert resumed.waiting is not None
    assert resumed.waiting.reason == Reason.INSUFFICIENT_DATA  # nobody asks: nothing is proven

    scene.command(STEERED, "promote")
    promoted = scene.serves(STEERED)
    assert promoted.stable == begun.candidate
    assert (promoted.history[0].outcome, promoted.history[0].unproven) == (Outcome.PROMOTED, True)
    assert scene.ask(STEERED.host).revision == begun.candidate


def test_abort_takes_the_candidate_back_and_it_is_not_tried_again(scene: Scene) -> None:
    scene.apply(manifest(STEERED, version="3", steps=[{"weight": 30}]))
    begun = scene.until(STEERED, is_shown(30), what="30 %", timeout_s=STARTED_S)

    scene.command(STEERED, "abort")
    ended = scene.until(STEERED, lambda s: s.phase == Phase.ROLLED_BACK, what="rolled back")

    assert (ended.stable, ended.candidate, ended.weight.verified) == (begun.stable, None, 0)
    assert ended.history[0].reason == Reason.ABORTED_BY_USER
    assert [each.revision for each in ended.rejected] == [begun.candidate]
    assert scene.ask(STEERED.host).revision == begun.stable


def test_a_command_for_another_revision_is_refused_and_says_why(scene: Scene) -> None:
    stable = scene.status(STEERED).stable

    scene.command(STEERED, "promote", revision="steered-0a1b2c3d4e")
    refused = scene.until(
        STEERED,
        lambda s: s.command and s.command.value.startswith("promote@steered-0a1b2c3d4e"),
        what="answered",
    )

    assert refused.command is not None
    assert refused.command.result == "Refused"
    assert "nothing is being rolled out" in refused.command.message
    assert refused.stable == stable
    assert scene.read("md", STEERED.name, "--namespace=e2e")["metadata"]["annotations"][
        ANNOTATION_COMMAND
    ].startswith("promote@")


def test_a_rollout_goes_on_when_the_operator_is_restarted_in_a_hold(scene: Scene) -> None:
    steps = [{"weight": 40, "hold": f"{HOLD_S}s"}]
    scene.apply(manifest(RESTARTED, version="2", steps=steps, analysis=UNPROVEN))
    begun = scene.until(RESTARTED, is_shown(40), what="40 %", timeout_s=STARTED_S)
    assert begun.rollout is not None

    scene.kubectl("delete", "pod", f"--selector={OPERATOR}", f"--namespace={SYSTEM_NAMESPACE}")
    assert scene.ask(RESTARTED.host).status == "200"  # routers need no operator
    ended = scene.until(
        RESTARTED, lambda s: s.phase == Phase.SERVING, what="promoted", timeout_s=STARTED_S
    )

    assert ended.stable == begun.candidate
    (rollout,) = ended.history
    assert rollout.started_at == begun.rollout.started_at
    assert rollout.ended_at >= begun.rollout.step_started_at
    held_s = (rollout.ended_at - begun.rollout.step_started_at).total_seconds()
    assert held_s >= HOLD_S


def test_a_deleted_deployment_takes_service_pods_and_listener_with_it(scene: Scene) -> None:
    address = scene.status(LEAVING).address
    assert address is not None
    routers = scene.read("pods", f"--selector={ROUTER}", f"--namespace={SYSTEM_NAMESPACE}")
    listeners = [
        f"http://{pod['status']['podIP']}:{address.router_port}/.slipway/config"
        for pod in routers["items"]
    ]
    for listener in listeners:
        assert scene.client("curl", "--silent", "--fail", listener).returncode == 0

    scene.delete(LEAVING)

    selector = f"slipway.dev/deployment={LEAVING.name}"
    kinds = "services,endpointslices,deployments,controllerrevisions,poddisruptionbudgets"
    eventually(
        lambda: not scene.read(kinds, f"--selector={selector}", "--namespace=e2e")["items"],
        what="everything made for the deployment is gone",
    )
    for listener in listeners:
        eventually(
            lambda url=listener: scene.client("curl", "--silent", url).returncode == 7,  # refused
            what=f"{listener} is closed",
            timeout_s=LISTENER_GONE_S,
        )
