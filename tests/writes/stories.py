"""Stories: what people do with each strategy, up to where nothing more happens by itself.

Data but for the few lines that tell how a person follows a rollout.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from slipway_api import names
from slipway_api.conditions import Outcome, Reason, VerdictState
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan
from slipway_operator.engine.commands import Verb
from tests.writes.cluster import NAME, POOL
from tests.writes.run import Run

Object = dict[str, Any]
Scene = Callable[[Run, "Strategy"], Awaitable[None]]

REPLICAS: Final = 2


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy and how a rollout of it stands still in the middle, for an abort or a delete.

    The candidate has `pods` pods there, of which `ready` get ready, and `weight` percent, and the
    rollout waits for what `waits_for` names. `still` is the strategy of these stories, where that
    of the others would not stand still; `traffic` is what it needs besides.
    `is_judged`: the guard takes a bad candidate back there; otherwise a person does.
    `answer` is the command with which a person lets the others go on; None: nobody is asked.
    `outcome` is how a rollout ends of which nobody thinks ill.
    """

    spec: Object
    pods: int
    ready: int
    weight: int
    waits_for: Reason
    is_judged: bool = True
    answer: Verb | None = None
    outcome: Outcome = Outcome.PROMOTED
    still: Object | None = None
    traffic: Object = field(default_factory=dict)


STRATEGIES: Final[dict[str, Strategy]] = {
    "canary": Strategy(
        {"canary": {"steps": [{"weight": 20, "hold": "1s"}, {"weight": 50, "pause": True}]}},
        pods=1,
        ready=1,
        weight=50,
        waits_for=Reason.PAUSED,
        answer=Verb.PROMOTE,
    ),
    "rolling": Strategy(
        {"rolling": {}}, pods=2, ready=1, weight=50, waits_for=Reason.WAITING_FOR_PODS
    ),
    "direct": Strategy(
        {"direct": {}},
        pods=2,
        ready=1,
        weight=0,
        waits_for=Reason.WAITING_FOR_PODS,
        is_judged=False,
    ),
    "blueGreen": Strategy(  # it stands still before the switch
        {"blueGreen": {"mirror": 20, "pause": True}, "probation": "1s"},
        pods=2,
        ready=2,
        weight=0,
        waits_for=Reason.PAUSED,
        answer=Verb.APPROVE,
    ),
    "probation": Strategy(  # a switch that stands still after it
        {"blueGreen": {}, "probation": "1s"},
        pods=2,
        ready=2,
        weight=100,
        waits_for=Reason.PROBATION,
        still={"blueGreen": {}, "probation": "1h"},
    ),
    "shadow": Strategy(
        {"shadow": {"mirror": 20, "hold": "1s"}},
        pods=1,
        ready=1,
        weight=0,
        waits_for=Reason.HOLDING,
        outcome=Outcome.SHADOWED,
        still={"shadow": {"mirror": 20, "hold": "1h"}},
    ),
    "abTest": Strategy(
        {"abTest": {"weight": 50, "hold": "1s", "then": "pause"}},
        pods=1,
        ready=1,
        weight=50,
        waits_for=Reason.PAUSED,
        answer=Verb.RESUME,
        traffic={"sticky": {"header": "x-user-id"}},
    ),
    "featureFlag": Strategy(
        {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}},
        pods=1,
        ready=1,
        weight=0,
        waits_for=Reason.PAUSED,
        answer=Verb.APPROVE,
    ),
    "steps": Strategy(  # from copies and marked requests to a share, in one step
        {
            "steps": [
                {"mirror": 20, "match": [{"cookie": "beta", "value": "1"}], "gate": True},
                {"mirror": 0, "match": [], "weight": 50, "gate": True, "approve": True},
            ]
        },
        pods=1,
        ready=1,
        weight=50,
        waits_for=Reason.PAUSED,
        answer=Verb.APPROVE,
    ),
}
_DIRECT: Final = STRATEGIES["direct"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What leads up to it, undisturbed, and what is done."""

    before: tuple[Scene, ...]
    scene: Scene


def spec_of(version: int, strategy: Strategy) -> Object:
    """Specify a version."""
    model = {"name": NAME, "version": str(version), "uri": f"s3://models/{NAME}/{version}"}
    compute = {"pool": POOL, "replicas": REPLICAS}
    spec = {"model": model, "compute": compute, "strategy": strategy.spec}
    return spec | ({"traffic": strategy.traffic} if strategy.traffic else {})


@cache  # it is asked for at every look
def revision_of(version: int) -> str:
    """Name the revision of a version."""
    spec = ModelDeploymentSpec.model_validate(spec_of(version, _DIRECT))
    return plan.revision_name(NAME, spec)


async def create(run: Run, strategy: Strategy) -> None:
    """Apply the first version."""
    run.md = await run.cluster.apply(spec_of(1, strategy))
    await run.settle(lambda: _serves(run, 1) and run.status.get("address"), "version 1 serves")


async def go_over(run: Run, _: Strategy) -> None:
    """Get to version 2 quickly, before the story begins."""
    await _roll(run, 2, _DIRECT)


async def promote(run: Run, strategy: Strategy) -> None:
    """Apply the next version, and let it become stable."""
    await _roll(run, 2, strategy)


async def undo(run: Run, strategy: Strategy) -> None:
    """Write the first version's specification back."""
    await _roll(run, 1, strategy)


async def abort(run: Run, strategy: Strategy) -> None:
    """Apply the next version, which turns bad in the middle."""
    still = await _half_way(run, strategy)
    candidate = revision_of(2)
    if strategy.is_judged:
        run.told.bad_revisions.add(candidate)
    else:
        await _command(run, still, Verb.ABORT, version=2)
    await run.settle(
        lambda: (
            _has_ended(run, candidate, Outcome.ABORTED)
            and _serves(run, 1)
            and _is_over(run, candidate)
        ),
        "version 2 is taken back",
    )


async def delete(run: Run, strategy: Strategy) -> None:
    """Delete it in the middle of a rollout."""
    await _half_way(run, strategy)
    run.stop_counting()
    await run.cluster.delete(run.md["metadata"]["uid"])
    await run.settle(lambda: run.are_routers_empty, "routers have nothing of it")


OPERATIONS: Final[dict[str, Operation]] = {
    "create": Operation((), create),
    "promote": Operation((create,), promote),
    "abort": Operation((create,), abort),
    "undo": Operation((create, go_over), undo),
    "delete": Operation((create,), delete),
}


async def _roll(run: Run, version: int, strategy: Strategy) -> None:
    await run.cluster.apply(spec_of(version, strategy))
    if strategy.answer is not None:
        await run.until(
            lambda: _waits_for(run, Reason.PAUSED) and _is_proven(run), "a person is waited for"
        )
        await _command(run, strategy, strategy.answer, version=version)
    stays = version if strategy.outcome is Outcome.PROMOTED else 3 - version
    await run.settle(
        lambda: (
            _has_ended(run, revision_of(version), strategy.outcome)
            and _serves(run, stays)
            and _is_over(run, revision_of(3 - stays))
        ),
        f"version {version} is {strategy.outcome}",
    )


async def _half_way(run: Run, strategy: Strategy) -> Strategy:
    """Apply the next version and wait until it stands still in the middle; gives how."""
    still = replace(strategy, spec=strategy.still or strategy.spec)
    candidate = revision_of(2)
    run.cluster.let_ready(candidate, still.ready)
    await run.cluster.apply(spec_of(2, still))
    await run.until(
        lambda: (
            run.status.get("candidate") == candidate
            and run.status["weight"].get("verified", 0) == still.weight
            and run.status["replicas"].get("candidate", 0) == still.pods
            and run.status["replicas"].get("candidateReady", 0) == still.ready
            and _waits_for(run, still.waits_for)
        ),
        "version 2 is half way",
    )
    return still


async def _command(run: Run, strategy: Strategy, verb: Verb, *, version: int) -> None:
    """Annotate, as kubectl slipway does."""
    value = f"{verb}@{revision_of(version)}#1"
    await run.cluster.apply(spec_of(version, strategy), {names.ANNOTATION_COMMAND: value})


def _serves(run: Run, version: int) -> bool:
    status = run.status
    is_ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )
    is_alone = status.get("stable") == revision_of(version) and not status.get("candidate")
    pods = status.get("replicas") or {}
    return is_alone and pods.get("stableReady") == REPLICAS and is_ready == (not _is_refused(run))


def _is_refused(run: Run) -> bool:
    """Tell whether what the specification asks for was taken back: that is not Ready."""
    return run.status.get("phase") == "RolledBack"


def _is_over(run: Run, old: str) -> bool:
    """Tell whether a revision that left has no pods any more."""
    status = run.status
    is_settled = not status.get("rollout") and not status.get("drain")
    return is_settled and run.cluster.replicas_of(old) == 0


def _has_ended(run: Run, revision: str, outcome: Outcome) -> bool:
    """Tell whether the last rollout was that of a revision, and ended so."""
    last: Object = next(iter(run.status.get("history") or ()), {})
    return (last.get("revision"), last.get("outcome")) == (revision, outcome)


def _waits_for(run: Run, reason: Reason) -> bool:
    return bool((run.status.get("waiting") or {}).get("reason") == reason)


def _is_proven(run: Run) -> bool:
    """Tell whether every gate has passed: a person who answers earlier leaves it to chance."""
    verdicts = run.status.get("verdicts") or ()
    return bool(verdicts) and all(each["verdict"] == VerdictState.PASS for each in verdicts)
