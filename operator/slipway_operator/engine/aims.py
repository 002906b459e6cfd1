"""Aims: what the user wants now. Commands are obeyed, a new specification starts a rollout, a
changed mind ends one, and what cannot be begun is said.
"""

from dataclasses import replace
from datetime import datetime

from slipway_api import names, status
from slipway_api.conditions import Reason
from slipway_operator.engine import commands, course, plan
from slipway_operator.engine.commands import Verb
from slipway_operator.engine.course import Course, Stall
from slipway_operator.engine.facts import Observation


def obstacle(seen: Observation, target: str) -> Stall | None:
    """Find what keeps a new revision from being made, and what the user can do about it."""
    spec, where = seen.deployment.spec, _where(seen)
    if seen.conflicts:
        taken = ", ".join(seen.conflicts)
        return Stall(
            Reason.NAME_CONFLICT,
            f"{taken} exists and was not made for {where}; it is left alone: rename one of the two",
        )
    if seen.routing.port is None:
        return Stall(
            Reason.NO_PORT,
            f"no router port is free for {where}: all of {names.LISTENER_PORT_FIRST} to"
            f" {names.LISTENER_PORT_LAST} are taken; delete ModelDeployments that are not needed",
        )
    is_kept = any(record.revision == target for record in seen.records)
    if seen.pool is None and not is_kept:
        return Stall(
            Reason.UNKNOWN_POOL,
            f"there is no ComputePool {spec.compute.pool!r}: create it, or name another one in"
            " spec.compute.pool (kubectl get computepools)",
        )
    return None


def obey(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Answer the command annotation, once."""
    value = seen.deployment.metadata.annotations.get(names.ANNOTATION_COMMAND)
    if value is None:
        return now_course
    value = value[: commands.VALUE_LENGTH_MAX]
    if now_course.command is not None and now_course.command.value == value:
        return now_course
    command = commands.parse(value)
    refusal = command if isinstance(command, str) else _refusal(now_course, command)
    answer = status.CommandResult(
        value=value,
        result="Refused" if refusal else "Accepted",
        message=status.clip(refusal or "", status.NOTE_LENGTH_MAX),
        at=now,
    )
    answered = replace(now_course, command=answer)
    if refusal or isinstance(command, str):
        return course.tell(
            answered, Reason.COMMAND_REFUSED, f"{value}: {refusal}", key=value, type_="Warning"
        )
    return _carry_out(answered, command, now)


def _refusal(now_course: Course, command: commands.Command) -> str | None:
    if now_course.rollout is None or now_course.candidate is None:
        return f"nothing is being rolled out, so there is nothing to {command.verb}"
    if command.revision != now_course.candidate:
        return f"the candidate is {now_course.candidate}, not {command.revision}"
    if now_course.is_aborting:
        return f"{command.revision} is being taken back already"
    return None


def _carry_out(now_course: Course, command: commands.Command, now: datetime) -> Course:
    assert now_course.rollout is not None
    told = course.tell(
        now_course, "CommandAccepted", f"{command.verb} {command.revision}", key=str(now)
    )
    match command.verb:
        case Verb.PROMOTE:
            return course.with_rollout(told, promote_asked=True, paused=False)
        case Verb.PAUSE:
            return course.with_rollout(told, paused=True)
        case Verb.RESUME:
            answered = now_course.rollout.step_index
            return course.with_rollout(told, paused=False, pause_step=answered)
        case Verb.ABORT:
            return course.abort(told, Reason.ABORTED_BY_USER, "a person asked for it", now=now)


def aim(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Let the course follow the specification."""
    target = plan.revision_name(seen.deployment.metadata.name, seen.deployment.spec)
    if now_course.stable is None:
        return _aim_first(now_course, seen, target)
    if now_course.candidate is not None:
        if now_course.candidate == target or now_course.is_aborting:
            return now_course
        message = f"the specification asks for {target} now"
        return course.abort(now_course, Reason.SUPERSEDED, message, now=now)
    if target == now_course.stable:
        return now_course
    rejection = now_course.rejection(target)
    if rejection is not None:
        return replace(
            now_course,
            stall=Stall(
                Reason.ROLLED_BACK,
                f"{target} was taken back ({rejection.reason}): {rejection.message}. Stable"
                f" {now_course.stable} serves. {target} is not tried again by itself:"
                " change the specification",
            ),
        )
    stall = obstacle(seen, target)
    if stall is not None:
        return replace(now_course, stall=stall)
    generation = seen.deployment.metadata.generation
    rollout = f"{target}-g{generation}"[-63:]
    return course.begin(now_course, target, rollout=rollout, generation=generation, now=now)


def _aim_first(now_course: Course, seen: Observation, target: str) -> Course:
    """Without anything that serves, whatever is asked for may come at once."""
    if now_course.candidate == target:
        return now_course
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
