"""Detachment: how a deployment's clients are led past the routers, and back to them.

Before Slipway is taken away, each client-facing Service is made to select stable's own pods: then
neither operator nor routers are needed any more. What was under way stands still until Slipway is
back. Nothing here knows who asked for it, or why.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from slipway_api.conditions import Reason
from slipway_operator.engine import course, plan
from slipway_operator.engine.actions import Action, LeadToPods, SweepEndpoints, WithdrawAddress
from slipway_operator.engine.course import Course, Stall
from slipway_operator.engine.facts import Observation

LOOK_AGAIN_S: Final = 0.5  # Kubernetes' own endpoints come within a second, without telling us


def is_due(stable: str | None, seen: Observation) -> bool:
    """Tell whether to detach now.

    While stable has nobody who answers, routers and a candidate may be all that clients have. What
    never served is not begun, unless clients know of it already.
    """
    if not seen.is_detaching:
        return False
    return not seen.routing.published if stable is None else seen.endpoint_count(stable) > 0


def freeze(now_course: Course, seen: Observation) -> Course:
    """Let nothing begin or go on; everything goes to stable."""
    message = "Slipway is being taken away: clients are led to stable's own pods"
    held = course.wait(now_course, Reason.DETACHED, message)
    if held.rollout is not None:
        return course.with_rollout(replace(held, asked=0), step_started_at=None, opened="")
    if held.stable is None or _is_current(held.stable, seen):
        return held
    return replace(
        held,
        stall=Stall(Reason.DETACHED, "Slipway is being taken away: nothing new is rolled out"),
    )


def lead_away(now_course: Course, seen: Observation) -> tuple[Action, ...]:
    """Lead clients to stable's own pods, and only then away from the routers."""
    stable = now_course.stable
    if stable is None or seen.front is None:
        return ()
    if seen.front.selected != stable:
        return (LeadToPods(stable),)
    if seen.routing.published and seen.front.has_ready_pods:
        return (WithdrawAddress(),)
    return ()


def is_led_back(seen: Observation) -> bool:
    """Tell whether the client-facing Service leaves its endpoints to us."""
    return seen.front is not None and seen.front.selected is None


def leftovers(seen: Observation) -> tuple[Action, ...]:
    """Remove what Kubernetes made for the Service while it selected pods, and then forgot.

    To be asked once clients are led to routers again.
    """
    front = seen.front
    return (SweepEndpoints(front.slices),) if front is not None and front.slices else ()


def look_again_at(seen: Observation, now: datetime) -> tuple[datetime, ...]:
    """Tell when to look again while clients are on their way past the routers."""
    if not seen.is_detaching or not seen.routing.published:
        return ()
    return (now + timedelta(seconds=LOOK_AGAIN_S),)


def _is_current(stable: str, seen: Observation) -> bool:
    """Tell whether stable is what the specification asks for."""
    asked = plan.revision_name(seen.deployment.metadata.name, seen.deployment.spec)
    return any(r.revision == stable and r.identity == asked for r in seen.records)
