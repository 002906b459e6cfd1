"""Stories: what people do with each strategy, up to where nothing more happens by itself.

Data but for the few lines that tell how a person follows a rollout.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from slipway_api import names
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan
from tests.writes.cluster import NAME, POOL
from tests.writes.run import Run

Object = dict[str, Any]
Scene = Callable[[Run, "Strategy"], Awaitable[None]]

REPLICAS: Final = 2


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy and how a rollout of it stands still in the middle, for an abort or a delete.

    The candidate has `pods` pods there, of which `ready` get ready, and `weight` percent.
    `is_judged`: the guard takes a bad candidate back there; otherwise a person does.
    `pauses`: the rollout waits for a person before it ends.
    """

    spec: Object
    pods: int
    ready: int
    weight: int
    is_judged: bool
    pauses: bool = False


STRATEGIES: Final[dict[str, Strategy]] = {
    "canary": Strategy(
        {
            "canary": {
                "steps": [{"weight": 20, "hold": "1s"}, {"weight": 50, "pause": True}],
            }
        },
        pods=1,
        ready=1,
        weight=50,
        is_judged=True,
        pauses=True,
    ),
    "rolling": Strategy({"rolling": {}}, pods=2, ready=1, weight=50, is_judged=True),
    "direct": Strategy({"direct": {}}, pods=2, ready=1, weight=0, is_judged=False),
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
    return {"model": model, "compute": compute, "strategy": strategy.spec}


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
    await _half_way(run, strategy)
    candidate = revision_of(2)
    if strategy.is_judged:
        run.told.bad_revisions.add(candidate)
    else:
        await _command(run, strategy, "abort")
    await run.settle(
        lambda: _serves(run, 1) and _is_rejected(run, candidate) and _is_over(run, candidate),
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
    old = revision_of(3 - version)
    await run.cluster.apply(spec_of(version, strategy))
    if strategy.pauses:
        await run.until(lambda: _waits_for_person(run), "the rollout waits for a person")
        await _command(run, strategy, "promote", version=version)
    await run.settle(
        lambda: _serves(run, version) and _is_over(run, old), f"version {version} is stable"
    )


async def _half_way(run: Run, strategy: Strategy) -> None:
    """Apply the next version and wait until it stands still in the middle."""
    candidate = revision_of(2)
    run.cluster.let_ready(candidate, strategy.ready)
    await run.cluster.apply(spec_of(2, strategy))
    await run.until(
        lambda: (
            run.status.get("candidate") == candidate
            and run.status["weight"].get("verified", 0) == strategy.weight
            and run.status["replicas"].get("candidate", 0) == strategy.pods
            and run.status["replicas"].get("candidateReady", 0) == strategy.ready
            and (not strategy.pauses or _waits_for_person(run))
        ),
        "version 2 is half way",
    )


async def _command(run: Run, strategy: Strategy, verb: str, *, version: int = 2) -> None:
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


def _is_rejected(run: Run, revision: str) -> bool:
    return any(entry["revision"] == revision for entry in run.status.get("rejected") or ())


def _waits_for_person(run: Run) -> bool:
    return bool((run.status.get("waiting") or {}).get("reason") == "Paused")
