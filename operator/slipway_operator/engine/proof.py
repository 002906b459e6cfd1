"""Proof: what gates have to say before a step is left, and what is remembered if they did not."""

from datetime import datetime, timedelta

from slipway_api.base import duration_s
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine import course, looks
from slipway_operator.engine.course import Course
from slipway_operator.engine.looks import Look
from slipway_operator.engine.verdicts import Verdict


def missing(now_course: Course, look: Look, started: datetime) -> Course | None:
    """Say which gate holds the step; None if none does."""
    if look.guard is None or not look.guard.verdicts:
        message = "measurement has just begun"
        return course.wait(now_course, Reason.MEASUREMENT_UNAVAILABLE, message)
    verdicts = _answerable(now_course, look)
    missing = _first(verdicts, VerdictState.UNAVAILABLE)
    if missing is not None:
        message = f"{missing.gate}: {missing.message}"
        return course.wait(now_course, Reason.MEASUREMENT_UNAVAILABLE, message)
    scarce = _first(verdicts, VerdictState.INSUFFICIENT)
    return None if scarce is None else _wait_for_samples(now_course, look, (scarce, started))


def _wait_for_samples(
    now_course: Course, look: Look, scarcity: tuple[Verdict, datetime]
) -> Course | None:
    """Apply `analysis.insufficient`; None lets the rollout go on unproven."""
    scarce, started = scarcity
    assert now_course.rollout is not None
    insufficient = look.seen.deployment.spec.analysis.insufficient
    ends = started + timedelta(seconds=duration_s(insufficient.after))
    message = f"{scarce.gate}: {scarce.message}"
    if look.now < ends or insufficient.then == "hold":
        until = ends if look.now < ends and insufficient.then != "hold" else None
        return course.wait(now_course, Reason.INSUFFICIENT_DATA, message, until=until)
    if insufficient.then == "pause" and now_course.rollout.pause_step != (
        now_course.rollout.step_index
    ):
        return course.wait(now_course, Reason.PAUSED, f"a person must decide: {message}")
    return None


def _answerable(now_course: Course, look: Look) -> tuple[Verdict, ...]:
    """The verdicts that this step can bring: without requests routers have nothing to judge."""
    if look.guard is None:
        return ()
    return look.guard.answerable(has_requests=looks.target(now_course, look).is_measured)


def _first(verdicts: tuple[Verdict, ...], state: VerdictState) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.state is state), None)


def note(now_course: Course, look: Look) -> Course:
    """Remember if a step is left without every gate having passed."""
    assert now_course.rollout is not None
    index = now_course.rollout.step_index
    is_after_plan = bool(look.plan.steps) and index >= len(look.plan.steps)
    if look.guard is not None and not looks.target(now_course, look).is_measured:
        return now_course  # the steps that follow prove it, or do not
    verdicts = look.guard.verdicts if look.guard else ()
    is_proven = bool(verdicts) and all(v.state is VerdictState.PASS for v in verdicts)
    if is_proven or (is_after_plan and not now_course.rollout.promote_asked):
        return now_course
    return course.with_rollout(now_course, unproven=True)
