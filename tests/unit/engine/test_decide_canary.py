"""How a candidate gains weight: step by step, and held by whatever is missing."""

from dataclasses import replace

import pytest

from slipway_api.conditions import VerdictState
from slipway_operator.engine.actions import Decision, EnsureWorkload
from slipway_operator.engine.decide import decide
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def _reason(decision: Decision) -> str:
    waiting = decision.status.waiting
    return "" if waiting is None else waiting.reason


def test_a_new_model_starts_with_pods_and_without_weight() -> None:
    world = World.serving(builders.spec(replicas=4))
    world.ask("2")

    decision = world.step()

    assert EnsureWorkload(NEW, 1) in decision.actions
    assert 0 == decision.status.weight.asked
    assert "WaitingForPods" == _reason(decision)
    assert {"RolloutStarted"} == {note.reason for note in decision.notes}
    assert decision.watch is not None
    assert (OLD, NEW) == (decision.watch.stable, decision.watch.candidate)


def test_weight_follows_pods_and_the_clock_follows_routers() -> None:
    world = World.serving()
    world.ask("2")
    world.step()
    world.start_pods()

    asked = world.step().status
    world.wait(5)
    world.confirm()
    shown = world.step().status

    assert (5, 0) == (asked.weight.asked, asked.weight.verified)
    assert asked.step is not None
    assert asked.step.started_at is None
    assert (5, 5) == (shown.weight.asked, shown.weight.verified)
    assert shown.step is not None
    assert world.now == shown.step.started_at


def test_a_step_holds_as_long_as_it_says() -> None:
    world = World.rolling()
    world.wait(59.9)
    held = world.step()
    world.wait(0.1)
    left = world.step()

    assert ("Holding", 5) == (_reason(held), held.status.weight.asked)
    assert builders.at(60) == held.wake_at
    assert left.status.rollout is not None
    assert 1 == left.status.rollout.step_index


def test_every_step_brings_its_pods_before_its_weight() -> None:
    world = World.rolling(replicas=4)
    world.wait(60)

    decision = world.step()

    assert EnsureWorkload(NEW, 2) in decision.actions
    assert ("WaitingForPods", 5) == (_reason(decision), decision.status.weight.asked)


def test_the_last_step_leads_to_everything_and_then_to_stable() -> None:
    world = World.rolling()
    weights = []
    for _ in range(40):
        world.start_pods()
        world.confirm()
        weights.append(world.step().status.weight.asked)
        world.wait(10)

    (ended,) = world.status.history
    assert 2 == ended.generation

    assert [5, 50, 100, 0] == list(dict.fromkeys(weights))
    assert (NEW, None) == (world.status.stable, world.status.candidate)
    assert ("Promoted", OLD, False) == (ended.outcome, ended.previous, ended.unproven)
    assert 0 == world.revisions[OLD].replicas


def test_stable_keeps_its_pods_until_everything_goes_elsewhere_and_drains_then() -> None:
    world = World.rolling(steps=((5, "0s"),), replicas=3)
    world.settle()
    promoted = world.status
    world.wait(9.9)
    world.step()
    draining = world.revisions[OLD].replicas
    world.wait(0.1)
    world.settle()

    assert [OLD] == [entry.revision for entry in promoted.drain]
    assert 3 == draining
    assert 0 == world.revisions[OLD].replicas


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (VerdictState.INSUFFICIENT, "InsufficientData"),
        (VerdictState.UNAVAILABLE, "MeasurementUnavailable"),
    ],
)
def test_a_gate_that_has_not_passed_holds_the_step(state: VerdictState, reason: str) -> None:
    world = World.rolling()
    world.verdicts = (
        builders.verdict("failures", VerdictState.PASS),
        builders.verdict("refusals", state),
    )
    world.wait(3600)

    decision = world.step()

    assert (reason, 5) == (_reason(decision), decision.status.weight.asked)
    assert decision.status.waiting is not None
    assert "refusals" in decision.status.waiting.message


def test_a_guard_that_says_nothing_holds_the_step() -> None:
    world = World.rolling()
    world.verdicts = ()
    world.wait(60)
    silent = world.step()
    world.watch = None
    absent = world.step()

    assert ["MeasurementUnavailable"] * 2 == [_reason(silent), _reason(absent)]


def test_a_guard_of_another_rollout_does_not_count() -> None:
    world = World.rolling()
    world.wait(60)
    other = builders.guard("another", builders.verdict("failures", VerdictState.FAIL))

    decision = decide(replace(world.observation(), guard=other), world.now)

    assert ("MeasurementUnavailable", 5) == (_reason(decision), decision.status.weight.asked)
    assert () == decision.status.verdicts


def test_a_candidate_that_sheds_load_gets_no_more_of_it() -> None:
    world = World.rolling()
    world.is_shedding = True
    world.wait(60)

    decision = world.step()

    assert ("Shedding", 5) == (_reason(decision), decision.status.weight.asked)


def test_scarce_traffic_holds_for_ever_unless_told_otherwise() -> None:
    world = World.rolling()
    world.verdicts = (builders.verdict("failures", VerdictState.INSUFFICIENT),)
    world.wait(7 * 24 * 3600)

    assert "InsufficientData" == _reason(world.step())


def test_scarce_traffic_asks_a_person_after_a_while() -> None:
    world = World.rolling(insufficient={"after": "5m", "then": "pause"})
    world.verdicts = (builders.verdict("failures", VerdictState.INSUFFICIENT),)
    world.wait(299)
    held = world.step()
    world.wait(1)
    paused = world.step()
    world.say("resume")
    world.step()

    assert "InsufficientData" == _reason(held)
    assert held.status.waiting is not None
    assert builders.at(300) == held.status.waiting.until
    assert ("Paused", "Paused") == (_reason(paused), paused.status.phase)
    assert world.status.rollout is not None
    assert (1, True) == (world.status.rollout.step_index, world.status.rollout.unproven)


def test_scarce_traffic_lets_an_unproven_candidate_pass_if_told_so() -> None:
    world = World.rolling(steps=((50, "10s"),), insufficient={"after": "5m", "then": "promote"})
    world.verdicts = (builders.verdict("failures", VerdictState.INSUFFICIENT),)
    world.wait(300)
    world.settle()

    assert NEW == world.status.stable
    assert world.status.history[0].unproven


def test_a_disturbed_pod_holds_the_step_and_takes_its_weight() -> None:
    world = World.rolling()
    (name,) = world.revisions[NEW].pods
    world.change_pod(NEW, name, is_ready=False, pod_reason="Evicted")
    world.wait(60)

    decision = world.step()

    assert ("PodsDisturbed", 0) == (_reason(decision), decision.status.weight.asked)
    assert decision.status.candidate == NEW
    assert decision.status.rollout is not None
    assert decision.status.rollout.abort is None


def test_a_disturbance_beside_enough_pods_holds_without_lowering() -> None:
    world = World.rolling(replicas=2)
    world.wait(60)
    world.settle()  # 50 % with one pod
    ready = builders.pod("extra", revision=NEW, host="10.9.0.9")
    world.revisions[NEW].pods["extra"] = ready
    (name, *_) = world.revisions[NEW].pods
    world.change_pod(NEW, name, is_terminating=True)
    world.wait(60)

    decision = world.step()

    assert ("PodsDisturbed", 50) == (_reason(decision), decision.status.weight.asked)


def test_weight_goes_down_with_the_pods_that_carry_it() -> None:
    world = World.rolling(replicas=4, steps=((5, "0s"), (75, "60s")))
    world.settle()
    (name, *_) = world.revisions[NEW].pods
    world.change_pod(NEW, name, is_ready=False, pod_reason="Evicted")

    lowered = world.step().status
    world.change_pod(NEW, name, is_ready=True, pod_reason="")
    world.wait(30)
    world.settle()

    assert 50 == lowered.weight.asked
    assert 75 == world.status.weight.asked
    assert world.status.step is not None
    assert world.now == world.status.step.started_at, "the step starts anew"


def test_a_step_with_a_pause_waits_for_a_person() -> None:
    world = World.rolling(steps=((5, "60s", True), (50, "60s")))
    world.settle(seconds_max=90)

    status = world.status

    assert ("Paused", 5) == (status.phase, status.weight.asked)
    assert status.waiting is not None
    assert "step 1 asks a person" in status.waiting.message


def test_the_limit_of_one_attempt_is_fixed_before_the_first_request() -> None:
    world = World.serving()
    world.ask("2")
    world.latency_s = 2.0
    world.settle()
    world.latency_s = 9.0
    world.settle(seconds_max=100)

    assert world.applied is not None
    assert 6.0 == world.applied.per_try_timeout_s


def test_the_limit_of_one_attempt_is_at_least_a_second() -> None:
    world = World.serving()
    world.ask("2")
    world.latency_s = 0.005
    world.settle()

    assert world.applied is not None
    assert 1.0 == world.applied.per_try_timeout_s


def test_a_limit_that_cuts_stable_itself_is_given_up() -> None:
    world = World.serving()
    world.ask("2")
    world.latency_s = 0.005
    world.settle()
    unsure = VerdictState.INSUFFICIENT
    world.verdicts = (builders.verdict("errors", unsure, stable_count=900, stable_bad_count=30),)
    world.settle()

    assert world.applied is not None
    assert 60.0 == world.applied.per_try_timeout_s


def test_without_routers_nothing_is_promised() -> None:
    world = World.rolling(steps=((5, "0s"), (50, "60s")))
    for router in world.routers.values():
        router.is_ready = False
    world.start_pods()

    decision = world.step()

    assert "WaitingForRouters" == _reason(decision)
    assert decision.status.waiting is not None
    assert "no router is ready" in decision.status.waiting.message


def test_a_plan_changed_on_the_way_goes_on_above_what_has_passed() -> None:
    world = World.rolling(steps=((5, "60s"), (25, "60s"), (50, "60s")))
    world.settle(seconds_max=61)
    before = world.status.weight.asked
    world.ask(steps=((10, "60s"),))

    decision = world.step()

    assert 25 == before
    assert 10 == decision.status.weight.asked
    assert decision.status.rollout is not None
    assert decision.status.rollout.step_started_at is None


def test_a_plan_made_shorter_does_not_promote_without_a_verdict() -> None:
    world = World.rolling(steps=((5, "60s"), (25, "60s"), (50, "60s")))
    world.settle(seconds_max=61)
    world.ask(steps=((25, "60s"),))
    world.verdicts = (builders.verdict("failures", VerdictState.INSUFFICIENT),)
    world.settle()
    world.wait(600)

    decision = world.step()

    assert ("InsufficientData", 25) == (_reason(decision), decision.status.weight.asked)
