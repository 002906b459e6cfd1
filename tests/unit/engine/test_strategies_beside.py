"""Strategies that show a candidate before it has weight, or keep stable after it has everything."""

from typing import Any, Final

import pytest

from slipway_api.conditions import Outcome, Phase, Reason, VerdictState
from slipway_operator.engine.traffic import Match
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")
FLAG: Final = {"header": "x-beta", "value": "yes"}
STICKY: Final = {"sticky": {"header": "x-user"}}


def begun(strategy: dict[str, Any], *, replicas: int = 2, **fields: Any) -> World:
    """A candidate whose pods are ready, with everything its first step asks for."""
    world = World.serving(builders.spec("1", strategy=strategy, replicas=replicas, **fields))
    world.ask("2", **fields)
    world.settle(seconds_max=1)
    return world


def applied(world: World) -> tuple[int, int, tuple[Match, ...]]:
    assert world.applied is not None
    return world.applied.weight_percent, world.applied.mirror_percent, world.applied.match


def failing() -> Any:
    return builders.verdict("errors", VerdictState.FAIL)


def insufficient() -> Any:
    return builders.verdict("errors", VerdictState.INSUFFICIENT)


def test_blue_green_shows_all_pods_before_it_switches() -> None:
    world = begun({"blueGreen": {"hold": "1m"}}, replicas=3)

    assert (0, 0, ()) == applied(world)
    assert 3 == world.revisions[NEW].replicas == world.revisions[OLD].replicas
    assert Reason.HOLDING == world.status.waiting.reason  # type: ignore[union-attr]


def test_blue_green_without_copies_of_requests_waits_for_none_before_the_switch() -> None:
    world = begun({"blueGreen": {"hold": "1m"}})
    world.verdicts = (insufficient(),)
    world.wait(61)
    world.settle(seconds_max=1)

    assert (100, OLD) == (world.status.weight.verified, world.status.stable)


def test_blue_green_with_copies_waits_for_the_gates_before_the_switch() -> None:
    world = begun({"blueGreen": {"mirror": 10, "hold": "1m"}})
    world.verdicts = (insufficient(),)
    world.wait(61)
    world.settle()

    assert (0, 10, ()) == applied(world)
    assert Reason.INSUFFICIENT_DATA == world.status.waiting.reason  # type: ignore[union-attr]


def test_after_the_switch_stable_keeps_its_pods_until_probation_is_over() -> None:
    world = begun({"blueGreen": {}, "probation": "10m"}, replicas=3)
    world.settle(seconds_max=60)
    kept = (world.status.stable, world.revisions[OLD].replicas, world.status.weight.verified)
    waiting = world.status.waiting
    world.wait(700)
    world.settle(seconds_max=30)

    assert (OLD, 3, 100) == kept
    assert waiting is not None
    assert Reason.PROBATION == waiting.reason
    assert (NEW, Phase.SERVING) == (world.status.stable, world.status.phase)
    assert 0 == world.revisions[OLD].replicas


def test_a_breach_during_probation_leads_all_traffic_back_in_the_same_look() -> None:
    world = begun({"blueGreen": {}})
    world.settle(seconds_max=10)
    world.verdicts = (failing(),)
    world.step()

    assert (0, 0, ()) == applied(world)
    world.settle(seconds_max=60)
    assert (OLD, Outcome.ABORTED) == (world.status.stable, world.status.history[0].outcome)


@pytest.mark.parametrize("strategy", ["direct", "rolling"])
def test_probation_is_for_every_strategy(strategy: str) -> None:
    world = begun({strategy: {}, "probation": "10m"})
    world.settle(seconds_max=60)

    assert (OLD, 100) == (world.status.stable, world.status.weight.verified)


def test_promote_ends_a_probation() -> None:
    world = begun({"direct": {}, "probation": "10m"})
    world.settle(seconds_max=10)
    world.say("promote")
    world.settle(seconds_max=1)

    assert NEW == world.status.stable


def test_a_shadow_copies_requests_and_gives_the_candidate_none() -> None:
    world = begun({"shadow": {"mirror": 20}}, replicas=10)

    assert (0, 20, ()) == applied(world)
    assert (2, 20) == (world.revisions[NEW].replicas, world.status.weight.mirror)


def test_nothing_is_copied_before_pods_are_ready() -> None:
    world = World.serving(builders.spec("1", strategy={"shadow": {}}))
    world.ask("2")
    for _ in range(5):
        world.step()
        world.confirm()

    assert (0, 0, ()) == applied(world)
    assert Reason.WAITING_FOR_PODS == world.status.waiting.reason  # type: ignore[union-attr]


def test_a_shadow_that_passed_ends_there_and_is_not_repeated() -> None:
    world = begun({"shadow": {}})
    world.wait(700)
    world.settle(seconds_max=30)
    first = world.status

    assert (OLD, Phase.SERVING, None) == (first.stable, first.phase, first.candidate)
    assert (Outcome.SHADOWED, ()) == (first.history[0].outcome, first.rejected)
    assert 0 == world.revisions[NEW].replicas
    world.wait(3600)
    world.settle()
    assert first.history == world.status.history


def test_a_shadowed_revision_is_rolled_out_once_another_strategy_is_asked_for() -> None:
    world = begun({"shadow": {}})
    world.wait(700)
    world.settle()
    world.ask(strategy="direct")
    world.settle()

    assert NEW == world.status.stable


def test_a_shadow_that_fails_is_rejected() -> None:
    world = begun({"shadow": {}})
    world.verdicts = (failing(),)
    world.step()
    closed = applied(world)
    world.settle(seconds_max=60)

    assert (0, 0, ()) == closed
    assert (Phase.ROLLED_BACK, NEW) == (world.status.phase, world.status.rejected[0].revision)


def test_a_shadow_with_a_canary_goes_on_to_it() -> None:
    canary = {"steps": [{"weight": 50, "hold": "1h"}]}
    world = begun({"shadow": {"hold": "1m", "canary": canary}})
    world.settle(seconds_max=70)

    assert (50, 0, ()) == applied(world)


def test_an_ab_test_keeps_its_share_for_its_time_and_promotes_the_winner() -> None:
    world = begun({"abTest": {"weight": 30, "hold": "1h"}}, traffic=STICKY)
    world.wait(3500)
    world.settle()
    during = applied(world)
    world.wait(100)
    world.settle()

    assert (30, 0, ()) == during
    assert NEW == world.status.stable


def test_a_challenger_that_won_waits_for_a_person() -> None:
    world = begun({"abTest": {"hold": "1h", "then": "pause"}}, traffic=STICKY)
    world.wait(4000)
    world.settle()
    before = (world.status.phase, world.status.weight.asked)
    world.say("approve")
    world.settle()

    assert (Phase.PAUSED, 50) == before
    assert NEW == world.status.stable


def test_a_feature_flag_leads_marked_requests_only_until_somebody_approves() -> None:
    world = begun({"featureFlag": {"match": [FLAG]}})
    world.verdicts = (insufficient(),)
    world.wait(4000)
    world.settle()
    before = (world.status.phase, applied(world))
    world.say("approve")
    world.settle()

    assert (Phase.PAUSED, (0, 0, (Match("header", "x-beta", "yes"),))) == before
    assert NEW == world.status.stable


def test_marked_requests_stay_with_the_candidate_while_its_pods_for_everything_start() -> None:
    world = begun({"featureFlag": {"match": [FLAG]}}, replicas=4)
    world.settle(seconds_max=10)
    world.say("approve")
    for _ in range(3):  # no pod starts
        world.step()
        world.confirm()
    assert world.status.command is not None
    assert "Accepted" == world.status.command.result

    assert 4 == world.revisions[NEW].replicas
    assert (0, 0, (Match("header", "x-beta", "yes"),)) == applied(world)


def test_a_restart_in_the_middle_of_a_shadow_opens_nothing_before_routers_have_what_they_had() -> (
    None
):
    world = begun({"shadow": {}})
    world.restart_operator()
    world.settle(seconds_max=5)

    assert (0, 10, ()) == applied(world)
    assert OLD == world.status.stable


def test_pods_of_a_step_are_waited_for_even_where_the_weight_needs_fewer() -> None:
    world = World.serving(
        builders.spec("1", strategy={"steps": [{"weight": 10, "scale": 3, "approve": True}]})
    )
    world.ask("2")
    world.step()
    assert 3 == world.revisions[NEW].replicas
    name = next(iter(world.revisions[NEW].pods))
    world.change_pod(NEW, name, is_ready=True, was_ready=True, phase="Running")
    world.step()

    assert 0 == world.status.weight.asked
    world.settle(seconds_max=1)
    assert (10, Phase.PAUSED) == (world.status.weight.verified, world.status.phase)


@pytest.mark.parametrize("verb", ["approve", "resume", "promote"])
def test_who_let_it_go_on_and_why_is_kept_in_status_and_history(verb: str) -> None:
    world = begun({"featureFlag": {"match": [FLAG]}})
    world.command = f"{verb}@{NEW}#1 ada@example.org: scores look right"
    answered = world.step().status
    world.settle()

    said = f"{verb}: ada@example.org asked for it: scores look right"
    assert answered.rollout is not None
    assert said == answered.rollout.approval
    (entry,) = world.status.history
    assert said == entry.message


@pytest.mark.parametrize(
    ("verbs", "kept"),
    [
        (("approve", "pause", "resume"), "approve"),  # to end a pause takes no approval away
        (("approve", "resume"), "resume"),
        (("pause", "resume"), "resume"),
    ],
)
def test_of_several_words_the_last_that_let_it_go_on_is_kept(
    verbs: tuple[str, ...], kept: str
) -> None:
    world = begun({"steps": [{"weight": 10, "approve": True}, {"weight": 50, "approve": True}]})
    for number, verb in enumerate(verbs):
        world.command = f"{verb}@{NEW}#{number} ada: as agreed"
        world.settle(seconds_max=5)

    said = (
        world.status.rollout.approval if world.status.rollout else world.status.history[0].message
    )
    assert f"{kept}: ada asked for it: as agreed" == said


def test_an_approval_that_nobody_asked_for_is_refused_and_says_what_there_is() -> None:
    world = begun({"canary": {"steps": [{"weight": 5, "hold": "1h"}]}})
    world.say("approve")
    world.step()

    assert world.status.command is not None
    assert "Refused" == world.status.command.result
    assert "promote" in world.status.command.message


def test_an_approval_ahead_of_time_still_waits_for_the_hold() -> None:
    world = begun({"steps": [{"weight": 10, "hold": "1m", "approve": True}]})
    world.say("approve")
    world.settle(seconds_max=30)
    before = world.status.stable
    world.settle(seconds_max=40)

    assert (OLD, NEW) == (before, world.status.stable)


def test_the_preview_leads_to_the_candidate_and_to_stable_when_there_is_none() -> None:
    world = World.serving(builders.spec("1", strategy={"blueGreen": {"hold": "1m"}}))
    before = world.preview
    world.ask("2")
    world.settle(seconds_max=1)
    during = world.preview
    world.verdicts = (failing(),)
    world.settle(seconds_max=60)

    assert [OLD, NEW, OLD] == [before, during, world.preview]


def test_the_preview_stays_with_the_candidate_over_the_switch_and_its_promotion() -> None:
    strategy = {"blueGreen": {"hold": "1m"}, "probation": "5m"}
    world = World.serving(builders.spec("1", strategy=strategy))
    world.ask("2")
    world.settle(seconds_max=90)
    switched = (world.status.weight.verified, world.status.phase, world.preview)
    world.settle(seconds_max=600)

    assert (100, Phase.ROLLING_OUT, NEW) == switched
    assert (NEW, NEW) == (world.status.stable, world.preview)


def test_the_preview_goes_with_the_strategy() -> None:
    world = World.serving(builders.spec("1", strategy={"blueGreen": {}}))
    world.ask(strategy="direct")
    world.settle()

    assert world.preview is None
