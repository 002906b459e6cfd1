"""Looks: what one observation says about the candidate of a running rollout, worked out once.

Facts only; what follows from them is decided in `rollout`.
"""

from dataclasses import dataclass
from datetime import datetime

from slipway_api.conditions import Reason
from slipway_api.status import RolloutState
from slipway_operator.engine import plan, podevents, severance, sources
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.plan import Plan, Setting
from slipway_operator.engine.podevents import PodFinding
from slipway_operator.engine.traffic import SHUT
from slipway_operator.engine.verdicts import GuardView


@dataclass(frozen=True, slots=True)
class Look:
    """What one look says about the candidate, worked out once."""

    seen: Observation
    plan: Plan
    now: datetime
    replicas: int
    ready_count: int
    finding: PodFinding | None
    is_lost: bool  # a candidate's pod was ready and is not
    guard: GuardView | None
    hindrance: tuple[Reason, str] | None  # why no weight may rise: a source is away
    is_excused: bool  # what convicts may be a network's failure

    def is_shown(self, candidate: str, setting: Setting) -> bool:
        """Tell whether every router was seen to do this for the candidate."""
        applied = self.seen.routing.applied
        return (
            self.seen.routing.is_verified
            and applied is not None
            and applied.weight_percent == setting.weight_percent
            and applied.mirror_percent == setting.mirror_percent
            and applied.match == setting.match
            and applied.candidate is not None
            and applied.candidate.revision == candidate
        )

    def is_out(self, candidate: str) -> bool:
        """Tell whether every router was seen to give the candidate nothing."""
        return self.seen.routing.is_verified and self.is_asked_for_nothing(candidate)

    def is_asked_for_nothing(self, candidate: str) -> bool:
        """Tell whether this process has asked the routers to give the candidate nothing."""
        applied = self.seen.routing.applied
        if applied is None:
            return False
        if applied.candidate is None or applied.candidate.revision != candidate:
            return True
        return applied.opening == SHUT


def take(now_course: Course, seen: Observation, now: datetime) -> Look:
    """Work out what a look says about the rollout that runs."""
    rollout = now_course.rollout
    assert rollout is not None
    workload = seen.workload(now_course.candidate)
    unsteady = None if has_served(rollout) else rollout.unsteady_since
    found = podevents.findings(
        workload.pods if workload else (),
        now.timestamp(),
        since_s=rollout.started_at.timestamp() - 1.0,  # pod times have whole seconds
        unsteady_since_s=unsteady.timestamp() if unsteady else None,
    )
    guard = seen.guard if seen.guard and seen.guard.rollout == rollout.id else None
    spec = seen.deployment.spec
    return Look(
        seen=seen,
        plan=plan.compile_strategy(spec.strategy, spec.compute.replicas),
        now=now,
        replicas=spec.compute.replicas,
        ready_count=seen.endpoint_count(now_course.candidate),
        finding=podevents.worst(found),
        is_lost=any(one.reason is Reason.READINESS_LOST for one in found),
        guard=guard,
        hindrance=sources.hindrance(guard, seen.deployment.spec.analysis),
        is_excused=severance.is_excused(guard, workload),
    )


def has_served(rollout: RolloutState) -> bool:
    """Tell whether the first step of a rollout has begun: its candidate had what the step gives."""
    return (
        rollout.step_started_at is not None
        or rollout.step_index > 0
        or rollout.unready_since is not None  # the weight was lowered for it, the clock stopped
    )


def target(now_course: Course, look: Look) -> Setting:
    """Tell the setting that the plan wants now."""
    assert now_course.rollout is not None
    if now_course.rollout.promote_asked:
        return look.plan.whole
    return look.plan.setting(now_course.rollout.step_index)
