"""Pod events: what the state of a pod says about its revision.

Only a container that ended by itself on a healthy node is evidence against the candidate; whatever
the cluster did to a pod (deletion, eviction, preemption, drain, a node that is lost) only disturbs
the rollout. It must not know traffic or steps, and it keeps nothing between calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from slipway_api import last_words, names
from slipway_api.conditions import Reason

EXIT_MODEL_REJECTED: Final = 78  # EX_CONFIG of sysexits.h: our server's word for "never will load"
START_DEADLINE_S: Final = 600.0
IMAGE_DEADLINE_S: Final = 60.0  # a registry may hiccup
RESTARTS_MAX: Final = 1  # before a pod was ever ready; the second is evidence
WORDS_LENGTH_MAX: Final = 200
WORDS_HEAD_LENGTH: Final = 110  # holds a digest

# Reasons of a waiting container, from pkg/kubelet/images and pkg/kubelet/container.
IMAGE_HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
IMAGE_TROUBLE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
CONTAINER_TROUBLE: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
CRASH_LOOP: Final = "CrashLoopBackOff"

# Reasons of a terminated container whose end the kubelet did not see: the node or its container
# runtime went away.
UNSEEN_ENDS: Final = frozenset({"Unknown", "ContainerStatusUnknown"})

SIGNALS: Final = {
    129: "SIGHUP",
    130: "SIGINT",
    131: "SIGQUIT",
    132: "SIGILL",
    134: "SIGABRT",
    135: "SIGBUS",
    136: "SIGFPE",
    137: "SIGKILL",
    139: "SIGSEGV",
    143: "SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Terminated:
    """How a container ended. `message` are its last words (/dev/termination-log)."""

    exit_code: int
    reason: str
    message: str
    at_s: float


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One pod as seen now; times are Unix times.

    `is_node_ready` False also if the node is gone. `was_ready`: it was seen ready at some time.
    `terminated` is the model container's current state, `last_terminated` the one before it.
    `pod_reason` and `pod_message` are the pod's own (Evicted, …); `is_disrupted`: the condition
    DisruptionTarget is true. `is_scheduled` False: no node yet, `pod_message` says why.
    `is_reachable` False: it counts as ready, and takes no connection. `secret_awaited`: the Secret
    of its API keys, while none of its volumes is mounted.
    """

    name: str
    revision: str
    host: str
    phase: str
    is_ready: bool
    is_terminating: bool
    is_node_ready: bool
    created_at_s: float
    ready_since_s: float | None
    restarts: int
    waiting_reason: str | None
    waiting_message: str
    terminated: Terminated | None
    last_terminated: Terminated | None
    was_ready: bool
    is_scheduled: bool = True
    is_disrupted: bool = False
    pod_reason: str = ""
    pod_message: str = ""
    container: str = "model"
    is_reachable: bool = True
    secret_awaited: str | None = None


class FindingKind(StrEnum):
    """What follows from a pod's state; the first one listed weighs most."""

    EVIDENCE = "evidence"  # counts against its revision
    DISTURBANCE = "disturbance"  # the cluster's doing: hold while the pod is replaced
    STARTING = "starting"  # not there yet
    NONE = "none"  # serves, or was ready and is not at this moment


@dataclass(frozen=True, slots=True)
class PodFinding:
    """What one pod says. `message` names the pod and quotes its container."""

    pod: str
    kind: FindingKind
    reason: Reason
    message: str


def findings(
    pods: Iterable[PodSeen],
    now_s: float,
    *,
    since_s: float = 0.0,
    unsteady_since_s: float | None = None,
) -> tuple[PodFinding, ...]:
    """Say what each pod means for its revision, in the order given.

    Ends of containers before `since_s` (the rollout's start) are old news. `unsteady_since_s`:
    since when pods of a revision that has not served yet lose the readiness they had; None: they
    do not, or it has served.
    """
    clock = _Clock(now_s, since_s, unsteady_since_s)
    return tuple(_finding(pod, clock) for pod in pods)


def worst(found: Sequence[PodFinding]) -> PodFinding | None:
    """Pick what weighs most, and say how many of the pods it concerns; None without pods."""
    if not found:
        return None
    kinds, reasons = list(FindingKind), list(_REASONS_BY_WEIGHT)
    first = min(found, key=lambda one: (kinds.index(one.kind), reasons.index(one.reason)))
    if first.kind is FindingKind.NONE:
        return first
    count = sum(one.kind is first.kind for one in found)
    noun = "pod" if len(found) == 1 else "pods"
    return replace(first, message=f"{first.message} ({count} of {len(found)} {noun})")


_REASONS_BY_WEIGHT: Final = (
    Reason.MODEL_REJECTED,
    Reason.CONTAINER_FAILED,
    Reason.IMAGE_UNAVAILABLE,
    Reason.START_DEADLINE,
    Reason.PODS_DISTURBED,
    Reason.WAITING_FOR_PODS,
    Reason.READINESS_LOST,
    Reason.SERVING,
)


@dataclass(frozen=True, slots=True)
class _Clock:
    """The moments that count, in Unix time, as `findings` has them."""

    now_s: float
    since_s: float
    unsteady_since_s: float | None


def _finding(pod: PodSeen, clock: _Clock) -> PodFinding:
    disturbance = _disturbance(pod)
    if disturbance is not None:
        message = f"pod {pod.name}: {disturbance}"
        return PodFinding(pod.name, FindingKind.DISTURBANCE, Reason.PODS_DISTURBED, message)
    end = pod.terminated or pod.last_terminated
    if end is not None and end.at_s >= clock.since_s:
        found = _ended(pod, end)
        if found is not None and found.kind is FindingKind.STARTING:  # one more try, not for ever
            late = _not_ready(pod, clock)
            return late if late.kind is FindingKind.EVIDENCE else found
        if found is not None:
            return found
    if pod.is_ready:
        return PodFinding(pod.name, FindingKind.NONE, Reason.SERVING, f"pod {pod.name}: ready")
    return _not_ready(pod, clock)


def _disturbance(pod: PodSeen) -> str | None:
    """Say what the cluster did to a pod, if anything."""
    if pod.is_terminating:
        return "is being deleted"
    if pod.is_disrupted or pod.pod_reason:
        return f"was taken away: {_quoted(pod.pod_reason or 'disrupted', pod.pod_message)}"
    if pod.is_scheduled and not pod.is_node_ready:
        return "its node is not ready or gone"
    if not pod.is_reachable:
        return "takes no connection although it counts as ready: its node may be cut off"
    end = pod.terminated or pod.last_terminated
    if end is not None and end.reason in UNSEEN_ENDS and not pod.is_ready:
        return "its node lost the container (restart of the node or of its container runtime)"
    return None


def _ended(pod: PodSeen, end: Terminated) -> PodFinding | None:
    """Judge a container that ended; None if the pod serves again and may be trusted so far."""
    if end.reason in UNSEEN_ENDS:
        return None
    said = _end_in_words(pod, end)
    if end.exit_code == EXIT_MODEL_REJECTED:
        message = f"pod {pod.name}: the server rejected the model{_told(end, said)}"
        return PodFinding(pod.name, FindingKind.EVIDENCE, Reason.MODEL_REJECTED, message)
    # A pod that became ready after that end may have failed on its way up: one more try is fair.
    is_recovered = pod.is_ready and pod.ready_since_s is not None and pod.ready_since_s > end.at_s
    has_served = pod.was_ready and not is_recovered
    is_looping = pod.restarts > RESTARTS_MAX or pod.waiting_reason == CRASH_LOOP
    if has_served or is_looping:
        message = f"pod {pod.name}: {said}"
        if pod.restarts:
            times = "once" if pod.restarts == 1 else f"{pod.restarts} times"
            message += f"; restarted {times}"
        return PodFinding(pod.name, FindingKind.EVIDENCE, Reason.CONTAINER_FAILED, message)
    if pod.is_ready:
        return None
    message = f"pod {pod.name}: {said} before it was ready; it is tried once more"
    return PodFinding(pod.name, FindingKind.STARTING, Reason.WAITING_FOR_PODS, message)


def _not_ready(pod: PodSeen, clock: _Clock) -> PodFinding:
    age_s = clock.now_s - pod.created_at_s
    waiting = pod.waiting_reason or ""
    said = f"pod {pod.name}: container {pod.container}: {_quoted(waiting, pod.waiting_message)}"
    if waiting in IMAGE_HOPELESS or waiting in IMAGE_TROUBLE:
        is_over = waiting in IMAGE_HOPELESS or age_s >= IMAGE_DEADLINE_S
        kind = FindingKind.EVIDENCE if is_over else FindingKind.STARTING
        return PodFinding(pod.name, kind, Reason.IMAGE_UNAVAILABLE, said)
    if waiting in CONTAINER_TROUBLE:
        kind = FindingKind.EVIDENCE if age_s >= IMAGE_DEADLINE_S else FindingKind.STARTING
        return PodFinding(pod.name, kind, Reason.CONTAINER_FAILED, said)
    if pod.was_ready:
        return _lost(pod, clock)
    if not pod.is_scheduled:  # nothing runs, nothing is at risk: wait for a node, however long
        message = f"pod {pod.name}: no node yet: {_clipped(pod.pod_message) or 'not scheduled'}"
        return PodFinding(pod.name, FindingKind.STARTING, Reason.WAITING_FOR_PODS, message)
    why = f" ({_quoted(waiting, _awaited(pod) or pod.waiting_message)})" if waiting else ""
    if age_s >= START_DEADLINE_S:
        message = f"pod {pod.name}: not ready {START_DEADLINE_S:.0f} s after it was created{why}"
        return PodFinding(pod.name, FindingKind.EVIDENCE, Reason.START_DEADLINE, message)
    message = f"pod {pod.name}: starting for {max(age_s, 0.0):.0f} s{why}"
    return PodFinding(pod.name, FindingKind.STARTING, Reason.WAITING_FOR_PODS, message)


def _lost(pod: PodSeen, clock: _Clock) -> PodFinding:
    """Judge a pod that was ready: one that never served has no more time than a start has."""
    message = f"pod {pod.name}: was ready and is not now"
    since_s = clock.unsteady_since_s
    if since_s is None or clock.now_s - since_s < START_DEADLINE_S:
        return PodFinding(pod.name, FindingKind.NONE, Reason.READINESS_LOST, message)
    message += (
        f"; candidate pods have come and gone for {clock.now_s - since_s:.0f} s before its first"
        " requests"
    )
    return PodFinding(pod.name, FindingKind.EVIDENCE, Reason.START_DEADLINE, message)


def _awaited(pod: PodSeen) -> str:
    """Name the Secret that must be there: of a volume that is not mounted, pods say nothing."""
    if pod.secret_awaited is None:
        return ""
    return (
        "its volumes are not mounted yet; they need the Secret"
        f" '{pod.secret_awaited}' with the key '{names.AUTH_KEYS_KEY}'"
    )


def _end_in_words(pod: PodSeen, end: Terminated) -> str:
    """Tell an end: pod status does not show a failed liveness probe, its marks do.

    The kubelet kills such a container with SIGTERM and after the grace period with SIGKILL. In a
    pod that nobody deletes or evicts, on a node that is ready, nobody else does so, but for the
    kernel's out-of-memory killer where it does not mark the container.
    """
    code, name = end.exit_code, f"container {pod.container}"
    if end.reason == "OOMKilled":
        text = f"{name} ran out of memory (OOMKilled, exit code {code})"
    elif code == 137:
        text = f"{name} was killed (SIGKILL, exit code 137): its liveness probe failed, or memory"
        text += " ran out on the node"
    elif code == 143:
        text = f"{name} was told to end (SIGTERM, exit code 143): its liveness probe failed"
    elif code == 0:
        text = f"{name} ended although it should serve (exit code 0)"
    else:
        signal = f", {SIGNALS[code]}" if code in SIGNALS else ""
        text = f"{name} ended with exit code {code}{signal}"
    return text + _told(end)


def _told(end: Terminated, otherwise: str = "") -> str:
    """Quote a container's last words, and before them what our server's say in words that are ours.

    The phase and whether a retry helps must not be lost where a long cause is clipped.
    """
    known = last_words.read(end.message)
    quoted = f'"{words}"' if (words := _clipped(known.cause if known else end.message)) else ""
    return "".join(f": {part}" for part in (known and known.verdict, quoted or otherwise) if part)


def _quoted(reason: str, message: str) -> str:
    words = _clipped(message)
    return f"{reason}: {words}" if words else reason


def _clipped(text: str) -> str:
    """Put a text on one line and keep its ends: what failed comes first, the cause last."""
    line = " ".join(text.split())
    if len(line) <= WORDS_LENGTH_MAX:
        return line
    tail_length = WORDS_LENGTH_MAX - WORDS_HEAD_LENGTH - 1
    return f"{line[:WORDS_HEAD_LENGTH]}…{line[-tail_length:]}"
