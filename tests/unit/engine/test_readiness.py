"""Readiness that comes and goes: what it costs a candidate that serves, and one before that."""

from slipway_operator.engine.podevents import START_DEADLINE_S
from slipway_operator.engine.readiness import READINESS_LOST_S, STEADY_S
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def test_readiness_lost_for_three_seconds_takes_the_candidate_back() -> None:
    """Also in the first step, whose clock stops when its weight goes."""
    world = World.rolling()
    world.lose_readiness(NEW)
    lowered = world.step()
    world.wait(READINESS_LOST_S - 0.1)
    waiting = world.step()
    world.wait(0.1)
    aborted = world.step()

    assert 0 == lowered.status.weight.asked
    assert lowered.wake_at == builders.at(READINESS_LOST_S)
    assert waiting.status.rollout is not None
    assert waiting.status.rollout.abort is None
    assert aborted.status.rollout is not None
    assert aborted.status.rollout.abort is not None
    assert "ReadinessLost" == aborted.status.rollout.abort.reason
    assert aborted.wake_at is not None
    assert aborted.wake_at > world.now, "the operator must not spin"


def test_a_short_gap_in_readiness_does_not_count() -> None:
    world = World.rolling()
    world.lose_readiness(NEW)
    world.step()
    world.wait(2.0)
    world.settle()
    world.wait(5.0)
    world.lose_readiness(NEW)
    world.step()

    assert world.status.rollout is not None
    assert world.now == world.status.rollout.unready_since
    assert world.status.rollout.abort is None


def test_readiness_lost_on_both_sides_speaks_against_neither() -> None:
    world = World.rolling()
    world.lose_readiness(NEW)
    world.lose_readiness(OLD)
    world.step()
    world.wait(60)
    world.step()

    assert world.status.rollout is not None
    assert world.status.rollout.abort is None


def test_pods_that_come_and_go_before_the_first_requests_have_the_start_deadline() -> None:
    """Two are needed, at no look both are ready, and one operator follows the other."""
    world = World.serving(builders.spec("1", strategy="direct"))
    world.ask("2")
    world.step()
    phases = []
    for turn in range(int(START_DEADLINE_S / 20) + 1):
        for index, name in enumerate(world.revisions[NEW].pods):
            since_s = world.now.timestamp() if turn % 2 == index else None
            is_ready, was_ready = since_s is not None, turn > 0 or since_s is not None
            world.change_pod(
                NEW, name, is_ready=is_ready, was_ready=was_ready, ready_since_s=since_s
            )
        world.restart_operator()
        world.step()
        world.confirm()
        phases.append(world.status.phase)
        world.wait(20)
    late = world.step()
    world.confirm()
    world.step()

    assert {"RollingOut"} == set(phases)
    assert "StartDeadlineExceeded" in {note.reason for note in late.notes}
    (rejected,) = world.status.rejected
    assert "StartDeadlineExceeded" == rejected.reason
    assert rejected.message.endswith(
        "was ready and is not now; candidate pods have come and gone for 600 s before its first"
        " requests (1 of 2 pods)"
    )


def test_readiness_that_is_lost_for_good_before_the_first_requests_has_the_same_deadline() -> None:
    world = _paused_before_any_weight()
    world.say("resume", nonce="2")
    world.lose_readiness(NEW)
    lost = world.step()
    world.wait(START_DEADLINE_S - 1)
    waiting = world.step()
    world.wait(1)
    late = world.step()

    for decision in (lost, waiting):
        assert decision.status.waiting is not None
        assert "ReadinessLost" == decision.status.waiting.reason
    assert "StartDeadlineExceeded" in {note.reason for note in late.notes}


def test_a_pod_that_is_briefly_unready_before_the_first_requests_is_not_blamed() -> None:
    world = _paused_before_any_weight()
    world.lose_readiness(NEW)
    world.step()
    world.wait(20)
    world.say("resume", nonce="2")
    world.settle(seconds_max=200)

    assert NEW == world.status.stable


def test_pods_that_were_ready_for_a_minute_have_a_new_deadline() -> None:
    """What holds the rollout up is not them: that they once stumbled is no news then."""
    world = _paused_before_any_weight()
    world.lose_readiness(NEW)
    world.step()
    world.start_pods(NEW)
    world.wait(STEADY_S - 1)
    world.step()
    world.wait(1)
    steady = world.step()
    world.wait(START_DEADLINE_S)
    world.lose_readiness(NEW)
    again = world.step()

    assert steady.status.rollout is not None
    assert steady.status.rollout.unsteady_since is None
    assert again.status.rollout is not None
    assert world.now == again.status.rollout.unsteady_since
    assert again.status.rollout.abort is None


def test_the_operator_looks_again_when_pods_have_been_ready_for_a_minute() -> None:
    world = _paused_before_any_weight()
    world.lose_readiness(NEW)
    world.step()
    world.start_pods(NEW)
    world.wait(STEADY_S - 1)

    assert builders.at((world.now - builders.START).total_seconds() + 1) == world.step().wake_at


def _paused_before_any_weight() -> World:
    """A candidate whose pods are ready, and which a person stopped before anything came to it."""
    world = World.serving()
    world.ask("2")
    world.step()
    world.say("pause")
    world.step()
    world.start_pods(NEW)
    world.step()
    assert world.status.weight.asked == 0
    return world
