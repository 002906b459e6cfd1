"""What a new process does with a rollout that another one left: it never raises a weight."""

from dataclasses import replace

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.decide import decide
from slipway_operator.engine.traffic import SHUT
from tests import builders
from tests.unit.engine.worlds import World


def killed_after_lowering(world: World, weight_percent: int) -> None:
    """Let routers have a lower weight that the status says nothing of, and restart."""
    assert world.applied is not None
    world.applied = replace(world.applied, weight_percent=weight_percent)
    world.confirm()
    world.restart_operator()


def test_an_abort_that_only_routers_heard_of_is_not_undone_by_a_restart() -> None:
    world = World.rolling(steps=[(50, "60s", False)])
    killed_after_lowering(world, 0)

    decision = world.step()

    assert decision.traffic is not None
    assert decision.traffic.weight_percent == 0
    assert world.status.weight.asked == 0
    assert world.status.rollout is not None
    assert world.status.rollout.abort is None


def test_a_candidate_earns_the_difference_anew_and_the_step_its_time() -> None:
    world = World.rolling(steps=[(50, "60s", False)])
    started = world.status.rollout.step_started_at
    killed_after_lowering(world, 0)
    world.wait(30)

    world.settle()

    assert world.status.weight.asked == 50
    assert world.status.rollout.step_started_at > started


def test_what_still_speaks_against_a_candidate_aborts_before_it_gets_anything() -> None:
    world = World.rolling(steps=[(50, "60s", False)])
    killed_after_lowering(world, 0)
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
    weights = []
    for _ in range(5):
        weights.append(world.step().status.weight.asked)
        world.confirm()

    assert weights == [0] * 5
    assert world.status.candidate is None


def test_a_raise_that_routers_did_not_hear_of_is_made_by_the_second_look() -> None:
    world = World.serving(builders.spec("1", steps=[(50, "60s", False)]))
    world.ask("2")
    world.step()
    world.start_pods()
    raised = world.step()  # status says 50, and then the process ends
    assert raised.status.weight.asked == 50
    world.restart_operator()

    first, second = world.step(), world.step()

    assert (first.status.weight.asked, second.status.weight.asked) == (0, 50)
    assert first.status.waiting is not None
    assert first.status.waiting.reason == Reason.WAITING_FOR_ROUTERS


def test_routers_that_do_as_status_says_keep_step_and_clock() -> None:
    world = World.rolling(steps=[(50, "60s", False)])
    before = world.status
    world.restart_operator()

    world.step()

    assert world.status.weight.asked == 50
    assert world.status.rollout == before.rollout


def test_what_was_found_is_forgotten_with_the_first_push() -> None:
    world = World.rolling(steps=[(50, "60s", False)])
    seen = world.observation()
    stale = replace(seen, routing=replace(seen.routing, found=SHUT))

    assert decide(stale, world.now).status.weight.asked == 50


def test_a_candidate_that_routers_were_told_to_leave_begins_at_the_first_step_again() -> None:
    world = World.rolling(steps=[(20, "1s", False), (50, "60s", False)])
    world.verdicts = (builders.verdict("failures", VerdictState.PASS),)
    world.settle(seconds_max=30)
    assert world.status.weight.asked == 50
    killed_after_lowering(world, 0)
    world.verdicts = ()
    weights = []
    for _ in range(4):
        weights.append(world.step().status.weight.asked)
        world.confirm()

    assert weights == [0, 20, 20, 20]
