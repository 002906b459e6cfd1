"""Milestones: what a new status says that the old one did not, for those who count.

Only the difference counts, so that a restarted operator, which reads the old status again, counts
nothing twice.
"""

from typing import Final

from slipway_api.conditions import Outcome, Reason
from slipway_api.status import ModelDeploymentStatus, Rollout

# The usual ends of a rollout, (outcome, reason). They are counted from 0 while it runs: a count
# whose first value is 1 never grew, as far as those can tell who look now and then.
ENDS: Final = (
    (Outcome.PROMOTED.value, Reason.SERVING.value),
    (Outcome.SUPERSEDED.value, Reason.SUPERSEDED.value),
    (Outcome.SHADOWED.value, Reason.SHADOWED.value),
    *(
        (Outcome.ABORTED.value, reason.value)
        for reason in (
            Reason.ERRORS,
            Reason.REFUSALS,
            Reason.LATENCY,
            Reason.LIMIT_EXCEEDED,
            Reason.BUDGET_SPENT,
            Reason.ALERT_FIRING,
            Reason.CONTAINER_FAILED,
            Reason.READINESS_LOST,
            Reason.START_DEADLINE,
            Reason.IMAGE_UNAVAILABLE,
            Reason.MODEL_REJECTED,
            Reason.ABORTED_BY_USER,
        )
    ),
)


def ended(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[Rollout, ...]:
    """List the rollouts that ended with this decision, oldest first."""
    known = {(entry.revision, entry.started_at) for entry in before.history}
    return tuple(
        entry
        for entry in reversed(after.history)
        if (entry.revision, entry.started_at) not in known
    )


def is_taking_back(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Tell whether a candidate that has traffic is to lose it."""
    has_traffic = bool(before.weight.asked or before.weight.verified)
    return has_traffic and after.rollout is not None and after.rollout.abort is not None
