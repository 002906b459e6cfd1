"""Routers that nobody reaches lose their clients, the last one never."""

from slipway_api.conditions import Phase
from slipway_operator.engine.actions import PublishAddress
from slipway_operator.engine.traffic import StaticAnswer
from tests import builders
from tests.unit.engine.worlds import World

BOTH = ("10.1.0.1", "10.1.0.2")


def test_a_lost_router_leaves_the_address_at_once_and_returns_when_it_is_found() -> None:
    world = World.serving()
    world.routers["router-a"].is_lost = True

    without = world.step().actions
    world.routers["router-a"].is_lost = False
    found = world.step().actions

    assert (PublishAddress(builders.PORT, ("10.1.0.2",)),) == without
    assert (PublishAddress(builders.PORT, BOTH),) == found


def test_the_last_router_stays_in_the_address_though_it_is_lost() -> None:
    world = World.serving()
    for router in world.routers.values():
        router.is_lost = True
    world.settle()
    all_lost = world.published
    world.routers["router-b"].is_lost = False
    world.settle()

    assert all_lost == BOTH
    assert world.published == ("10.1.0.2",)


def test_a_lost_router_holds_a_healthy_rollout_and_neither_aborts_nor_promotes_it() -> None:
    world = World.rolling()
    world.routers["router-a"].is_lost = True
    world.ask(steps=[(10, "60s"), (50, "60s")])
    world.settle(seconds_max=600)

    assert (world.status.phase, world.status.history) == (Phase.ROLLING_OUT, ())
    assert world.published == ("10.1.0.2",)


def test_an_abort_ends_although_one_router_is_lost_and_the_other_is_late() -> None:
    world = World.rolling()
    world.routers["router-a"].is_lost = True
    world.routers["router-b"].is_stuck = True
    world.say("abort")
    world.settle(seconds_max=30)

    assert world.status.rollout is None
    assert world.status.weight.asked == 0
    assert world.revisions[builders.revision("2")].replicas == 0
    assert world.published


def test_routers_get_the_static_answer_and_its_edits() -> None:
    world = World.serving()
    answers = []
    for wanted in ({"body": "{}"}, {"body": '{"a": 1}', "status": 503}, None):
        world.ask(traffic={"staticAnswer": wanted})
        traffic = world.step().traffic
        assert traffic is not None
        answers.append(traffic.static_answer)

    assert [StaticAnswer("{}"), StaticAnswer('{"a": 1}', 503), None] == answers
