"""Whether a deployment has come to what is waited for: from what is seen to an exit code.

Pure. What is waited for is one generation of the specification, so that a pipeline follows its own
change: a later one that asks for other pods supersedes it, a later one that does not (replicas,
steps) takes its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from slipway_plugin import contract
from slipway_plugin.deployment import Deployment, Past
from slipway_plugin.exits import Exit

READY: Final = "ready"
PAUSED: Final = "paused"
GOALS: Final = (READY, PAUSED)


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is waited for; `identity` is what the generation asks of pods, once it was seen."""

    generation: int
    goal: str = READY
    identity: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where it stands: `exit` is final unless it says under way; `message` tells people why."""

    exit: Exit
    message: str


def standing(now: Deployment) -> Progress:
    """Tell where a deployment is with what its specification asks for now."""
    if not now.is_seen:
        message = f"the operator has not looked at generation {now.generation} yet"
        return Progress(Exit.UNDER_WAY, message)
    ready = now.stated(contract.READY)
    if ready is not None and ready.is_true:
        said = f"{_shadowed(now.shadow)}; {ready.message}" if now.shadow else ready.message
        return Progress(Exit.REACHED, said)
    stalled = now.condition(contract.STALLED_CONDITION)
    if stalled is not None:
        return Progress(Exit.TAKEN_BACK, f"{stalled.reason}: {stalled.message}")
    waits = f"{now.waiting.reason}: {now.waiting.message}" if now.waiting else ""
    if now.phase == contract.PAUSED:
        return Progress(Exit.PERSON, waits or "a person must say go on: resume, promote or abort")
    why = waits or (f"{ready.reason}: {ready.message}" if ready else now.phase)
    return Progress(Exit.UNDER_WAY, now.abort or why)


def stage(now: Deployment) -> str:
    """Name where it is in a line without numbers that change all the time."""
    if not now.is_seen:
        return f"generation {now.generation}: not looked at yet"
    parts = [f"generation {now.generation}: {now.phase}"]
    if now.step is not None:
        parts.append(f"step {now.step.index} of {now.step.count}, {now.verified} %")
    if now.waiting is not None:
        parts.append(now.waiting.reason)
    return ", ".join(parts)


def awaited(first: Deployment, *, generation: int | None, goal: str) -> Awaited:
    """Begin to wait for a generation, by default the one that is seen first."""
    wanted = first.generation if generation is None else generation
    return Awaited(wanted, goal, identity(first) if first.generation == wanted else None)


def follow(waited: Awaited, now: Deployment) -> Awaited:
    """Take up a later generation that asks for the same pods, and remember what was asked for."""
    if now.generation == waited.generation:
        return replace(waited, identity=identity(now))
    if now.generation > waited.generation and waited.identity == identity(now):
        return replace(waited, generation=now.generation)
    return waited


def judge(waited: Awaited, now: Deployment) -> Progress:
    """Tell what became of the generation that is waited for; call `follow` before."""
    if now.generation < waited.generation:
        message = f"generation is {now.generation}, {waited.generation} is not there yet"
        return Progress(Exit.UNDER_WAY, message)
    if now.generation > waited.generation:
        return _replaced(waited, now)
    found = standing(now)
    if waited.goal == PAUSED:
        if found.exit is Exit.PERSON:
            return replace(found, exit=Exit.REACHED)
        if found.exit is Exit.REACHED:
            return Progress(Exit.ERROR, f"it never paused: {found.message}")
    return found


def identity(now: Deployment) -> Mapping[str, Any]:
    """Tell what of a specification makes a revision."""
    compute = {
        key: value for key, value in (now.wanted.get("compute") or {}).items() if key != "replicas"
    }
    sections = {key: now.wanted.get(key) or {} for key in ("model", "runtime")}
    return {**sections, "compute": compute}


def _replaced(waited: Awaited, now: Deployment) -> Progress:
    """A later generation asks for something else: the history tells how far this one came.

    Without an entry it came to nothing, or asked for no other pods; which, nobody can tell any
    more, and a pipeline must not take the first for a success.
    """
    is_running = now.candidate is not None and now.rollout_generation == waited.generation
    own = next((past for past in now.history if past.generation == waited.generation), None)
    if own is not None and not is_running:
        if own.outcome == contract.PROMOTED:
            return Progress(Exit.REACHED, f"{own.revision} was promoted; replaced since")
        if own.outcome == contract.SHADOWED:
            return Progress(Exit.REACHED, _shadowed(own))
        if own.outcome == contract.ABORTED:
            return Progress(Exit.TAKEN_BACK, _told(own))
    message = f"generation {now.generation} took the place of {waited.generation}"
    return Progress(Exit.SUPERSEDED, message)


def _shadowed(past: Past) -> str:
    return f"{past.revision} has passed its shadow and is gone, as it was asked"


def _told(past: Past) -> str:
    return f"{past.revision} was taken back: {past.reason}: {past.message}"
