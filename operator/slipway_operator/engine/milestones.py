"""Milestones: what a new status says that the old one did not, for those who count.

Only the difference counts, so that a restarted operator, which reads the old status again, counts
nothing twice.
"""

from slipway_api.status import ModelDeploymentStatus, Rollout


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
