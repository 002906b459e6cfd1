"""Standing: what a course means in the words of status. Phase and conditions, so that kubectl wait,
Helm, Flux and Argo CD agree (kstatus: Reconciling means in progress, Stalled means failed).
"""

from dataclasses import dataclass
from datetime import datetime

from slipway_api import status
from slipway_api.conditions import ConditionType, Phase, Reason
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation


@dataclass(frozen=True, slots=True)
class Standing:
    """Phase and the claims behind the conditions; `stalled` None: it goes on by itself."""

    phase: Phase
    is_available: bool
    is_ready: bool
    reason: Reason
    message: str
    stalled: tuple[Reason, str] | None


def stand(course: Course, seen: Observation) -> Standing:
    """Work out where the deployment stands."""
    serving = course.stable or course.candidate
    is_led = seen.routing.published or (seen.front is not None and seen.front.selected == serving)
    is_available = bool(seen.endpoint_count(serving) and is_led)
    if course.stable is None:
        return _stand_first(course, is_available=is_available)
    if course.rollout is not None:
        return _stand_rolling(course, is_available=is_available)
    if course.stall is not None:
        is_rejected = course.stall.reason is Reason.ROLLED_BACK
        phase = Phase.ROLLED_BACK if is_rejected else Phase.STALLED
        stalled = (course.stall.reason, course.stall.message)
        return Standing(phase, is_available, False, *stalled, stalled)
    return _stand_serving(course, seen, is_available=is_available)


def _stand_first(course: Course, *, is_available: bool) -> Standing:
    if course.stall is not None:
        stalled = (course.stall.reason, course.stall.message)
        return Standing(Phase.FAILED, is_available, False, *stalled, stalled)
    reason, message = _waiting(course, f"first revision {course.candidate} is on its way")
    return Standing(Phase.PENDING, is_available, False, reason, message, None)


def _stand_rolling(course: Course, *, is_available: bool) -> Standing:
    assert course.rollout is not None
    reason, message = _waiting(course, f"{course.candidate} is rolled out")
    if course.stall is not None:
        stalled = (course.stall.reason, course.stall.message)
        return Standing(Phase.ABORTING, is_available, False, *stalled, stalled)
    if course.rollout.abort is not None:
        cause = course.rollout.abort
        message = f"{cause.reason}: {cause.message}"
        return Standing(Phase.ABORTING, is_available, False, Reason.ABORTING, message, None)
    if reason is Reason.PAUSED or course.rollout.paused:
        return Standing(Phase.PAUSED, is_available, False, Reason.PAUSED, message, None)
    return Standing(Phase.ROLLING_OUT, is_available, False, Reason.ROLLING_OUT, message, None)


def _stand_serving(course: Course, seen: Observation, *, is_available: bool) -> Standing:
    """Ready once every pod was; afterwards as long as somebody answers, so that it never flaps."""
    wanted = seen.deployment.spec.compute.replicas
    ready = seen.endpoint_count(course.stable)
    is_known = seen.deployment.status.observed_generation == seen.deployment.metadata.generation
    was_ready = is_known and any(
        c.type == ConditionType.READY and c.status == "True"
        for c in seen.deployment.status.conditions
    )
    if is_available and (ready >= wanted or was_ready):
        message = f"{course.stable} serves with {ready} of {wanted} pods"
        return Standing(Phase.SERVING, True, True, Reason.SERVING, message, None)
    if ready < wanted:
        message = f"{ready} of {wanted} pods of {course.stable} are ready"
        reason = Reason.WAITING_FOR_PODS
    else:
        message, reason = "clients are not yet sent to a router", Reason.WAITING_FOR_ROUTERS
    return Standing(Phase.SERVING, is_available, False, reason, message, None)


def _waiting(course: Course, default: str) -> tuple[Reason, str]:
    if course.waiting is None:
        return Reason.ROLLING_OUT, default
    return Reason(course.waiting.reason), course.waiting.message


def conditions(
    standing: Standing, seen: Observation, now: datetime
) -> tuple[status.Condition, ...]:
    """Write the conditions; Reconciling and Stalled are there only while they are true."""
    is_paused = standing.phase is Phase.PAUSED
    available = (Reason.SERVING, "requests are answered")
    if not standing.is_available:
        available = (standing.reason, f"nobody answers yet: {standing.message}")
    claims: list[tuple[ConditionType, bool, Reason, str]] = [
        (ConditionType.AVAILABLE, standing.is_available, *available),
        (ConditionType.READY, standing.is_ready, standing.reason, standing.message),
    ]
    if standing.stalled is not None:
        claims.append((ConditionType.STALLED, True, *standing.stalled))
    elif not standing.is_ready:
        reason = Reason.PAUSED if is_paused else standing.reason
        claims.append((ConditionType.RECONCILING, True, reason, standing.message))
    metadata = seen.deployment.metadata
    return tuple(
        _condition(claim, seen.deployment.status, generation=metadata.generation, now=now)
        for claim in claims
    )


def unreadable(
    before: status.ModelDeploymentStatus, message: str, *, generation: int, now: datetime
) -> status.ModelDeploymentStatus:
    """Say of an object that breaks a newer rule that nothing of it is carried out.

    Everything else of its status stays: routers and pods are left as they are.
    """
    claims = (
        (ConditionType.READY, False, Reason.INVALID_SPECIFICATION, message),
        (ConditionType.STALLED, True, Reason.INVALID_SPECIFICATION, message),
    )
    available = [c for c in before.conditions if c.type == ConditionType.AVAILABLE]
    told = (_condition(claim, before, generation=generation, now=now) for claim in claims)
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.STALLED if before.stable else Phase.FAILED,
            "conditions": (*available, *told),
        }
    )


def _condition(
    claim: tuple[ConditionType, bool, Reason, str],
    earlier: status.ModelDeploymentStatus,
    *,
    generation: int,
    now: datetime,
) -> status.Condition:
    type_, is_true, reason, message = claim
    text = "True" if is_true else "False"
    before = next((c for c in earlier.conditions if c.type == type_), None)
    is_same = before is not None and before.status == text
    return status.Condition(
        type=type_,
        status="True" if is_true else "False",
        reason=reason,
        message=status.clip(message, status.MESSAGE_LENGTH_MAX),
        last_transition_time=before.last_transition_time if before and is_same else now,
        observed_generation=generation,
    )
