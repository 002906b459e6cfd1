"""Retry, restart and undo: what was there before is rolled out again."""

import pytest

from slipway_api.conditions import VerdictState
from slipway_operator.engine.actions import RecordRevision
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")
FAIL = (builders.verdict("failures", VerdictState.FAIL),)


def _answer(world: World) -> tuple[str, str]:
    command = world.status.command
    assert command is not None
    return command.result, command.message


def _rejected() -> World:
    """A world in which the second revision was taken back and is still asked for."""
    world = World.rolling()
    passed, world.verdicts = world.verdicts, FAIL
    world.settle()
    world.verdicts = passed
    assert "RolledBack" == world.status.phase
    return world


def _restarted(nonce: str = "1") -> World:
    """A world in which a restart of the first revision has been promoted."""
    world = World.serving()
    world.say("restart", of=OLD, nonce=nonce)
    world.settle(seconds_max=3600)
    assert world.status.stable not in (OLD, None)
    return world


def test_retry_rolls_a_rejected_revision_out_again() -> None:
    world = _rejected()
    world.say("retry", of=NEW)
    world.settle()
    begun = world.status
    world.settle(seconds_max=3600)

    assert ("Accepted", "") == _answer(world)
    assert (NEW, ()) == (begun.candidate, begun.rejected)
    assert NEW == world.status.stable


def test_a_retried_rollout_shares_nothing_with_the_first_one() -> None:
    world = World.rolling()
    first = world.status.rollout
    passed, world.verdicts = world.verdicts, FAIL
    world.settle()
    world.verdicts = passed
    world.wait(1)
    world.say("retry", of=NEW)
    world.settle()
    second = world.status.rollout

    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert first.generation == second.generation


def test_a_retried_revision_may_be_taken_back_again() -> None:
    world = _rejected()
    world.verdicts = FAIL
    world.say("retry", of=NEW)
    world.settle()

    assert ["Aborted", "Aborted"] == [entry.outcome for entry in world.status.history]
    assert [NEW] == [entry.revision for entry in world.status.rejected]


@pytest.mark.parametrize(
    ("of", "answer"),
    [(OLD, f"{OLD} was not taken back"), ("churn-0000000000", "was not taken back")],
)
def test_what_was_not_rejected_is_not_retried(of: str, answer: str) -> None:
    world = _rejected()
    world.say("retry", of=of)
    world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert answer in message


def test_a_rejected_revision_that_is_no_longer_asked_for_is_not_retried() -> None:
    world = _rejected()
    world.ask("1")
    world.settle()
    world.say("retry", of=NEW)
    world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert f"the specification asks for {OLD}, not {NEW}" in message
    assert OLD == world.status.stable


def test_restart_makes_new_pods_of_the_same_specification_by_the_same_steps() -> None:
    world = World.serving()
    world.say("restart", of=OLD)
    decision = world.step()
    made = decision.status.candidate
    world.settle()
    first_step = world.status.weight.asked
    world.settle(seconds_max=3600)

    assert made not in (OLD, None)
    assert RecordRevision(made, 2, OLD) in decision.actions
    assert 5 == first_step
    assert made == world.status.stable
    assert "Serving" == world.status.phase
    assert 0 == world.revisions[OLD].replicas


def test_the_same_restart_makes_one_revision_however_often_it_is_read() -> None:
    world = _restarted()
    made = world.status.stable
    world.restart_operator()
    world.settle(seconds_max=60)

    assert made == world.status.stable
    assert 2 == len(world.records)


def test_a_second_restart_makes_another_revision() -> None:
    world = _restarted("1")
    first = world.status.stable
    world.say("restart", of=first, nonce="2")
    world.settle(seconds_max=3600)

    assert world.status.stable not in (OLD, first)
    assert 3 == len(world.records)


def test_a_restart_that_fails_is_taken_back_and_can_be_retried() -> None:
    world = World.serving()
    passed, world.verdicts = world.verdicts, FAIL
    world.say("restart", of=OLD, nonce="1")
    world.settle()
    failed = world.status
    world.verdicts = passed
    world.say("retry", of=failed.rejected[0].revision, nonce="2")
    world.settle(seconds_max=3600)

    assert ("RolledBack", OLD) == (failed.phase, failed.stable)
    assert failed.rejected[0].revision == world.status.stable


def test_a_restart_that_failed_can_be_given_up_by_undoing_to_what_serves() -> None:
    world = World.serving()
    world.verdicts = FAIL
    world.say("restart", of=OLD, nonce="1")
    world.settle()
    world.say("undo", of=OLD, nonce="2")
    world.settle()

    assert ("Serving", OLD, None) == (
        world.status.phase,
        world.status.stable,
        world.status.chosen,
    )


def test_a_new_specification_ends_what_a_restart_chose() -> None:
    world = _restarted()
    world.ask("2")
    world.settle(seconds_max=3600)
    changed = world.status
    world.ask("1")
    world.settle(seconds_max=3600)

    assert (NEW, None) == (changed.stable, changed.chosen)
    assert OLD == world.status.stable, "the specification alone names the plain revision"


def test_going_back_to_what_was_restarted_takes_no_rollout() -> None:
    world = _restarted()
    restarted = world.status.stable
    world.ask("2")
    world.settle()
    halfway = world.status.candidate
    world.ask("1")
    world.settle(seconds_max=30)

    assert NEW == halfway
    assert ("Serving", restarted, None) == (
        world.status.phase,
        world.status.stable,
        world.status.candidate,
    )


def test_another_specification_ends_a_restart_that_is_on_its_way() -> None:
    world = World.serving()
    world.say("restart", of=OLD)
    world.settle()
    world.ask("2")
    world.settle()
    world.ask("1")
    world.settle(seconds_max=30)

    assert ("Serving", OLD, None) == (
        world.status.phase,
        world.status.stable,
        world.status.chosen,
    )


def test_undo_brings_a_restarted_revision_back_from_what_was_kept() -> None:
    world = _restarted()
    restarted = world.status.stable
    world.ask("2")
    world.settle(seconds_max=3600)
    world.ask("1")
    world.say("undo", of=restarted, nonce="2")
    world.settle(seconds_max=3600)

    assert restarted == world.status.stable
    assert 3 == len(world.records), "nothing was recorded anew"


def test_undo_goes_back_before_a_restart() -> None:
    world = _restarted()
    world.say("undo", of=OLD, nonce="2")
    world.settle(seconds_max=3600)

    assert (OLD, None) == (world.status.stable, world.status.chosen)


def test_undo_during_a_rollout_supersedes_it() -> None:
    world = World.rolling()
    world.ask("1")
    world.say("undo", of=OLD)
    world.settle()

    assert ("Serving", OLD) == (world.status.phase, world.status.stable)
    assert "Superseded" == world.status.history[0].outcome


def test_undo_to_a_rejected_revision_says_that_it_takes_a_retry() -> None:
    world = _rejected()
    world.ask("1")
    world.settle()
    world.ask("2")
    world.say("undo", of=NEW)
    world.settle()

    result, message = _answer(world)
    assert "Accepted" == result
    assert f"retry@{NEW}" in message
    assert ("RolledBack", OLD) == (world.status.phase, world.status.stable)


@pytest.mark.parametrize(
    ("verb", "of", "answer"),
    [
        ("restart", NEW, f"stable is {OLD}, not {NEW}"),
        ("restart", OLD, f"the specification asks for {NEW}"),
        ("undo", OLD, f"write back the one of {OLD}"),
        ("undo", "churn-0000000000", "is not kept"),
    ],
)
def test_what_does_not_fit_the_specification_is_refused(verb: str, of: str, answer: str) -> None:
    world = _rejected()
    world.say(verb, of=of)
    before = world.status
    world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert answer in message
    assert (before.phase, before.stable) == (world.status.phase, world.status.stable)


def test_restart_waits_for_the_end_of_a_rollout() -> None:
    world = World.rolling()
    world.say("restart", of=OLD)
    world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert f"{NEW} is being rolled out" in message
    assert 5 == world.status.weight.asked


def test_restart_of_nothing_is_refused() -> None:
    world = World()
    world.say("restart", of=OLD)
    world.step()

    assert ("Refused", "nothing serves yet, so there is nothing to restart") == _answer(world)


def test_two_trials_within_a_second_are_two_rollouts() -> None:
    world = World.rolling()
    ids = []
    for nonce in ("1", "2"):
        world.say("abort", of=NEW, nonce=f"a{nonce}")
        world.settle()
        world.say("retry", of=NEW, nonce=f"r{nonce}")
        world.step()
        assert world.status.rollout is not None
        ids.append(world.status.rollout.id)
        world.wait(0.2)

    assert ids[0] != ids[1]
