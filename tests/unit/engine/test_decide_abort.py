"""How a candidate is taken back: at once, by every router, and for good."""

from dataclasses import replace

import pytest

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.actions import EnsureWorkload, PublishAddress
from slipway_operator.engine.podevents import RESTARTS_MAX
from slipway_operator.engine.rollout import CONFIRM_S
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def _convict(world: World, reason: Reason = Reason.ERRORS) -> None:
    failed = builders.verdict("failures", VerdictState.FAIL, reason=reason, message="3 of 4 fail")
    world.verdicts = (failed,)


def test_a_failed_gate_sends_all_traffic_to_stable_at_once() -> None:
    world = World.rolling()
    _convict(world)

    decision = world.step()

    assert decision.traffic is not None
    assert (0, 5) == (decision.status.weight.asked, decision.status.weight.verified)
    assert 0 == decision.traffic.weight_percent
    assert "Aborting" == decision.status.phase
    (note,) = decision.notes
    assert ("Warning", "Errors") == (note.type, note.reason)
    assert "3 of 4 fail" in note.message


def test_what_convicted_stays_to_be_read_even_if_the_abort_ends_at_the_same_look() -> None:
    """Routers hear of weight 0 before the look that tells why."""
    world = World.rolling()
    assert world.applied is not None
    world.applied = replace(world.applied, weight_percent=0)
    world.confirm()
    _convict(world)

    status = world.step().status
    later = world.settle(seconds_max=20).status

    assert status.rollout is None
    assert [("failures", "fail")] == [(one.gate, one.verdict) for one in status.verdicts]
    assert later.verdicts == status.verdicts


def test_an_abort_waits_neither_for_stable_pods_nor_for_a_pause() -> None:
    world = World.rolling()
    world.say("pause")
    world.settle()
    world.lose_readiness(OLD, count=1)
    _convict(world)

    assert 0 == world.step().status.weight.asked


def test_a_candidate_that_was_taken_back_drains_and_stays_rejected() -> None:
    world = World.rolling()
    _convict(world)
    world.settle()
    drained_from = world.status.drain
    kept = world.revisions[NEW].replicas
    world.settle(seconds_max=20)
    world.restart_operator()
    world.settle(seconds_max=20)
    status = world.status

    assert [NEW] == [entry.revision for entry in drained_from]
    assert 1 == kept
    assert 0 == world.revisions[NEW].replicas
    assert ("RolledBack", OLD, None) == (status.phase, status.stable, status.candidate)
    (rejected,) = status.rejected
    assert (NEW, "Errors", "3 of 4 fail") == (
        rejected.revision,
        rejected.reason,
        rejected.message,
    )
    (ended,) = status.history
    assert ("Aborted", "Errors") == (ended.outcome, ended.reason)
    (stalled,) = (c for c in status.conditions if c.type == "Stalled")
    assert "3 of 4 fail" in stalled.message
    assert "change the specification" in stalled.message


@pytest.mark.parametrize(
    "reason",
    [
        Reason.ERRORS,
        Reason.REFUSALS,
        Reason.LATENCY,
        Reason.LIMIT_EXCEEDED,
        Reason.BUDGET_SPENT,
    ],
)
def test_the_gate_that_failed_is_the_reason(reason: Reason) -> None:
    world = World.rolling()
    _convict(world, reason)
    world.settle(seconds_max=20)

    assert reason == world.status.rejected[0].reason


def test_the_first_cause_of_an_abort_stands() -> None:
    world = World.rolling()
    world.routers["router-a"].is_stuck = True
    _convict(world)
    world.step()
    world.crash_pod(NEW)
    _convict(world, Reason.REFUSALS)
    world.step()

    rollout = world.status.rollout
    assert rollout is not None
    assert rollout.abort is not None
    assert "Errors" == rollout.abort.reason


@pytest.mark.parametrize(("code", "reason"), [(139, "ContainerFailed"), (78, "ModelRejected")])
def test_a_container_that_ends_by_itself_takes_the_candidate_back(code: int, reason: str) -> None:
    world = World.rolling()
    world.crash_pod(NEW, code=code)

    decision = world.step()

    assert 0 == decision.status.weight.asked
    assert decision.status.rollout is not None
    assert decision.status.rollout.abort is not None
    assert reason == decision.status.rollout.abort.reason


def test_a_candidate_that_never_starts_is_taken_back_without_traffic() -> None:
    world = World.serving()
    world.ask("2")
    world.step()
    (name,) = world.revisions[NEW].pods
    world.change_pod(NEW, name, waiting_reason="CrashLoopBackOff", restarts=RESTARTS_MAX + 1)
    world.crash_pod(NEW, code=1)
    weights = []
    for _ in range(10):
        world.confirm()
        weights.append(world.step().status.weight.asked)
        world.wait(3)

    assert {0} == set(weights)
    assert "RolledBack" == world.status.phase
    assert "ContainerFailed" == world.status.rejected[0].reason


def test_an_image_that_cannot_be_had_takes_the_candidate_back() -> None:
    world = World.serving()
    world.ask("2")
    world.step()
    (name,) = world.revisions[NEW].pods
    world.change_pod(NEW, name, waiting_reason="InvalidImageName")
    world.step()
    world.confirm()
    world.step()

    assert "ImageUnavailable" == world.status.rejected[0].reason


def test_while_stable_has_no_pod_the_candidate_keeps_its_share() -> None:
    world = World.rolling()
    world.lose_readiness(OLD, count=2)
    _convict(world)
    kept = world.step()
    world.wait(60)
    still = world.step()
    world.start_pods(OLD)
    lowered = world.step()

    for decision in (kept, still):
        assert decision.traffic is not None
        assert 5 == decision.traffic.weight_percent
        assert {"NoWayBack"} == {c.reason for c in decision.status.conditions}
        assert decision.wake_at is not None
    assert lowered.traffic is not None
    assert 0 == lowered.traffic.weight_percent


def test_routers_have_their_time_also_after_no_way_back() -> None:
    world = World.rolling()
    world.lose_readiness(OLD, count=2)
    _convict(world)
    world.step()
    world.wait(60)
    world.start_pods(OLD)
    lowered = world.step()
    world.wait(0.1)
    waiting = world.step()

    for decision in (lowered, waiting):
        assert () == decision.actions
        assert decision.status.rollout is not None
    world.confirm()
    world.step()
    assert [NEW] == [entry.revision for entry in world.status.drain]


def test_when_nobody_answers_there_is_nothing_to_keep() -> None:
    world = World.rolling()
    world.lose_readiness(OLD, count=2)
    world.lose_readiness(NEW)
    _convict(world)

    assert 0 == world.step().status.weight.asked


def test_a_router_that_does_not_confirm_loses_its_clients_and_the_candidate_its_pods() -> None:
    world = World.rolling()
    world.routers["router-a"].is_stuck = True
    _convict(world)
    asked = world.step()
    world.confirm()
    world.wait(CONFIRM_S - 0.1)
    waiting = world.step()
    world.wait(0.1)
    late = world.step()
    ended = world.step()

    assert builders.at(CONFIRM_S) == asked.wake_at
    assert () == waiting.actions
    assert {
        PublishAddress(builders.PORT, ("10.1.0.2",)),
        EnsureWorkload(NEW, 0),
    } == set(late.actions)
    assert late.status.waiting is not None
    assert "router-a" in late.status.waiting.message
    assert ended.status.rollout is None
    assert () == ended.status.drain


def test_a_lost_router_comes_back_to_its_clients_when_it_confirms() -> None:
    world = World.rolling()
    world.routers["router-a"].is_stuck = True
    _convict(world)
    world.settle(seconds_max=20)
    without = world.published
    world.routers["router-a"].is_stuck = False
    world.settle()

    assert ("10.1.0.2",) == without
    assert ("10.1.0.1", "10.1.0.2") == world.published


def test_clients_are_never_left_without_a_router() -> None:
    world = World.rolling()
    for router in world.routers.values():
        router.is_stuck = True
    _convict(world)
    world.settle(seconds_max=20)
    unconfirmed = world.published
    for router in world.routers.values():
        router.is_ready = False
    world.settle()

    assert ("10.1.0.1", "10.1.0.2") == unconfirmed == world.published
    assert world.status.rollout is None
    assert 0 == world.revisions[NEW].replicas


def test_a_slow_router_stays_in_the_address_when_nothing_is_taken_back() -> None:
    """Also long after an abort: to change a timeout must cost no router its clients."""
    world = World.rolling()
    _convict(world)
    world.settle(seconds_max=60)
    world.ask("1")
    world.settle()
    world.spec = world.spec.model_copy(
        update={"traffic": world.spec.traffic.model_copy(update={"timeout": "5s"})}
    )
    world.routers["router-a"].is_stuck = True
    world.settle(seconds_max=60)

    assert ("10.1.0.1", "10.1.0.2") == world.published


def test_an_operator_that_restarts_amid_an_abort_gives_routers_their_time() -> None:
    world = World.rolling()
    _convict(world)
    world.step()
    world.wait(60)
    world.restart_operator()
    for router in world.routers.values():
        router.does = None
    again = world.step()
    world.wait(0.5)
    waiting = world.step()
    world.confirm()
    world.step()

    assert again.traffic is not None
    assert 0 == again.traffic.weight_percent
    assert ((), ()) == (again.actions, waiting.actions)
    assert [NEW] == [entry.revision for entry in world.status.drain]


def test_a_candidate_without_pods_is_forgotten_at_once() -> None:
    world = World.serving()
    world.ask("2")
    decision = world.step()
    world.confirm()
    del world.revisions[NEW]
    world.ask("1")

    ended = world.step()

    assert decision.status.rollout is not None
    assert ended.status.rollout is None
    assert "Superseded" == ended.status.history[0].outcome
