"""Readiness: what it says of a candidate that its pods were ready and are not.

A gap of moments says nothing. With a share of traffic, a longer one ends the rollout; before that
it harms nobody, and pods that come and go have the time that a start has (`podevents`), counted
from their first gap: that stands in the status, for pods do not tell how often they came and went.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from slipway_api.conditions import Reason
from slipway_operator.engine import course, looks
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.looks import Look

READINESS_LOST_S: Final = 3.0  # shorter gaps are a pod's own business
STEADY_S: Final = 60.0  # ready for so long is ready; a few failed probes do not take longer


def judge(now_course: Course, look: Look) -> Course:
    """Readiness lost for 3 s below what the weight needs counts, if stable keeps its own."""
    assert now_course.rollout is not None
    watched = _watch(now_course, look)
    rollout = now_course.rollout
    needed = looks.target(now_course, look).pods
    is_stable_whole = look.seen.endpoint_count(now_course.stable) >= look.replicas
    is_lost = (
        looks.has_served(rollout)
        and look.ready_count < needed
        and is_stable_whole
        and look.finding is not None
        and look.finding.reason is Reason.READINESS_LOST
    )
    if not is_lost:
        if rollout.unready_since is None:
            return watched
        return course.with_rollout(watched, unready_since=None)
    since = rollout.unready_since or look.now
    if look.now - since >= timedelta(seconds=READINESS_LOST_S):
        message = (
            f"{look.ready_count} of {needed} needed candidate pods have been ready for"
            f" {READINESS_LOST_S:.0f} s while all {look.replicas} of stable are"
        )
        return course.abort(watched, Reason.READINESS_LOST, message, now=look.now)
    return course.with_rollout(watched, unready_since=since)


def _watch(now_course: Course, look: Look) -> Course:
    """Remember since when pods come and go before the first requests, until all are steady."""
    rollout = now_course.rollout
    assert rollout is not None
    if look.is_lost:
        if rollout.unsteady_since is not None or looks.has_served(rollout):
            return now_course
        return course.with_rollout(now_course, unsteady_since=look.now)
    steady_at = _steady_at(look.seen, now_course.candidate)
    if rollout.unsteady_since is None or steady_at > look.now:
        return now_course
    return course.with_rollout(now_course, unsteady_since=None)


def look_again_at(now_course: Course, seen: Observation) -> list[datetime]:
    """Tell when time alone changes something here; moments that are over may be among them."""
    rollout = now_course.rollout
    times: list[datetime] = []
    if rollout is None or rollout.abort is not None:
        return times
    if rollout.unready_since is not None:
        times.append(rollout.unready_since + timedelta(seconds=READINESS_LOST_S))
    if rollout.unsteady_since is not None:
        times.append(_steady_at(seen, now_course.candidate))
    return times


def _steady_at(seen: Observation, candidate: str | None) -> datetime:
    """Tell when all pods that are ready will have been so for long enough, if none loses it."""
    workload = seen.workload(candidate)
    since_s = [pod.ready_since_s for pod in (workload.pods if workload else ()) if pod.is_ready]
    latest_s = max((one for one in since_s if one is not None), default=0.0)
    return datetime.fromtimestamp(latest_s, UTC) + timedelta(seconds=STEADY_S)
