"""Slipway goes and comes back: somebody answers at every moment, and nothing goes on meanwhile."""

from datetime import timedelta
from typing import Any

import pytest

from slipway_api.conditions import ConditionType, Phase, Reason
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import actions
from slipway_operator.engine.facts import Front
from slipway_operator.engine.rollout import CONFIRM_S
from slipway_operator.engine.traffic import SHUT
from tests import builders
from tests.unit.engine.worlds import World

STABLE = builders.revision("1")
CANDIDATE = builders.revision("2")


def is_true(status: ModelDeploymentStatus, kind: ConditionType) -> bool:
    return any(c.type == kind and c.status == "True" for c in status.conditions)


def is_led_somewhere(world: World) -> bool:
    """Tell whether a client that connects now gets to somebody."""
    selected = world.front.selected if world.front else None
    return bool(world.published or (selected and world.workload(selected).endpoints))


def test_clients_are_led_to_stables_pods_before_they_leave_the_routers() -> None:
    world = World.serving()
    world.is_detaching = True

    first, second = world.step(), world.step()

    assert first.actions == (actions.LeadToPods(STABLE),)
    assert second.actions == (actions.WithdrawAddress(),)
    assert world.step().actions == ()


def test_routers_keep_their_clients_until_kubernetes_has_endpoints_of_its_own() -> None:
    world = World.serving()
    world.is_detaching = True
    world.step()
    world.front = Front(STABLE, slices=("empty",), has_ready_pods=False)

    decision = world.step()

    assert decision.actions == ()
    assert decision.wake_at is not None
    assert (decision.wake_at - world.now).total_seconds() <= 1


def test_nobody_is_led_to_a_stable_without_pods() -> None:
    world = World.serving()
    world.lose_readiness(STABLE, count=2)
    world.is_detaching = True

    decision = world.step()

    assert actions.LeadToPods(STABLE) not in decision.actions
    assert world.published


def test_a_rollout_stands_still_with_everything_at_stable() -> None:
    world = World.rolling()
    assert world.status.weight.asked == 5
    world.is_detaching = True

    world.settle(seconds_max=60)

    assert world.applied is not None
    assert world.applied.weight_percent == 0
    assert world.status.candidate == CANDIDATE
    assert world.status.waiting is not None
    assert world.status.waiting.reason == Reason.DETACHED
    assert world.status.rollout is not None
    assert world.status.rollout.step_index == 0


@pytest.mark.parametrize(
    "strategy",
    [{"shadow": {}}, {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}}],
    ids=["copies", "matches"],
)
def test_what_the_candidate_has_besides_weight_stands_still_and_goes_on_as_well(
    strategy: dict[str, Any],
) -> None:
    """Also once it is convicted: nothing leads to it as long as routers have clients."""
    world = World.rolling(strategy=strategy)
    before = world.applied
    world.is_detaching = True
    held = world.step().traffic
    world.confirm()
    world.is_detaching = False
    world.settle(seconds_max=5)

    assert before is not None
    assert before.opening != SHUT
    assert held is not None
    assert held.opening == SHUT
    assert world.applied is not None
    assert world.applied.opening == before.opening


def test_a_rollout_goes_on_when_slipway_is_back() -> None:
    world = World.rolling()
    world.is_detaching = True
    world.settle()
    world.restart_operator()
    world.is_detaching = False

    world.settle(seconds_max=600)

    assert world.status.stable == CANDIDATE
    assert world.status.phase == Phase.SERVING


def test_a_candidate_keeps_its_share_while_stable_has_nobody() -> None:
    world = World.rolling()
    world.lose_readiness(STABLE, count=2)
    world.is_detaching = True

    world.step()

    assert world.status.weight.asked == 5


def test_who_comes_back_is_led_to_routers_before_anything_is_swept() -> None:
    world = World.serving()
    world.is_detaching = True
    world.settle()
    assert not world.published
    world.restart_operator()
    world.is_detaching = False
    done: list[actions.Action] = []
    for _ in range(10):
        assert is_led_somewhere(world)
        done += world.step().actions
        world.confirm()

    addresses = tuple(address for _, address in builders.ROUTERS)
    assert done == [
        actions.PublishAddress(builders.PORT, addresses),
        actions.SweepEndpoints(("made-by-kubernetes",)),
    ]


def test_a_service_that_still_selects_pods_is_led_back_after_a_restart_in_between() -> None:
    world = World.serving()
    world.front = Front(STABLE, slices=("made-by-kubernetes",), has_ready_pods=True)

    world.settle()

    assert world.front == Front()


def test_who_serves_is_ready_and_available_without_routers() -> None:
    world = World.serving()
    world.is_detaching = True

    world.settle()

    assert world.status.address is None
    assert is_true(world.status, ConditionType.AVAILABLE)
    assert is_true(world.status, ConditionType.READY)


def test_a_new_revision_is_not_begun_and_says_why() -> None:
    world = World.serving()
    world.is_detaching = True
    world.ask("2")

    world.settle(seconds_max=60)

    assert world.status.candidate is None
    assert world.status.phase == Phase.STALLED
    (stalled,) = (c for c in world.status.conditions if c.type == ConditionType.STALLED)
    assert stalled.reason == Reason.DETACHED


def test_a_first_revision_waits_as_well() -> None:
    world = World()
    world.step()
    world.is_detaching = True

    world.settle(seconds_max=20)

    assert world.status.stable is None
    assert not world.published


def test_a_rollout_that_was_being_taken_back_is_looked_at_when_its_routers_are_late() -> None:
    world = World.rolling()
    for router in world.routers.values():
        router.is_stuck = True
    world.say("abort")
    world.step()
    world.is_detaching = True
    world.published = ()

    decision = world.step()

    assert decision.wake_at is not None
    assert decision.wake_at - world.now == timedelta(seconds=CONFIRM_S)


def test_a_rollout_that_stands_still_is_not_looked_at_without_a_break() -> None:
    world = World.rolling()
    world.lose_readiness(CANDIDATE)
    world.step()
    world.is_detaching = True
    world.wait(10.0)

    decision = world.step()

    assert decision.wake_at is not None
    assert decision.wake_at > world.now
