"""Commands of a person: obeyed once, or refused with the reason."""

import pytest

from slipway_api.conditions import VerdictState
from slipway_operator.engine.commands import Command, Verb, parse
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def _answer(world: World) -> tuple[str, str]:
    command = world.status.command
    assert command is not None
    return command.result, command.message


def test_promote_goes_to_everything_whatever_the_gates_lack() -> None:
    world = World.rolling(steps=((5, "60s"), (50, "60s")))
    world.verdicts = (builders.verdict("failures", VerdictState.INSUFFICIENT),)
    world.say("promote")
    first = world.step()
    world.settle()

    assert ("Accepted", "") == _answer(world)
    assert 5 == first.status.weight.asked, "not before its pods are there"
    assert NEW == world.status.stable
    assert world.status.history[0].unproven


def test_promote_does_not_overrule_a_failed_gate() -> None:
    world = World.rolling()
    world.say("promote")
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)

    assert 0 == world.step().status.weight.asked


def test_promote_of_a_proven_candidate_is_not_called_unproven() -> None:
    world = World.rolling()
    world.say("promote")
    world.settle()

    assert not world.status.history[0].unproven


def test_pause_keeps_the_weight_until_resume() -> None:
    world = World.rolling()
    world.say("pause", nonce="1")
    world.settle()
    paused = world.status
    world.wait(3600)
    world.settle()
    still = world.status
    world.say("resume", nonce="2")
    world.settle()

    assert ("Paused", 5) == (paused.phase, paused.weight.asked)
    assert ("Paused", 5) == (still.phase, still.weight.asked)
    assert paused.waiting is not None
    assert "a person paused" in paused.waiting.message
    assert ("RollingOut", 50) == (world.status.phase, world.status.weight.asked)


def test_pause_holds_the_next_weight_even_when_its_pods_are_there() -> None:
    world = World.rolling(replicas=4)
    world.wait(60)
    world.step()
    world.say("pause")
    world.settle()

    status = world.status
    assert ("Paused", 5) == (status.phase, status.weight.asked)
    assert status.waiting is not None
    assert "Paused" == status.waiting.reason


def test_pause_holds_the_promotion_too() -> None:
    world = World.rolling(steps=((5, "60s"),))
    world.wait(60)
    world.step()
    world.start_pods()
    asked = world.step().status.weight.asked
    world.confirm()
    world.say("pause", nonce="1")
    world.settle(seconds_max=30)
    held = world.status
    world.say("abort", nonce="2")
    world.settle()

    assert 100 == asked
    assert ("Paused", 100, OLD) == (held.phase, held.weight.asked, held.stable)
    assert (0, OLD) == (world.status.weight.asked, world.status.stable)


def test_promote_ends_a_pause() -> None:
    world = World.rolling()
    world.say("pause", nonce="1")
    world.settle()
    world.say("promote", nonce="2")
    world.settle()

    assert NEW == world.status.stable


def test_resume_passes_the_pause_of_its_step_and_of_no_other() -> None:
    world = World.rolling(steps=((5, "0s", True), (50, "0s", True)))
    world.settle()
    world.say("resume")
    world.settle()

    assert ("Paused", 50) == (world.status.phase, world.status.weight.asked)


def test_resume_does_not_stand_in_for_a_verdict() -> None:
    world = World.rolling(steps=((5, "0s", True),))
    world.verdicts = (builders.verdict("failures", VerdictState.UNAVAILABLE),)
    world.say("resume")
    world.settle()

    assert 5 == world.status.weight.asked


def test_abort_takes_the_candidate_back_in_one_decision() -> None:
    world = World.rolling()
    world.say("abort")

    decision = world.step()

    assert 0 == decision.status.weight.asked
    assert decision.status.rollout is not None
    assert decision.status.rollout.abort is not None
    assert "AbortedByUser" == decision.status.rollout.abort.reason


def test_a_command_is_obeyed_once() -> None:
    world = World.rolling()
    world.say("pause", nonce="1")
    world.settle()
    answered = world.status.command
    world.wait(10)
    noted = world.step().notes
    world.restart_operator()
    world.settle()

    assert answered == world.status.command
    assert () == noted


def test_the_same_command_with_another_nonce_is_a_new_one() -> None:
    world = World.rolling(steps=((5, "0s", True), (50, "0s", True)))
    world.say("resume", nonce="1")
    world.settle()
    world.say("resume", nonce="2")
    world.settle()

    assert NEW == world.status.stable


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("promote", "write VERB@REVISION#NONCE"),
        (f"revert@{NEW}#1", "there is no command 'revert'"),
        (f"promote@{NEW}", "write VERB@REVISION#NONCE"),
        (f"promote@{OLD}#1", f"the candidate is {NEW}, not {OLD}"),
        ("promote@" + "x" * 400 + "#1", "write VERB@REVISION#NONCE"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_the_reason(
    command: str, answer: str
) -> None:
    world = World.rolling()
    world.command = command

    decision = world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert answer in message
    assert ["CommandRefused"] == [note.reason for note in decision.notes]
    assert 5 == decision.status.weight.asked


def test_nothing_can_be_commanded_once_the_candidate_is_taken_back() -> None:
    world = World.rolling()
    world.routers["router-a"].is_stuck = True
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
    world.step()
    world.say("promote")
    world.step()

    result, message = _answer(world)
    assert "Refused" == result
    assert "taken back already" in message


def test_a_command_after_the_rollout_is_refused() -> None:
    world = World.serving()
    world.say("promote")
    world.step()

    assert ("Refused", "nothing is being rolled out, so there is nothing to promote") == _answer(
        world
    )


def test_a_command_names_verb_and_revision() -> None:
    assert Command(Verb.ABORT, "churn-0a", "3f") == parse("abort@churn-0a#3f")
