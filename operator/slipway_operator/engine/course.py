"""The course of a deployment: the part of its status that decisions change, and the few ways to
change it. Each function takes a course and gives a new one; none looks at the cluster.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from slipway_api import status
from slipway_api.conditions import Outcome, Reason
from slipway_api.status import (
    Abort,
    Chosen,
    CommandResult,
    Draining,
    Rejected,
    Rollout,
    RolloutState,
)
from slipway_operator.engine.actions import Note
from slipway_operator.engine.podevents import PodFinding


@dataclass(frozen=True, slots=True)
class Stall:
    """Why nothing goes on by itself."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Course:
    """Where a deployment stands and where it goes.

    `asked` and `verified` are the candidate's weight in percent. `stall`, `waiting` and
    `is_acquitted` (what was measured counts for nothing) are found anew at each look.
    """

    stable: str | None
    candidate: str | None
    asked: int
    verified: int
    rollout: RolloutState | None
    drain: tuple[Draining, ...]
    rejected: tuple[Rejected, ...]
    history: tuple[Rollout, ...]
    chosen: Chosen | None
    command: CommandResult | None
    phi: float | None
    waiting: status.Waiting | None = None
    stall: Stall | None = None
    notes: tuple[Note, ...] = ()
    is_acquitted: bool = False

    @property
    def is_aborting(self) -> bool:
        return self.rollout is not None and self.rollout.abort is not None

    def rejection(self, revision: str) -> Rejected | None:
        """Look up why a revision was taken back."""
        return next((entry for entry in self.rejected if entry.revision == revision), None)


def of_status(seen: status.ModelDeploymentStatus) -> Course:
    """Take up the course where the last decision left it."""
    return Course(
        stable=seen.stable,
        candidate=seen.candidate,
        asked=seen.weight.asked,
        verified=seen.weight.verified,
        rollout=seen.rollout,
        drain=seen.drain,
        rejected=seen.rejected,
        history=seen.history,
        chosen=seen.chosen,
        command=seen.command,
        phi=seen.phi,
    )


def with_rollout(course: Course, **changes: object) -> Course:
    """Change fields of the running rollout."""
    assert course.rollout is not None
    return replace(course, rollout=course.rollout.model_copy(update=changes))


NOTE_ACCEPTED: Final = "CommandAccepted"
NoteType = Literal["Normal", "Warning"]
_ACTIONS: Final = {
    "RolloutStarted": "StartRollout",
    "WeightVerified": "SetWeight",
}
# Ends that say nothing against the candidate.
_BLAMELESS: Final = {
    Reason.SUPERSEDED: Outcome.SUPERSEDED,
    Reason.SHADOWED: Outcome.SHADOWED,
}


def tell(
    course: Course, reason: str, message: str, *, key: str, type_: NoteType = "Normal"
) -> Course:
    """Add something to tell people; `key` makes it unique within the rollout."""
    scope = course.rollout.id if course.rollout is not None else (course.stable or "")
    note = Note(type_, reason, _ACTIONS.get(reason, "Decide"), message, f"{scope}/{reason}/{key}")
    return replace(course, notes=(*course.notes, note))


def wait(course: Course, reason: Reason, message: str, *, until: datetime | None = None) -> Course:
    """Say what is waited for."""
    text = status.clip(message, status.NOTE_LENGTH_MAX)
    return replace(course, waiting=status.Waiting(reason=reason, message=text, until=until))


def begin(
    course: Course, candidate: str, *, rollout: str, generation: int, now: datetime
) -> Course:
    """Start to roll a candidate out."""
    state = RolloutState(id=rollout, generation=generation, started_at=now, phi=course.phi)
    drain = tuple(entry for entry in course.drain if entry.revision != candidate)
    started = replace(course, candidate=candidate, asked=0, rollout=state, drain=drain)
    message = f"candidate {candidate} is to replace stable {course.stable}"
    return tell(started, "RolloutStarted", message, key="")


def forgive(course: Course, revision: str) -> Course:
    """Let a revision that was taken back be tried again."""
    others = tuple(entry for entry in course.rejected if entry.revision != revision)
    return replace(course, rejected=others)


def acquit(course: Course, cause: PodFinding | None) -> Course:
    """Take the candidate's traffic and forget what speaks for and against it: a network failed.

    The step begins anew as soon as its pods carry it.
    """
    forgotten = with_rollout(
        course,
        evidence="",
        step_started_at=None,
        unready_since=None,
        unsteady_since=None,
        opened="",
    )
    told = forgotten
    if cause is not None:
        message = f"failures of {course.candidate} are not held against it: {cause.message}"
        told = tell(forgotten, cause.reason, message, key=cause.pod, type_="Warning")
    return replace(told, asked=0, is_acquitted=True)


def abort(course: Course, reason: Reason, message: str, *, now: datetime) -> Course:
    """Decide to take the candidate back; the first cause stands."""
    if course.is_aborting:
        return course
    text = status.clip(message, status.NOTE_LENGTH_MAX)
    aborted = with_rollout(course, abort=Abort(reason=reason, message=text, at=now), paused=False)
    type_: NoteType = "Normal" if reason in _BLAMELESS else "Warning"
    said = f"candidate {course.candidate} at {course.asked} %: {message}"
    return tell(aborted, reason, said, key="abort", type_=type_)


def finish_abort(course: Course, *, is_drained_first: bool, now: datetime) -> Course:
    """End an aborted rollout: the candidate has no traffic any more."""
    assert course.rollout is not None
    assert course.rollout.abort is not None
    assert course.candidate is not None
    cause = course.rollout.abort
    outcome = _BLAMELESS.get(Reason(cause.reason), Outcome.ABORTED)
    entry = _history(course, outcome, cause.reason, message=cause.message, now=now)
    rejected = course.rejected
    if outcome is Outcome.ABORTED:
        refusal = Rejected(
            revision=course.candidate, reason=cause.reason, message=cause.message, at=cause.at
        )
        others = tuple(r for r in rejected if r.revision != course.candidate)
        rejected = (refusal, *others)[: status.REJECTED_COUNT_MAX]
    drain = _drain(course, course.candidate, now) if is_drained_first else course.drain
    told = tell(
        course,
        "RolledBack" if outcome is Outcome.ABORTED else outcome,
        f"{course.candidate} gets no traffic any more, stable {course.stable} serves everything",
        key="end",
    )
    return replace(
        told,
        candidate=None,
        asked=0,
        verified=0,
        rollout=None,
        drain=drain,
        rejected=rejected,
        history=(entry, *course.history)[: status.HISTORY_COUNT_MAX],
        phi=course.rollout.phi or course.phi,
    )


def finish_promotion(course: Course, *, now: datetime) -> Course:
    """Make the candidate stable: every router was seen to send it everything."""
    assert course.rollout is not None
    assert course.candidate is not None
    said = course.rollout.approval
    entry = _history(course, Outcome.PROMOTED, Reason.SERVING, message=said, now=now)
    told = tell(
        course,
        "Promoted",
        f"{course.candidate} serves everything" + (", unproven" if entry.unproven else ""),
        key="end",
    )
    drain = _drain(course, course.stable, now) if course.stable else course.drain
    return replace(
        told,
        stable=course.candidate,
        candidate=None,
        asked=0,
        verified=0,
        rollout=None,
        drain=drain,
        history=(entry, *course.history)[: status.HISTORY_COUNT_MAX],
        phi=course.rollout.phi or course.phi,
    )


def _history(
    course: Course, outcome: Outcome, reason: str, *, message: str, now: datetime
) -> Rollout:
    assert course.rollout is not None
    assert course.candidate is not None
    return Rollout(
        revision=course.candidate,
        previous=course.stable,
        outcome=outcome,
        reason=reason,
        message=message,
        generation=course.rollout.generation,
        started_at=course.rollout.started_at,
        ended_at=now,
        unproven=course.rollout.unproven,
    )


def _drain(course: Course, revision: str, now: datetime) -> tuple[Draining, ...]:
    others = tuple(entry for entry in course.drain if entry.revision != revision)
    return (*others, Draining(revision=revision, since=now))[-status.DRAIN_COUNT_MAX :]
