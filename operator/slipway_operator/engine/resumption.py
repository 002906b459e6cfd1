"""Resumption: how a new process goes on with a rollout that another one left in the middle."""

from dataclasses import replace

from slipway_operator.engine import course
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.traffic import Traffic


def resume(now_course: Course, seen: Observation) -> Course:
    """Keep the lower weight that routers were found with: a restart never raises one.

    Whoever lowered it, or took copies and matches away, died before it could say so in status, or
    before routers were told of a raise. Either way the candidate earns the difference anew, step by
    step: what convicted it may have been forgotten with the process.
    """
    found = seen.routing.found
    if seen.routing.applied is not None or now_course.rollout is None or found is None:
        return now_course
    asked = min(found.weight_percent, now_course.asked)
    lowered = course.with_rollout(replace(now_course, asked=asked), step_started_at=None)
    if asked >= now_course.rollout.passed_weight:
        return lowered
    return course.with_rollout(lowered, passed_weight=asked, way="")


def withhold(traffic: Traffic | None, seen: Observation) -> Traffic | None:
    """Open nothing in the first look that routers were not found with."""
    found = seen.routing.found
    if traffic is None or seen.routing.applied is not None or found is None:
        return traffic
    return traffic.opened(traffic.opening.narrowed(found))
