"""Aims: what the user wants now. A new specification starts a rollout, a changed mind ends one, and
what cannot be begun is said. Commands have been obeyed before: see `orders`.
"""

from dataclasses import replace
from datetime import datetime

from slipway_api import names
from slipway_api.conditions import Outcome, Reason
from slipway_operator.engine import course, plan, room
from slipway_operator.engine.course import Course, Stall
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.room import Needs


def obstacle(seen: Observation, target: str) -> Stall | None:
    """Find what keeps a new revision from being made, and what the user can do about it."""
    spec, where = seen.deployment.spec, _where(seen)
    if seen.conflicts:
        return _conflict(seen, ", ".join(seen.conflicts))
    if seen.routing.port is None:
        return Stall(
            Reason.NO_PORT,
            f"no router port is free for {where}: all of {names.LISTENER_PORT_FIRST} to"
            f" {names.LISTENER_PORT_LAST} are taken; delete ModelDeployments that are not needed",
        )
    if seen.pool is None and seen.record(target) is None:
        return Stall(
            Reason.UNKNOWN_POOL,
            f"there is no ComputePool {spec.compute.pool!r}: create it, or name another one in"
            " spec.compute.pool (kubectl get computepools)",
        )
    return _without_room(seen, target)


def _conflict(seen: Observation, taken: str) -> Stall:
    return Stall(
        Reason.NAME_CONFLICT,
        f"{taken} exists and was not made for {_where(seen)}; it is left alone: rename one of the"
        " two",
    )


def _yield(now_course: Course, seen: Observation, target: str) -> Course:
    """Stand still if something that what serves needs was made by somebody else meanwhile."""
    name = seen.deployment.metadata.name
    needed = (name, name + names.PREVIEW_SUFFIX, target)
    taken = next((found for one in needed if (found := seen.stranger(one)) is not None), None)
    return now_course if taken is None else replace(now_course, stall=_conflict(seen, taken))


def _without_room(seen: Observation, target: str) -> Stall | None:
    """Refuse what no node could ever take; a pool that grows on demand is not asked."""
    pool, record = seen.pool, seen.record(target)
    if seen.nodes is None or (pool is not None and pool.spec.elastic):
        return None
    compute = seen.deployment.spec.compute
    needs = record.needs if record is not None else None
    if record is None and pool is not None:
        resources = compute.resources.over(pool.spec.resources)
        needs = Needs(pool.spec.node_selector, pool.spec.tolerations, resources)
    lack = room.lack(needs, seen.nodes) if needs is not None else None
    if lack is None:
        return None
    return Stall(
        Reason.NO_ROOM,
        f"no node of pool {compute.pool!r} can take a pod of {target}: {lack}; nothing was made."
        " Add such a node, change spec.compute, or the pool (elastic: true if its nodes come on"
        " demand)",
    )


def aim(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Let the course follow the specification, and what was chosen among its revisions."""
    name, spec = seen.deployment.metadata.name, seen.deployment.spec
    now_course = _end_choice(now_course, plan.revision_name(name, spec))
    target = plan.wanted_revision(name, spec, now_course.chosen)
    if now_course.stable is None:
        return _aim_first(now_course, seen, target, now=now)
    if now_course.candidate is not None:
        if now_course.candidate == target or now_course.is_aborting:
            return now_course
        message = f"the specification asks for {target} now"
        return course.abort(now_course, Reason.SUPERSEDED, message, now=now)
    if target == now_course.stable:
        return _yield(now_course, seen, target)
    if _is_shadowed(now_course, seen, target):
        return now_course
    rejection = now_course.rejection(target)
    if rejection is not None:
        return replace(
            now_course,
            stall=Stall(
                Reason.ROLLED_BACK,
                f"{target} was taken back ({rejection.reason}): {rejection.message}. Stable"
                f" {now_course.stable} serves. {target} is not tried again by itself:"
                f" change the specification, or command retry@{target}",
            ),
        )
    stall = obstacle(seen, target)
    if stall is not None:
        return replace(now_course, stall=stall)
    generation = seen.deployment.metadata.generation
    rollout = _rollout_id(now_course, target, generation, now=now)
    return course.begin(now_course, target, rollout=rollout, generation=generation, now=now)


def _end_choice(now_course: Course, identity: str) -> Course:
    """Forget what was chosen when something else is asked for, but not while it serves.

    Whoever then goes back to the specification of what serves, goes back to what serves.
    """
    chosen = now_course.chosen
    if chosen is None or chosen.identity == identity or chosen.revision == now_course.stable:
        return now_course
    return replace(now_course, chosen=None)


def _is_shadowed(now_course: Course, seen: Observation, target: str) -> bool:
    """Tell whether all that a plan without an end in promotion asks for has been done."""
    last = now_course.history[0] if now_course.history else None
    if last is None or (last.revision, last.outcome) != (target, Outcome.SHADOWED):
        return False
    spec = seen.deployment.spec
    return plan.compile_strategy(spec.strategy, spec.compute.replicas).ends == "stop"


def _rollout_id(now_course: Course, target: str, generation: int, *, now: datetime) -> str:
    """Name the rollout; one that is tried again gets another name, so that it shares nothing."""
    is_again = any(
        entry.revision == target and entry.generation == generation for entry in now_course.history
    )
    again = f"-{int(now.timestamp() * 1000):x}" if is_again else ""
    return f"{target}-g{generation}{again}"[-63:]


def _aim_first(now_course: Course, seen: Observation, target: str, *, now: datetime) -> Course:
    """Without anything that serves, whatever is asked for may come at once."""
    first = now_course.candidate
    if first == target:
        return _yield(now_course, seen, target)
    if seen.routing.published and seen.endpoint_count(first):
        # Clients are led to it already; only the write that says so did not come through.
        return aim(replace(now_course, stable=first, candidate=None), seen, now)
    stall = obstacle(seen, target)
    if stall is not None:
        return replace(now_course, stall=stall)
    aimed = replace(now_course, candidate=target)
    return course.tell(
        aimed, Reason.FIRST_REVISION, f"{target} is the first revision: it has no steps", key=target
    )


def _where(seen: Observation) -> str:
    metadata = seen.deployment.metadata
    return f"ModelDeployment {metadata.namespace}/{metadata.name}"
