"""Strategies: rolling and direct, told by what they do to weights and pods."""

import pytest

from slipway_api.conditions import VerdictState
from slipway_api.strategy import Rolling, Strategy
from slipway_operator.engine import plan
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")
ROLLING = Strategy(rolling=Rolling())


def _begun(strategy: str, *, replicas: int) -> World:
    world = World.serving(builders.spec("1", strategy=strategy, replicas=replicas))
    world.verdicts = ()
    world.ask("2")
    world.step()
    return world


def _start_one_pod(world: World) -> None:
    """Let one more pod of the candidate become ready, and the routers obey."""
    waiting = [p for p in world.revisions[NEW].pods.values() if not p.is_ready]
    for pod in waiting[:1]:
        at_s = world.now.timestamp()
        world.change_pod(NEW, pod.name, is_ready=True, was_ready=True, ready_since_s=at_s)
    world.step()
    world.confirm()
    world.step()


def test_rolling_gives_each_ready_pod_its_share() -> None:
    world = _begun("rolling", replicas=4)

    seen = []
    for _ in range(4):
        _start_one_pod(world)
        seen.append((world.status.weight.verified, world.status.stable))

    assert [25, 50, 75] == [weight for weight, _ in seen[:3]]
    assert [OLD, OLD, OLD, NEW] == [stable for _, stable in seen]
    assert world.status.history[0].unproven, "nobody waited for a proof"


def test_rolling_makes_one_pod_more_at_a_time_and_keeps_all_of_stable() -> None:
    world = _begun("rolling", replicas=3)

    counts = [world.status.replicas.candidate]
    for _ in range(2):
        _start_one_pod(world)
        world.step()
        counts.append(world.revisions[NEW].replicas or 0)

    assert [2, 3] == counts[1:]
    assert 3 == world.revisions[OLD].replicas


def test_rolling_does_not_go_on_before_every_router_shows_the_weight() -> None:
    world = _begun("rolling", replicas=4)
    world.routers["router-a"].is_stuck = True
    for _ in range(3):
        _start_one_pod(world)

    assert 25 == world.status.weight.asked


@pytest.mark.parametrize("strategy", ["rolling", "direct"])
def test_a_gate_that_fails_takes_any_candidate_back(strategy: str) -> None:
    world = _begun(strategy, replicas=2)
    world.start_pods()
    world.step()
    asked = world.status.weight.asked
    world.verdicts = (builders.verdict("errors", VerdictState.FAIL),)
    world.step()

    assert asked > 0
    assert 0 == world.status.weight.asked


def test_rolling_is_held_while_the_candidate_sheds() -> None:
    world = _begun("rolling", replicas=2)
    world.is_shedding = True
    world.settle()

    assert 50 == world.status.weight.asked


def test_direct_gives_nothing_before_all_pods_are_ready_and_then_everything() -> None:
    world = _begun("direct", replicas=3)

    asked = []
    for _ in range(2):
        _start_one_pod(world)
        asked.append(world.status.weight.asked)
    _start_one_pod(world)

    assert [0, 0] == asked
    assert NEW == world.status.stable
    assert world.status.history[0].unproven


def test_a_direct_candidate_that_never_gets_ready_is_never_given_traffic() -> None:
    world = _begun("direct", replicas=2)
    for _ in range(70):
        world.wait(10)
        world.step()
        world.confirm()
        assert 0 == world.status.weight.asked

    assert ("StartDeadlineExceeded", OLD) == (world.status.rejected[0].reason, world.status.stable)


def test_direct_is_in_no_step_because_it_has_none() -> None:
    assert _begun("direct", replicas=2).status.step is None


@pytest.mark.parametrize("replicas", [1, 2, 3, 7, 99, 100])
def test_a_step_of_rolling_needs_exactly_one_pod_more(replicas: int) -> None:
    steps = plan.compile_strategy(ROLLING, replicas).steps

    needed = [step.setting.pods for step in steps]

    assert list(range(1, replicas)) == needed


def test_rolling_of_many_pods_has_at_most_a_step_for_each_percent() -> None:
    steps = plan.compile_strategy(ROLLING, 1000).steps

    assert list(range(1, 100)) == [step.setting.weight_percent for step in steps]


def test_a_strategy_may_be_changed_while_it_runs() -> None:
    world = _begun("rolling", replicas=4)
    _start_one_pod(world)
    world.ask(strategy="direct")
    world.settle()

    assert NEW == world.status.stable
