"""Every state of a deployment, every transition between phases, and every cause, as data.

A run of the model must visit each row often, and nothing that is not here. What cannot be has its
reason beside it.
"""

from dataclasses import dataclass
from typing import Final

from slipway_api.conditions import ConditionType, Outcome, Phase, Reason
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine.commands import Verb
from tests.unit.model.clients import Answer

BEGUN: Final = "rollout begun"
PASSED: Final = "step passed"
RAISED: Final = "weight raised"
LOWERED: Final = "weight lowered"  # without an abort: fewer pods, a changed plan
UNREADY: Final = "readiness lost"
UNSTEADY: Final = "pods come and go"  # before their first step
STEADY: Final = "pods are steady again"
STOPPED: Final = "clock stopped"
SPENT: Final = "shut by its budget"  # in the tick that spends it


@dataclass(frozen=True, slots=True, order=True)
class State:
    """Where a deployment stands, and why it is not further on."""

    phase: str
    why: str


@dataclass(frozen=True, slots=True, order=True)
class Transition:
    """From one phase to another; None before the first look."""

    before: str | None
    after: str


def state_of(said: ModelDeploymentStatus) -> State:
    """Read the state: why it stalls, or what it waits for, or else why it is or is not ready."""
    by_type = {condition.type: condition for condition in said.conditions}
    stalled = by_type.get(ConditionType.STALLED)
    if stalled is not None:
        return State(str(said.phase), stalled.reason)
    if said.waiting is not None:
        return State(str(said.phase), said.waiting.reason)
    return State(str(said.phase), by_type[ConditionType.READY].reason)


def causes_of(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[str, ...]:
    """Read what happened between two statuses, in the words of the status."""
    return (*_answers(before, after), *_ends(before, after), *_progress(before, after))


def _answers(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[str, ...]:
    command = after.command
    if command is None or command == before.command:
        return ()
    verb = command.value.partition("@")[0]
    return (f"{verb} {command.result}",)


def _ends(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[str, ...]:
    if before.stable is None and after.stable is not None:
        return (Reason.FIRST_REVISION,)
    if after.history[:1] == before.history[:1]:
        return ()
    ended = after.history[0]
    is_sudden = before.rollout is not None and before.rollout.abort is None
    if ended.outcome == Outcome.ABORTED and is_sudden:  # decided and done in one look
        return (ended.reason, ended.outcome)
    return (ended.outcome,)


def _progress(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[str, ...]:
    was, is_ = before.rollout, after.rollout
    if is_ is None:
        return ()
    if was is None or was.id != is_.id:
        return (BEGUN,)
    found = []
    if is_.abort is not None and was.abort is None:
        found.append(is_.abort.reason)
    if is_.passed_weight > was.passed_weight:
        found.append(PASSED)
    if after.weight.asked > before.weight.asked:
        found.append(RAISED)
    if after.weight.asked < before.weight.asked and is_.abort is None:
        found.append(LOWERED)
    if is_.unready_since is not None and was.unready_since is None:
        found.append(UNREADY)
    if is_.unsteady_since is not None and was.unsteady_since is None:
        found.append(UNSTEADY)
    if is_.unsteady_since is None and was.unsteady_since is not None:
        found.append(STEADY)
    if is_.stopped_since is not None and was.stopped_since is None:
        found.append(STOPPED)
    return tuple(found)


_WHYS: Final[dict[Phase, tuple[Reason, ...]]] = {
    Phase.PENDING: (
        Reason.WAITING_FOR_PODS,
        Reason.WAITING_FOR_ROUTERS,
        Reason.PODS_DISTURBED,
        Reason.IMAGE_UNAVAILABLE,
        Reason.CONTAINER_FAILED,
        Reason.READINESS_LOST,
        Reason.DETACHED,
    ),
    Phase.SERVING: (
        Reason.SERVING,
        Reason.WAITING_FOR_PODS,
        Reason.WAITING_FOR_ROUTERS,
        Reason.DETACHED,
    ),
    Phase.ROLLING_OUT: (
        Reason.WAITING_FOR_PODS,
        Reason.READINESS_LOST,
        Reason.WAITING_FOR_ROUTERS,
        Reason.HOLDING,
        Reason.PROBATION,
        Reason.INSUFFICIENT_DATA,
        Reason.MEASUREMENT_UNAVAILABLE,
        Reason.ALERT_FIRING,
        Reason.SHEDDING,
        Reason.PODS_DISTURBED,
        Reason.NAME_CONFLICT,
        Reason.IMAGE_UNAVAILABLE,
        Reason.CONTAINER_FAILED,
        Reason.DETACHED,
    ),
    Phase.PAUSED: (
        Reason.PAUSED,
        Reason.WAITING_FOR_ROUTERS,
        Reason.PODS_DISTURBED,
        Reason.DETACHED,
    ),
    Phase.ABORTING: (Reason.WAITING_FOR_ROUTERS, Reason.NO_WAY_BACK, Reason.DETACHED),
    Phase.ROLLED_BACK: (Reason.ROLLED_BACK,),
    Phase.STALLED: (
        Reason.INVALID_SPECIFICATION,
        Reason.UNKNOWN_POOL,
        Reason.NO_ROOM,
        Reason.NAME_CONFLICT,
        Reason.DETACHED,
    ),
    Phase.FAILED: (
        Reason.INVALID_SPECIFICATION,
        Reason.UNKNOWN_POOL,
        Reason.NO_ROOM,
        Reason.NAME_CONFLICT,
        Reason.NO_PORT,
        Reason.CONTAINER_FAILED,
        Reason.IMAGE_UNAVAILABLE,
        Reason.MODEL_REJECTED,
        Reason.START_DEADLINE,
    ),
}
STATES: Final = frozenset(State(phase, why) for phase, whys in _WHYS.items() for why in whys)

_AFTER: Final[dict[Phase | None, tuple[Phase, ...]]] = {
    None: (Phase.PENDING, Phase.FAILED),
    Phase.PENDING: (Phase.SERVING, Phase.STALLED, Phase.FAILED),
    Phase.FAILED: (Phase.PENDING, Phase.SERVING, Phase.STALLED),
    Phase.SERVING: (Phase.ROLLING_OUT, Phase.ROLLED_BACK, Phase.STALLED),
    Phase.ROLLING_OUT: (
        *(Phase.PAUSED, Phase.ABORTING),
        *(Phase.SERVING, Phase.ROLLED_BACK, Phase.STALLED),
    ),
    Phase.PAUSED: (
        *(Phase.ROLLING_OUT, Phase.ABORTING),
        *(Phase.SERVING, Phase.ROLLED_BACK, Phase.STALLED),
    ),
    Phase.ABORTING: (Phase.ROLLING_OUT, Phase.SERVING, Phase.ROLLED_BACK, Phase.STALLED),
    Phase.ROLLED_BACK: (Phase.ROLLING_OUT, Phase.ABORTING, Phase.SERVING, Phase.STALLED),
    Phase.STALLED: (
        *(Phase.ROLLING_OUT, Phase.PAUSED, Phase.ABORTING),
        *(Phase.SERVING, Phase.ROLLED_BACK),
    ),
}
TRANSITIONS: Final = frozenset(
    Transition(before, after) for before, afters in _AFTER.items() for after in afters
)

_SERVED: Final = tuple(phase for phase in Phase if phase not in (Phase.PENDING, Phase.FAILED))
# (from any of these, to any of those, why that cannot be)
UNREACHABLE: Final[tuple[tuple[tuple[Phase | None, ...], tuple[Phase, ...], str], ...]] = (
    (
        _SERVED,
        (Phase.PENDING, Phase.FAILED),
        "what has served once keeps a stable revision, whatever becomes of its pods",
    ),
    (
        (None, Phase.PENDING, Phase.FAILED),
        (Phase.ROLLING_OUT, Phase.PAUSED, Phase.ABORTING, Phase.ROLLED_BACK),
        "a first revision has no steps, and nothing to go back to",
    ),
    ((None,), (Phase.SERVING, Phase.STALLED), "routers have to be seen to serve it first"),
    (
        (Phase.SERVING, Phase.ABORTING, Phase.ROLLED_BACK),
        (Phase.PAUSED,),
        "a rollout begins unpaused, and its steps ask nobody before routers were seen",
    ),
)
# What takes a coincidence; it may happen in a run, and need not.
RARE: Final = {
    Transition(Phase.SERVING, Phase.ABORTING): (
        "what is asked for again drains still, and one of its containers ended this second"
    ),
}

CAUSES: Final = frozenset(
    {
        *(BEGUN, RAISED, LOWERED, PASSED, UNREADY, UNSTEADY, STEADY, STOPPED),
        Reason.FIRST_REVISION,
        *Outcome,
        *Answer,
        SPENT,
        *(
            *(Reason.ERRORS, Reason.REFUSALS, Reason.LATENCY, Reason.LIMIT_EXCEEDED),
            Reason.BUDGET_SPENT,
            *(Reason.ALERT_FIRING, Reason.CONTAINER_FAILED, Reason.READINESS_LOST),
            *(Reason.START_DEADLINE, Reason.IMAGE_UNAVAILABLE, Reason.MODEL_REJECTED),
            *(Reason.ABORTED_BY_USER, Reason.SUPERSEDED),
        ),
        *(f"{verb} {result}" for verb in Verb for result in ("Accepted", "Refused")),
        "nonsense Refused",
    }
)
# Words of the status that are no state and no cause.
OF_CONDITIONS: Final = {
    Reason.ABORTING: "of the conditions while the candidate is taken back: the wait says more",
    Reason.ROLLING_OUT: "of the conditions while a rollout runs: the wait says more",
    Reason.COMMAND_REFUSED: "of an Event: a refused command changes nothing",
}
