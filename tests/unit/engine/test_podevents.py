"""Which states of a pod are evidence against its revision, and which only disturb."""

from dataclasses import replace

import pytest

from slipway_api.conditions import Reason
from slipway_api.last_words import LastWords, LoadPhase
from slipway_operator.engine.podevents import (
    IMAGE_DEADLINE_S,
    START_DEADLINE_S,
    FindingKind,
    PodFinding,
    PodSeen,
    Terminated,
    findings,
    worst,
)

NOW_S = 10_000.0

STARTING = PodSeen(
    name="churn-7f-x",
    revision="churn-7f",
    host="10.0.0.5",
    phase="Pending",
    is_ready=False,
    is_terminating=False,
    is_node_ready=True,
    created_at_s=NOW_S - 20,
    ready_since_s=None,
    restarts=0,
    waiting_reason="ContainerCreating",
    waiting_message="",
    terminated=None,
    last_terminated=None,
    was_ready=False,
)
SERVING = replace(
    STARTING, phase="Running", is_ready=True, was_ready=True, ready_since_s=NOW_S - 5,
    waiting_reason=None,
)  # fmt: skip
CRASHED = replace(
    SERVING, is_ready=False, ready_since_s=None, terminated=Terminated(139, "Error", "", NOW_S)
)


def _ended(
    code: int, *, reason: str = "Error", message: str = "", at_s: float = NOW_S
) -> Terminated:
    return Terminated(code, reason, message, at_s)


def _find(pod: PodSeen, **options: float) -> PodFinding:
    (found,) = findings([pod], NOW_S, **options)
    return found


def test_a_serving_pod_says_nothing() -> None:
    assert _find(SERVING).kind is FindingKind.NONE


def test_a_starting_pod_is_waited_for() -> None:
    found = _find(STARTING)

    assert (found.kind, found.reason) == (FindingKind.STARTING, Reason.WAITING_FOR_PODS)
    assert found.message == "pod churn-7f-x: starting for 20 s (ContainerCreating)"


@pytest.mark.parametrize("age_s", [20, START_DEADLINE_S])
def test_a_pod_that_waits_for_a_secret_to_mount_names_it(age_s: float) -> None:
    found = _find(replace(STARTING, secret_awaited="shop", created_at_s=NOW_S - age_s))

    assert "they need the Secret 'shop' with the key 'keys'" in found.message


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (_ended(139), "ended with exit code 139, SIGSEGV"),
        (_ended(1, message="cannot\n allocate"), 'ended with exit code 1: "cannot allocate"'),
        (_ended(137, reason="OOMKilled"), "ran out of memory (OOMKilled, exit code 137)"),
        (_ended(137), "was killed (SIGKILL, exit code 137): its liveness probe failed"),
        (_ended(143), "was told to end (SIGTERM, exit code 143): its liveness probe failed"),
        (_ended(0, reason="Completed"), "ended although it should serve (exit code 0)"),
    ],
)
def test_a_container_that_ends_after_it_served_is_evidence(end: Terminated, words: str) -> None:
    found = _find(replace(CRASHED, terminated=end))

    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.CONTAINER_FAILED)
    assert found.message.startswith(f"pod churn-7f-x: container model {words}")


def test_a_container_that_crashed_and_runs_again_is_evidence_until_it_is_ready() -> None:
    again = replace(CRASHED, terminated=None, last_terminated=_ended(1), restarts=1)

    assert _find(again).kind is FindingKind.EVIDENCE
    assert _find(again).message.endswith("; restarted once")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_terminating": True}, "is being deleted"),
        ({"is_node_ready": False}, "its node is not ready or gone"),
        ({"is_disrupted": True}, "was taken away: disrupted"),
        ({"pod_reason": "Evicted", "pod_message": "low on memory"}, "Evicted: low on memory"),
        ({"pod_reason": "Preempting"}, "was taken away: Preempting"),
        ({"terminated": _ended(255, reason="Unknown")}, "its node lost the container"),
        ({"terminated": _ended(137, reason="ContainerStatusUnknown")}, "its node lost"),
    ],
)
def test_what_the_cluster_does_to_a_pod_is_a_disturbance(
    change: dict[str, object], words: str
) -> None:
    found = _find(replace(CRASHED, **change))

    assert (found.kind, found.reason) == (FindingKind.DISTURBANCE, Reason.PODS_DISTURBED)
    assert words in found.message


def test_a_rejected_model_convicts_at_once_in_the_servers_words() -> None:
    end = _ended(78, message="digest is sha256:00, expected sha256:11")

    found = _find(replace(STARTING, terminated=end))

    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.MODEL_REJECTED)
    assert found.message == (
        'pod churn-7f-x: the server rejected the model: "digest is sha256:00, expected sha256:11"'
    )


def test_last_words_of_our_server_keep_their_phase_however_long_the_cause() -> None:
    words = LastWords(LoadPhase.GOLDEN, is_permanent=True, cause="x" * 4000)

    found = _find(replace(STARTING, terminated=_ended(78, message=str(words))))

    assert found.message.startswith(
        "pod churn-7f-x: the server rejected the model: phase golden failed, a retry does not help:"
        ' "xxx'
    )
    assert len(found.message) < 330


def test_a_download_that_failed_says_that_a_retry_may_help() -> None:
    words = LastWords(LoadPhase.FETCH, is_permanent=False, cause="no route to host")
    end = _ended(75, message=str(words))

    found = _find(replace(STARTING, terminated=end, restarts=2))

    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.CONTAINER_FAILED)
    assert 'exit code 75: phase fetch failed, a retry may help: "no route to host"' in found.message


def test_one_failed_start_is_forgiven_the_second_is_not() -> None:
    once = replace(STARTING, last_terminated=_ended(1), restarts=1)

    assert _find(once).kind is FindingKind.STARTING
    assert _find(replace(once, restarts=2)).kind is FindingKind.EVIDENCE
    looping = replace(once, waiting_reason="CrashLoopBackOff")
    assert _find(looping).kind is FindingKind.EVIDENCE


def test_a_pod_that_is_ready_after_one_failed_start_serves() -> None:
    recovered = replace(SERVING, last_terminated=_ended(1, at_s=NOW_S - 30), restarts=1)

    assert _find(recovered).kind is FindingKind.NONE


def test_ends_before_the_rollout_are_old_news() -> None:
    old = replace(CRASHED, terminated=None, last_terminated=_ended(1, at_s=NOW_S - 900), restarts=3)

    assert _find(old).kind is FindingKind.EVIDENCE
    assert _find(old, since_s=NOW_S - 60).reason is Reason.READINESS_LOST


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"])
def test_an_image_that_cannot_be_pulled_is_told_at_once_and_evidence_after_a_minute(
    reason: str,
) -> None:
    pod = replace(STARTING, waiting_reason=reason, waiting_message="not found: onnx:9")
    late = replace(pod, created_at_s=NOW_S - IMAGE_DEADLINE_S)

    assert _find(pod).kind is FindingKind.STARTING
    assert _find(late).kind is FindingKind.EVIDENCE
    for found in (_find(pod), _find(late)):
        assert found.reason is Reason.IMAGE_UNAVAILABLE
        assert found.message == f"pod churn-7f-x: container model: {reason}: not found: onnx:9"


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_never_can_be_pulled_is_evidence_at_once(reason: str) -> None:
    found = _find(replace(STARTING, waiting_reason=reason))

    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.IMAGE_UNAVAILABLE)


def test_a_container_that_cannot_be_created_is_evidence_after_a_minute() -> None:
    pod = replace(
        STARTING,
        waiting_reason="CreateContainerConfigError",
        waiting_message='secret "s3" not found',
    )

    assert _find(pod).kind is FindingKind.STARTING
    found = _find(replace(pod, created_at_s=NOW_S - IMAGE_DEADLINE_S))
    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.CONTAINER_FAILED)
    assert 'secret "s3" not found' in found.message


def test_a_pod_that_never_becomes_ready_is_evidence_at_the_deadline() -> None:
    slow = replace(STARTING, waiting_reason=None, created_at_s=NOW_S - START_DEADLINE_S)

    assert _find(slow).kind is FindingKind.EVIDENCE
    assert _find(slow).reason is Reason.START_DEADLINE


def test_a_container_that_ended_once_and_then_hangs_has_the_same_deadline() -> None:
    end = Terminated(1, "Error", "", NOW_S - 500.0)
    hangs = replace(
        STARTING,
        waiting_reason=None,
        created_at_s=NOW_S - START_DEADLINE_S,
        restarts=1,
        last_terminated=end,
    )

    found = _find(hangs)

    assert (found.kind, found.reason) == (FindingKind.EVIDENCE, Reason.START_DEADLINE)


def test_a_pod_without_a_node_is_waited_for_however_long() -> None:
    pod = replace(
        STARTING, is_scheduled=False, is_node_ready=False, created_at_s=0.0, waiting_reason=None,
        pod_message="0/2 nodes are available: 2 Insufficient cpu.",
    )  # fmt: skip

    found = _find(pod)

    assert (found.kind, found.reason) == (FindingKind.STARTING, Reason.WAITING_FOR_PODS)
    assert "2 Insufficient cpu" in found.message


def test_lost_readiness_alone_is_no_evidence() -> None:
    found = _find(replace(SERVING, is_ready=False, ready_since_s=None))

    assert (found.kind, found.reason) == (FindingKind.NONE, Reason.READINESS_LOST)


def test_the_worst_finding_says_how_many_pods_it_concerns() -> None:
    pods = [SERVING, STARTING, CRASHED, replace(CRASHED, name="b", is_terminating=True)]

    found = worst(findings(pods, NOW_S))

    assert found is not None
    assert found.kind is FindingKind.EVIDENCE
    assert found.message.endswith("(1 of 4 pods)")
    assert worst([]) is None


def test_a_rejected_model_outweighs_other_evidence() -> None:
    rejected = replace(STARTING, name="b", terminated=_ended(78, message="not an ONNX file"))

    found = worst(findings([CRASHED, rejected], NOW_S))

    assert found is not None
    assert found.reason is Reason.MODEL_REJECTED


def test_long_last_words_keep_their_beginning_and_their_end() -> None:
    words = "what failed " + "x" * 500 + " the cause"
    found = _find(replace(CRASHED, terminated=_ended(1, message=words)))

    assert '"what failed x' in found.message
    assert found.message.endswith('the cause"')
    assert len(found.message) < 300
