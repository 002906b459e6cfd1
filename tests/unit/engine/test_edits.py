"""Edits mid-way: each row of docs/edits.md, told in a world without a cluster."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import Outcome, Phase, Reason, VerdictState
from tests import builders
from tests.unit.engine.worlds import World

PAGE: Final = Path(__file__).parents[3] / "docs" / "edits.md"
V1, V2, V3 = (builders.revision(version) for version in "123")
CANARY: Final = ((5, "1m"), (25, "1m"), (50, "1m"))
BLUE_GREEN: Final = {"blueGreen": {"hold": "1m"}, "probation": "10m"}
IN_CLUSTER: Final = {"delete", "namespace"}  # nothing of the engine is asked

Story = Callable[[], None]
STORIES: dict[str, Story] = {}


def row(name: str) -> Callable[[Story], Story]:
    def add(story: Story) -> Story:
        STORIES[name] = story
        return story

    return add


def begun(strategy: Any = "canary", *, replicas: int = 4, **fields: Any) -> World:
    """V2 has what its first step asks for."""
    wanted = builders.spec("1", strategy=strategy, steps=CANARY, replicas=replicas, **fields)
    world = World.serving(wanted)
    world.ask("2", **fields)
    world.settle(seconds_max=1)
    return world


def at_25(**fields: Any) -> World:
    """V2 has passed 5 % and has 25 %."""
    world = begun(**fields)
    world.wait(61)
    world.settle()
    assert 25 == world.status.weight.verified
    return world


def switched() -> World:
    """V2 has everything, V1 is kept."""
    world = begun(BLUE_GREEN)
    world.wait(61)
    world.settle(seconds_max=1)
    assert (100, V1) == (world.status.weight.verified, world.status.stable)
    return world


def step(world: World) -> tuple[int, int]:
    """The weight at every router, and the number of the step that asked for it."""
    assert world.status.step is not None
    return world.status.weight.verified, world.status.step.index


def opening(world: World) -> tuple[int, int]:
    assert world.applied is not None
    return world.applied.weight_percent, world.applied.mirror_percent


def is_superseded_at_once(world: World) -> None:
    """V3 was asked for: V2 loses everything in this very look, and V3 follows it."""
    world.step()
    assert (0, 0) == opening(world)
    assert V1 == world.status.stable
    world.settle(seconds_max=30)
    assert (V1, V3) == (world.status.stable, world.status.candidate)
    assert (V2, Outcome.SUPERSEDED) == ended(world)
    assert () == world.status.rejected
    assert 0 == world.revisions[V2].replicas
    assert 4 == world.revisions[V1].replicas


def ended(world: World) -> tuple[str, str]:
    entry = world.status.history[0]
    return entry.revision, entry.outcome


@row("v3-over-v2")
def _v3_over_v2() -> None:
    world = at_25()
    world.ask("3")
    is_superseded_at_once(world)
    assert 5 == world.status.weight.asked


@row("v3-in-preview")
def _v3_in_preview() -> None:
    world = begun(BLUE_GREEN)
    world.ask("3")
    is_superseded_at_once(world)
    assert V3 == world.preview


@row("v3-in-probation")
def _v3_in_probation() -> None:
    world = switched()
    world.ask("3")
    is_superseded_at_once(world)


@row("v3-in-shadow")
def _v3_in_shadow() -> None:
    world = begun({"shadow": {}})
    world.ask("3")
    is_superseded_at_once(world)
    assert (0, 10) == opening(world)


@row("revert")
def _revert() -> None:
    world = at_25()
    world.ask("1")
    world.step()
    assert (0, 0) == opening(world)
    world.settle(seconds_max=30)
    assert (Phase.SERVING, None) == (world.status.phase, world.status.candidate)
    assert (V2, Outcome.SUPERSEDED) == ended(world)
    assert 0 == world.revisions[V2].replicas


@row("hold")
def _hold() -> None:
    world = at_25()
    world.wait(30)
    world.ask(steps=((5, "1m"), (25, "20s"), (50, "1h")))
    world.settle(seconds_max=1)
    assert (50, 3) == step(world)


@row("insert")
def _insert() -> None:
    world = at_25()
    world.ask(steps=((5, "1m"), (10, "1m"), (25, "1m"), (30, "1m")))
    world.settle(seconds_max=1)
    assert (25, 3) == step(world)


@row("weights")
def _weights() -> None:
    world = at_25()
    world.ask(steps=((2, "1m"), (15, "1m"), (30, "1m")))
    world.settle(seconds_max=1)
    assert (15, 2) == step(world)


@row("to-blue-green")
def _to_blue_green() -> None:
    world = at_25()
    world.ask(strategy=BLUE_GREEN)
    world.settle(seconds_max=1)
    assert (0, 0) == opening(world)
    assert (V2, 4) == (world.preview, world.revisions[V2].replicas)
    assert Phase.ROLLING_OUT == world.status.phase


@row("to-shadow")
def _to_shadow() -> None:
    world = at_25()
    world.ask(strategy={"shadow": {}})
    world.settle(seconds_max=1)
    assert (0, 10) == opening(world)
    assert Phase.ROLLING_OUT == world.status.phase


@row("from-shadow")
def _from_shadow() -> None:
    world = begun({"shadow": {}})
    world.ask(strategy="canary", steps=CANARY)
    world.settle(seconds_max=1)
    assert (5, 0) == opening(world)


@row("to-direct")
def _to_direct() -> None:
    world = at_25()
    world.verdicts = (builders.verdict("errors", VerdictState.INSUFFICIENT),)
    world.ask(strategy="direct")
    world.settle(seconds_max=1)
    assert V2 == world.status.stable
    assert world.status.history[0].unproven


@row("end-probation")
def _end_probation() -> None:
    world = switched()
    world.ask(strategy={**BLUE_GREEN, "probation": "0s"})
    world.settle(seconds_max=30)
    assert (V2, (V2, Outcome.PROMOTED)) == (world.status.stable, ended(world))
    assert 0 == world.revisions[V1].replicas


@row("thresholds")
def _thresholds() -> None:
    world = at_25()
    metrics = [{"name": "error-rate", "max": "1%"}]
    world.ask(analysis={"metrics": metrics})
    world.settle(seconds_max=1)
    assert 25 == world.status.weight.verified
    assert world.watch is not None
    assert "error-rate" == world.watch.analysis.metrics[0].name


@row("timeouts")
def _timeouts() -> None:
    world = at_25()
    world.ask(traffic={"timeout": "7s"})
    world.settle(seconds_max=1)
    assert world.applied is not None
    assert (7.0, 25, V2) == (
        world.applied.timeout_s,
        world.status.weight.verified,
        world.status.candidate,
    )


@row("scale-up")
def _scale_up() -> None:
    world = at_25()
    world.ask(replicas=8)
    world.step()
    before = world.status.weight.asked
    world.settle(seconds_max=1)
    assert (12, 25) == (before, world.status.weight.verified)
    assert (8, 2) == (world.revisions[V1].replicas, world.revisions[V2].replicas)


@row("scale-down")
def _scale_down() -> None:
    world = switched()
    world.ask(replicas=2)
    world.settle(seconds_max=1)
    assert (100, V1) == (world.status.weight.verified, world.status.stable)
    assert 2 == world.revisions[V1].replicas


@row("paused-edit")
def _paused_edit() -> None:
    world = at_25()
    world.say("pause")
    world.settle(seconds_max=1)
    world.ask(steps=((5, "1m"), (25, "1s"), (60, "1m")))
    world.wait(100)
    world.settle()
    assert (Phase.PAUSED, 25) == (world.status.phase, world.status.weight.verified)


@row("paused-v3")
def _paused_v3() -> None:
    world = at_25()
    world.say("pause")
    world.settle(seconds_max=1)
    world.ask("3")
    is_superseded_at_once(world)
    assert Phase.ROLLING_OUT == world.status.phase


@row("pool-object")
def _pool_object() -> None:
    world = at_25()
    before = world.observation()
    world.pool = ComputePool.model_validate({"spec": {"nodeSelector": {"zone": "b"}}})
    world.settle(seconds_max=1)
    assert before.records == world.observation().records
    assert (25, V2) == (world.status.weight.verified, world.status.candidate)


@row("pool-name")
def _pool_name() -> None:
    world = at_25()
    world.ask(pool="gpu")
    world.step()
    assert (0, 0) == opening(world)
    world.settle(seconds_max=30)
    assert (V2, Outcome.SUPERSEDED) == ended(world)
    assert world.status.candidate not in (None, V2)


@row("reapply")
def _reapply() -> None:
    world = at_25()
    before, generation = world.status, world.generation
    world.ask("2")
    decision = world.step()
    assert (before, generation) == (world.status, world.generation)
    assert ((), world.applied) == (decision.actions, decision.traffic)


@row("rejected")
def _rejected() -> None:
    world = at_25()
    world.verdicts = (builders.verdict("errors", VerdictState.FAIL),)
    world.settle(seconds_max=30)
    world.restart_operator()
    world.ask("2", insufficient={"after": "1h"})
    world.wait(3600)
    world.settle()
    assert (Phase.ROLLED_BACK, V1, None) == (
        world.status.phase,
        world.status.stable,
        world.status.candidate,
    )
    assert 0 == world.revisions[V2].replicas


@row("back-to-rejected")
def _back_to_rejected() -> None:
    world = at_25()
    world.verdicts = (builders.verdict("errors", VerdictState.FAIL),)
    world.settle(seconds_max=30)
    world.ask("1")
    world.settle()
    between = world.status.phase
    world.ask("2")
    world.settle()
    assert (Phase.SERVING, Phase.ROLLED_BACK) == (between, world.status.phase)


@row("retry")
def _retry() -> None:
    world = at_25()
    world.verdicts = (builders.verdict("errors", VerdictState.FAIL),)
    world.settle(seconds_max=30)
    world.verdicts = (builders.verdict("errors", VerdictState.PASS),)
    world.say("retry", of=V2)
    world.settle(seconds_max=1)
    assert (V2, 5, ()) == (
        world.status.candidate,
        world.status.weight.verified,
        world.status.rejected,
    )


@row("restart")
def _restart() -> None:
    world = at_25()
    world.say("restart", of=V1)
    world.settle(seconds_max=1)
    assert world.status.command is not None
    assert ("Refused", 25) == (world.status.command.result, world.status.weight.verified)
    assert "abort" in world.status.command.message


@row("undo")
def _undo() -> None:
    world = at_25()
    world.ask("1")
    world.say("undo", of=V1)
    world.step()
    assert (0, 0) == opening(world)
    world.settle(seconds_max=30)
    assert (Phase.SERVING, V1) == (world.status.phase, world.status.stable)
    assert (V2, Outcome.SUPERSEDED) == ended(world)


@pytest.mark.parametrize("name", STORIES)
def test_an_edit_does_what_its_row_says(name: str) -> None:
    STORIES[name]()


def test_every_row_of_the_page_is_told() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert [name for name in rows if name not in IN_CLUSTER] == list(STORIES)
    assert IN_CLUSTER < set(rows)


def test_what_waits_after_an_edit_says_why() -> None:
    world = at_25()
    world.ask(strategy=BLUE_GREEN)
    world.step()

    assert world.status.waiting is not None
    assert Reason.WAITING_FOR_PODS == world.status.waiting.reason
