"""Every word of the vocabulary is yielded by something; a word that nothing yields is deleted."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import pytest

from slipway_api.conditions import Outcome, Phase, Reason, VerdictState
from slipway_operator.engine import standing
from slipway_operator.engine.actions import Decision
from slipway_operator.engine.alerts import AlertsSeen, FiringAlert
from slipway_operator.engine.podevents import START_DEADLINE_S
from slipway_operator.engine.readiness import READINESS_LOST_S
from tests import builders
from tests.unit.engine.worlds import World

Story = Callable[[], Iterable[Decision]]


def _verdict(state: VerdictState, reason: Reason = Reason.ERRORS) -> Story:
    def story() -> Iterable[Decision]:
        world = World.rolling()
        world.verdicts = (builders.verdict("gate", state, reason=reason),)
        world.wait(60)
        yield world.step()
        yield world.settle(seconds_max=20)

    return story


def _pods(pod_reason: str = "", waiting_reason: str | None = None) -> Story:
    def story() -> Iterable[Decision]:
        world = World.rolling()
        name = builders.revision("2")
        for pod in list(world.revisions[name].pods):
            lost = {"is_ready": False, "was_ready": False, "pod_reason": pod_reason}
            world.change_pod(name, pod, waiting_reason=waiting_reason, **lost)
        yield world.step()
        world.wait(START_DEADLINE_S)
        yield world.step()

    return story


def _crash(code: int) -> Story:
    def story() -> Iterable[Decision]:
        world = World.rolling()
        world.crash_pod(builders.revision("2"), code=code)
        yield world.step()

    return story


def _command(verb: str) -> Story:
    def story() -> Iterable[Decision]:
        world = World.rolling()
        world.say(verb)
        yield world.step()

    return story


def _first() -> Iterable[Decision]:
    world = World()
    yield world.step()
    world.start_pods()
    yield world.step()
    yield world.settle()


def _canary() -> Iterable[Decision]:
    world = World.serving()
    world.ask("2")
    for _ in range(20):
        yield world.step()
        world.start_pods()
        world.confirm()
        world.wait(15)


def _shedding() -> Iterable[Decision]:
    world = World.rolling()
    world.is_shedding = True
    world.wait(60)
    yield world.step()


def _readiness_lost() -> Iterable[Decision]:
    world = World.rolling()
    world.lose_readiness(builders.revision("2"))
    yield world.step()
    world.wait(READINESS_LOST_S)
    yield world.step()


def _no_way_back() -> Iterable[Decision]:
    world = World.rolling()
    world.lose_readiness(builders.revision("1"), count=2)
    world.say("abort")
    yield world.step()


def _superseded() -> Iterable[Decision]:
    world = World.rolling()
    world.ask("3")
    yield world.step()
    yield world.settle()


def _probation() -> Iterable[Decision]:
    world = World.rolling(strategy={"direct": {}, "probation": "1m"})
    yield world.step()


def _shadow() -> Iterable[Decision]:
    world = World.rolling(strategy={"shadow": {}})
    world.wait(700)
    yield world.step()
    yield world.settle()


def _obstacle(change: Callable[[World], None]) -> Story:
    def story() -> Iterable[Decision]:
        world = World.serving()
        world.ask("2")
        change(world)
        yield world.step()

    return story


def _first_fails() -> Iterable[Decision]:
    world = World()
    world.step()
    world.wait(START_DEADLINE_S)
    yield world.step()


def _detached() -> Iterable[Decision]:
    world = World.rolling()
    world.is_detaching = True
    yield world.step()


def _unreadable() -> Iterable[Decision]:
    """No decision: the object cannot be read, so none is made about it."""
    decision = World.serving().settle()
    words = standing.unreadable(decision.status, "broken", generation=2, now=builders.START)
    yield replace(decision, status=words)


def _alert_fires() -> Iterable[Decision]:
    world = World.serving(builders.spec(analysis={"alerts": [{"name": "Broken"}]}))
    world.ask("2")
    yield world.step()
    assert world.source is not None
    labels = {"namespace": builders.NAMESPACE, "modeldeployment": builders.NAME}
    fires = FiringAlert("Broken", labels, world.now)
    world.source.take_alerts(AlertsSeen(world.now, (fires,)))
    world.start_pods()
    yield world.step()


STORIES: Final[dict[Reason, Story]] = {
    Reason.SERVING: _first,
    Reason.FIRST_REVISION: _first,
    Reason.WAITING_FOR_PODS: _first,
    Reason.WAITING_FOR_ROUTERS: _canary,
    Reason.HOLDING: _canary,
    Reason.ROLLING_OUT: _canary,
    Reason.INSUFFICIENT_DATA: _verdict(VerdictState.INSUFFICIENT),
    Reason.MEASUREMENT_UNAVAILABLE: _verdict(VerdictState.UNAVAILABLE),
    Reason.ALERT_FIRING: _alert_fires,
    Reason.SHEDDING: _shedding,
    Reason.PODS_DISTURBED: _pods(pod_reason="Evicted"),
    Reason.PAUSED: _command("pause"),
    Reason.ABORTING: _command("abort"),
    Reason.ABORTED_BY_USER: _command("abort"),
    Reason.COMMAND_REFUSED: _command("revert"),
    Reason.ERRORS: _verdict(VerdictState.FAIL, Reason.ERRORS),
    Reason.REFUSALS: _verdict(VerdictState.FAIL, Reason.REFUSALS),
    Reason.LATENCY: _verdict(VerdictState.FAIL, Reason.LATENCY),
    Reason.LIMIT_EXCEEDED: _verdict(VerdictState.FAIL, Reason.LIMIT_EXCEEDED),
    Reason.BUDGET_SPENT: _verdict(VerdictState.FAIL, Reason.BUDGET_SPENT),
    Reason.CONTAINER_FAILED: _crash(139),
    Reason.MODEL_REJECTED: _crash(78),
    Reason.IMAGE_UNAVAILABLE: _pods(waiting_reason="ErrImagePull"),
    Reason.START_DEADLINE: _first_fails,
    Reason.READINESS_LOST: _readiness_lost,
    Reason.SUPERSEDED: _superseded,
    Reason.PROBATION: _probation,
    Reason.SHADOWED: _shadow,
    Reason.ROLLED_BACK: _verdict(VerdictState.FAIL),
    Reason.DETACHED: _detached,
    Reason.NO_WAY_BACK: _no_way_back,
    Reason.INVALID_SPECIFICATION: _unreadable,
    Reason.UNKNOWN_POOL: _obstacle(lambda world: setattr(world, "pool", None)),
    Reason.NO_ROOM: _obstacle(lambda world: setattr(world, "nodes", ())),
    Reason.NAME_CONFLICT: _obstacle(lambda world: setattr(world, "conflicts", ("Service ml/x",))),
    Reason.NO_PORT: _obstacle(lambda world: setattr(world, "port", None)),
}


@pytest.fixture(scope="module")
def told() -> dict[Story, list[Decision]]:
    """What follows in each story; several reasons share one."""
    return {story: list(story()) for story in dict.fromkeys(STORIES.values())}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_yielded(reason: Reason, told: dict[Story, list[Decision]]) -> None:
    found = {word for decision in told[STORIES[reason]] for word in _words(decision)}

    assert reason.value in found


def test_every_phase_and_outcome_is_yielded(told: dict[Story, list[Decision]]) -> None:
    decisions = [decision for story in told.values() for decision in story]

    phases = {decision.status.phase for decision in decisions}
    outcomes = {ended.outcome for decision in decisions for ended in decision.status.history}

    assert {phase.value for phase in Phase} == phases
    assert {outcome.value for outcome in Outcome} == outcomes


def _words(decision: Decision) -> set[str]:
    """Every reason that a decision tells, wherever it stands."""
    status = decision.status
    abort = status.rollout.abort if status.rollout else None
    return {
        *(condition.reason for condition in status.conditions),
        *(note.reason for note in decision.notes),
        *(entry.reason for entry in status.rejected),
        *(entry.reason for entry in status.history),
        *((status.waiting.reason,) if status.waiting else ()),
        *((abort.reason,) if abort else ()),
    }
