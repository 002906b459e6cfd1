"""Resumption: how a new process goes on with a rollout that another one left in the middle."""

from dataclasses import replace

from slipway_operator.engine import course
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation


def resume(now_course: Course, seen: Observation) -> Course:
    """Keep the lower weight that routers were found with: a restart never raises one.

    Whoever lowered it died before it could say so in status, or before routers were told of a
    raise. Either way the candidate earns the difference anew.
    """
    found = seen.routing.found_percent
    is_lower = found is not None and found < now_course.asked
    if seen.routing.applied is not None or now_course.rollout is None or not is_lower:
        return now_course
    assert found is not None
    return course.with_rollout(replace(now_course, asked=found), step_started_at=None)
