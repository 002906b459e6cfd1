"""The clock of a step: it runs while every gate can be judged, and stops while a source is away.

Time in which nobody measured proves nothing, so a step's end moves by as much. The clock stands in
the status: a restart neither resets nor forgets it.
"""

from datetime import datetime, timedelta

from slipway_api.status import RolloutState
from slipway_operator.engine import course
from slipway_operator.engine.course import Course


def start(now_course: Course, now: datetime) -> Course:
    """Begin a step's time."""
    return course.with_rollout(
        now_course, step_started_at=now, stopped_since=None, stopped_seconds=0.0
    )


def keep(now_course: Course, *, away_since: datetime | None, now: datetime) -> Course:
    """Stop the clock while a source is away, and let it go on afterwards.

    `away_since` is since when some gate has not been measured, None if all are.
    """
    rollout = now_course.rollout
    assert rollout is not None
    if rollout.step_started_at is None:
        return now_course
    if away_since is not None:
        if rollout.stopped_since is not None:
            return now_course
        since = min(max(away_since, rollout.step_started_at), now)
        return course.with_rollout(now_course, stopped_since=since)
    if rollout.stopped_since is None:
        return now_course
    stopped_s = rollout.stopped_seconds + (now - rollout.stopped_since).total_seconds()
    return course.with_rollout(
        now_course, stopped_since=None, stopped_seconds=round(max(0.0, stopped_s), 3)
    )


def counted_from(rollout: RolloutState) -> datetime | None:
    """Tell when a step that was measured all the time would have begun; None: its clock stands."""
    if rollout.step_started_at is None or rollout.stopped_since is not None:
        return None
    return rollout.step_started_at + timedelta(seconds=rollout.stopped_seconds)
