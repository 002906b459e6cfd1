"""Upkeep: which revisions are to have pods, how many, and which are no longer kept."""

from datetime import datetime
from typing import Final

from slipway_operator.engine import actions, plan, rollout
from slipway_operator.engine.actions import Action
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation, Record, Workload

REVISIONS_KEPT: Final = 10  # as revisionHistoryLimit of a Deployment


def revisions(now_course: Course, seen: Observation, now: datetime) -> tuple[Action, ...]:
    """Work out pods: what is to be there, with how many, and what is no longer kept.

    Pods are made from a record. One that somebody deleted can be made again only for what the
    specification asks for; the workload of any other revision in service is left as it is.
    """
    wanted: list[Action] = []
    spec = seen.deployment.spec
    active = [name for name in (now_course.stable, now_course.candidate) if name is not None]
    known = {record.revision: record for record in seen.records}
    name = seen.deployment.metadata.name
    target = plan.wanted_revision(name, spec, now_course.chosen)
    is_new = target in active and target not in known
    if is_new and seen.pool is not None and seen.stranger(target) is None:
        number = 1 + max((record.number for record in seen.records), default=0)
        identity = plan.revision_name(name, spec)
        known[target] = Record(target, number, identity, spec.model.digest)
        wanted.append(actions.RecordRevision(target, number, identity))
    for revision in active:
        record, workload = known.get(revision), seen.workload(revision)
        if record is None or seen.stranger(revision) is not None:
            continue
        if record.digest is None and workload is not None and workload.digest:
            wanted.append(actions.RecordDigest(revision, workload.digest))
        replicas = _replicas(now_course, seen, now, record=record)
        if not _has_pods(workload, replicas):
            wanted.append(actions.EnsureWorkload(revision, replicas))
    return (*wanted, *_leave(now_course, seen, active=active, known=known))


def _leave(
    now_course: Course, seen: Observation, *, active: list[str], known: dict[str, Record]
) -> tuple[Action, ...]:
    """Take pods from revisions that are out of service, and forget the oldest of them."""
    wanted: list[Action] = []
    draining = {entry.revision for entry in now_course.drain}
    for workload in seen.workloads:
        if workload.revision in draining or workload.revision in active:
            continue
        if workload.revision not in known:
            wanted.append(actions.RemoveRevision(workload.revision))
        elif workload.replicas:
            wanted.append(actions.EnsureWorkload(workload.revision, 0))
    old = sorted(
        (r for r in seen.records if r.revision not in draining and r.revision not in active),
        key=lambda record: record.number,
    )
    surplus = old[: max(0, len(old) - REVISIONS_KEPT)]
    return (*wanted, *(actions.RemoveRevision(record.revision) for record in surplus))


def _has_pods(workload: Workload | None, replicas: int) -> bool:
    """Tell whether a revision has what it needs; without pods it needs no Service."""
    if workload is None:
        return replicas == 0
    return workload.replicas == replicas and (replicas == 0 or workload.cluster_ip is not None)


def _replicas(now_course: Course, seen: Observation, now: datetime, *, record: Record) -> int:
    """Tell how many pods a revision in service gets.

    As long as nobody knows which bytes its pods load, the first one comes alone and tells; the
    others are then held to the same. A model server that does not tell is not waited for.
    """
    workload = seen.workload(record.revision)
    needed = _needed(now_course, seen, now, revision=record.revision)
    if record.digest is not None or (workload is not None and workload.digest == ""):
        return needed
    there = (workload.replicas or 0) if workload else 0
    return min(needed, max(1, there))


def _needed(now_course: Course, seen: Observation, now: datetime, *, revision: str) -> int:
    """Tell how many pods the plan needs; the candidate grows ahead of its weight."""
    replicas = seen.deployment.spec.compute.replicas
    if now_course.rollout is None or revision == now_course.stable:
        return replicas
    workload = seen.workload(revision)
    current = (workload.replicas or 0) if workload else 0
    if now_course.is_aborting:
        return 0 if rollout.is_late(now_course, now) else current
    steps = plan.compile_strategy(seen.deployment.spec.strategy, replicas)
    target = steps.setting(now_course.rollout.step_index)
    if now_course.rollout.promote_asked:
        target = steps.whole
    return max(target.pods, min(current, replicas))
