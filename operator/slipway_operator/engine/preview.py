"""The preview: a Service that leads straight to the pods of what may take over next.

It is no router's port on purpose. What people try out there is not what clients send, so nothing
may be judged by it.
"""

from slipway_api import names
from slipway_operator.engine.actions import Action, LeadPreview, RemovePreview
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation


def follow(now_course: Course, seen: Observation) -> tuple[Action, ...]:
    """Lead to the candidate, or to stable without one; it is there as long as it is asked for.

    Which port its pods have tells the record of a revision; without one it is left as it is.
    """
    if seen.deployment.spec.strategy.blue_green is None:
        return (RemovePreview(),) if seen.preview is not None else ()
    wanted = now_course.candidate or now_course.stable
    if wanted is None or wanted == seen.preview or seen.record(wanted) is None:
        return ()
    if seen.stranger(seen.deployment.metadata.name + names.PREVIEW_SUFFIX) is not None:
        return ()
    return (LeadPreview(wanted),)
