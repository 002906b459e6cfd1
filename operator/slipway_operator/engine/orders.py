"""Orders: what a person's command does to the course, or why it is refused.

Each command is answered once. It must not know how a rollout goes on: that is `rollout`'s business.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from slipway_api import names, status
from slipway_api.conditions import Reason
from slipway_api.model_deployment import ModelDeployment
from slipway_api.status import Chosen, RolloutState
from slipway_operator.engine import commands, course, plan
from slipway_operator.engine.commands import Command, Verb
from slipway_operator.engine.course import Course
from slipway_operator.engine.facts import Observation


def obey(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Answer the command annotation, once."""
    value = _unanswered(seen.deployment)
    if value is None:
        return now_course
    command = commands.parse(value)
    refusal = command if isinstance(command, str) else _refusal(now_course, seen, command)
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
    told = course.tell(
        answered,
        course.NOTE_ACCEPTED,
        f"{command.verb} {command.revision}: {command.word}",
        key=str(now),
    )
    return _carry_out(told, seen, command, now=now)


def names_at_stake(deployment: ModelDeployment) -> frozenset[str]:
    """Name the revisions that may be wanted now, the one that an unanswered restart makes too."""
    name, spec = deployment.metadata.name, deployment.spec
    wanted = {plan.wanted_revision(name, spec, deployment.status.chosen)}
    command = commands.parse(_unanswered(deployment) or "")
    if isinstance(command, Command) and command.verb is Verb.RESTART:
        wanted.add(plan.restarted_name(name, plan.revision_name(name, spec), command.nonce))
    return frozenset(wanted)


def is_begun(deployment: ModelDeployment) -> bool:
    """Tell whether all that may be wanted now is in service, on its way, or was taken back."""
    seen = deployment.status
    known = {seen.stable, seen.candidate, *(entry.revision for entry in seen.rejected)}
    return _unanswered(deployment) is None and names_at_stake(deployment) <= known


def _unanswered(deployment: ModelDeployment) -> str | None:
    """Read the command, unless it was answered already."""
    value = deployment.metadata.annotations.get(names.ANNOTATION_COMMAND)
    if value is None:
        return None
    value = value[: commands.VALUE_LENGTH_MAX]
    answered = deployment.status.command
    return None if answered is not None and answered.value == value else value


def _identity(seen: Observation) -> str:
    return plan.revision_name(seen.deployment.metadata.name, seen.deployment.spec)


def _refusal(now_course: Course, seen: Observation, command: Command) -> str | None:
    match command.verb:
        case Verb.PROMOTE | Verb.PAUSE | Verb.RESUME | Verb.ABORT:
            return _steering_refusal(now_course, command)
        case Verb.APPROVE:
            return _approve_refusal(now_course, seen, command)
        case Verb.RETRY:
            return _retry_refusal(now_course, seen, command)
        case Verb.RESTART:
            return _restart_refusal(now_course, seen, command)
        case Verb.UNDO:
            return _undo_refusal(seen, command)
        case _:
            assert_never(command.verb)


def _steering_refusal(now_course: Course, command: Command) -> str | None:
    if now_course.rollout is None or now_course.candidate is None:
        return f"nothing is being rolled out, so there is nothing to {command.verb}"
    if command.revision != now_course.candidate:
        return f"the candidate is {now_course.candidate}, not {command.revision}"
    if now_course.is_aborting:
        return f"{command.revision} is being taken back already"
    return None


def _approve_refusal(now_course: Course, seen: Observation, command: Command) -> str | None:
    refusal = _steering_refusal(now_course, command)
    if refusal is not None:
        return refusal
    assert now_course.rollout is not None
    spec = seen.deployment.spec
    steps = plan.compile_strategy(spec.strategy, spec.compute.replicas)
    index = steps.find(now_course.rollout, now_course.asked)
    asks = index < len(steps.steps) and steps.steps[index].pause
    if asks or spec.analysis.insufficient.then == "pause":
        return None
    return "the step that runs asks nobody: promote skips the rest of the plan, resume ends a pause"


def _retry_refusal(now_course: Course, seen: Observation, command: Command) -> str | None:
    if now_course.rejection(command.revision) is None:
        return f"{command.revision} was not taken back, so there is nothing to retry"
    name, spec = seen.deployment.metadata.name, seen.deployment.spec
    wanted = plan.wanted_revision(name, spec, now_course.chosen)
    if command.revision != wanted:
        return f"the specification asks for {wanted}, not {command.revision}: undo to that first"
    return None


def _restart_refusal(now_course: Course, seen: Observation, command: Command) -> str | None:
    if now_course.stable is None:
        return "nothing serves yet, so there is nothing to restart"
    if now_course.candidate is not None:
        return f"{now_course.candidate} is being rolled out: wait for its end, or abort it"
    if command.revision != now_course.stable:
        return f"stable is {now_course.stable}, not {command.revision}"
    record = seen.record(command.revision)
    of_stable = record.identity if record is not None else command.revision
    if of_stable != _identity(seen):
        return (
            f"the specification asks for {_identity(seen)}, and {command.revision} was made from"
            " another one: undo to it first"
        )
    return None


def _undo_refusal(seen: Observation, command: Command) -> str | None:
    record = seen.record(command.revision)
    if record is None:
        return f"{command.revision} is not kept (kubectl get controllerrevisions tells what is)"
    if record.identity != _identity(seen):
        return (
            f"the specification asks for {_identity(seen)}: write back the one of"
            f" {command.revision}, as kubectl slipway undo does"
        )
    return None


def _carry_out(now_course: Course, seen: Observation, command: Command, *, now: datetime) -> Course:
    match command.verb:
        case Verb.PROMOTE:
            return course.with_rollout(
                now_course, promote_asked=True, paused=False, approval=_approval(command)
            )
        case Verb.PAUSE:
            return course.with_rollout(now_course, paused=True)
        case Verb.RESUME:
            assert now_course.rollout is not None
            return _resume(now_course, now_course.rollout, command)
        case Verb.APPROVE:
            assert now_course.rollout is not None
            answered = now_course.rollout.step_index
            return course.with_rollout(now_course, pause_step=answered, approval=_approval(command))
        case Verb.ABORT:
            return course.abort(now_course, Reason.ABORTED_BY_USER, command.word, now=now)
        case Verb.RETRY:
            return course.forgive(now_course, command.revision)
        case Verb.RESTART:
            name = seen.deployment.metadata.name
            made = plan.restarted_name(name, _identity(seen), command.nonce)
            return replace(now_course, chosen=Chosen(identity=_identity(seen), revision=made))
        case Verb.UNDO:
            return _undo(now_course, Chosen(identity=_identity(seen), revision=command.revision))
        case _:
            assert_never(command.verb)


def _resume(now_course: Course, rollout: RolloutState, command: Command) -> Course:
    """Go on; to end a person's own pause takes no approval of somebody else's away."""
    is_asked = not rollout.paused or not rollout.approval
    approval = _approval(command) if is_asked else rollout.approval
    return course.with_rollout(
        now_course, paused=False, pause_step=rollout.step_index, approval=approval
    )


def _approval(command: Command) -> str:
    return status.clip(f"{command.verb}: {command.word}", status.NOTE_LENGTH_MAX)


def _undo(now_course: Course, chosen: Chosen) -> Course:
    """Choose a kept revision; one that was taken back stays so, and the answer says what to do."""
    is_plain = chosen.revision == chosen.identity
    undone = replace(now_course, chosen=None if is_plain else chosen)
    assert undone.command is not None
    if undone.rejection(chosen.revision) is None:
        return undone
    message = f"it was taken back before: command retry@{chosen.revision} to try it again"
    return replace(undone, command=undone.command.model_copy(update={"message": message}))
