"""What a decision changed is counted once, however often it is looked at."""

from slipway_api.conditions import Outcome, Reason
from slipway_operator.engine import milestones
from tests import builders
from tests.unit.engine.worlds import World


def test_a_promotion_is_an_end_that_was_not_there_before() -> None:
    world = World.rolling()
    before = world.status
    world.settle(seconds_max=1000)

    (ended,) = milestones.ended(before, world.status)

    assert (Outcome.PROMOTED, Reason.SERVING) == (ended.outcome, ended.reason)


def test_an_old_end_is_not_counted_again_by_a_restarted_operator() -> None:
    world = World.rolling()
    world.settle(seconds_max=1000)
    before = world.status
    world.restart_operator()
    world.settle()

    assert milestones.ended(before, world.status) == ()


def test_two_rollouts_of_one_revision_are_two_ends() -> None:
    world = World.rolling()
    before = world.status
    world.say("abort", of=world.target)
    world.settle(seconds_max=100)
    world.ask("1")
    world.settle()
    middle = world.status

    assert len(milestones.ended(before, middle)) == 1
    assert milestones.ended(middle, middle) == ()


def test_a_candidate_with_traffic_that_is_aborted_is_taken_back() -> None:
    world = World.rolling()
    before = world.status
    world.say("abort", of=world.target)
    decision = world.step()

    assert milestones.is_taking_back(before, decision.status)


def test_a_candidate_without_traffic_has_nothing_to_lose() -> None:
    world = World.serving(builders.spec("1"))
    world.ask("2")
    world.step()
    before = world.status
    world.say("abort", of=world.target)
    decision = world.step()

    assert not milestones.is_taking_back(before, decision.status)
