"""A candidate whose node is cut off: clients are safe at once, and nothing is held against it."""

import pytest

from slipway_api.conditions import Outcome, Reason, VerdictState
from slipway_operator.engine import severance
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")
PASSED = builders.verdict("errors", VerdictState.PASS)
FAILED = builders.verdict("errors", VerdictState.FAIL, message="38 of 38 failed")


def rolling(*, weight: int = 5, **fields: object) -> World:
    return World.rolling(steps=[(weight, "60s")], **fields)


def test_a_candidate_that_takes_no_connection_gets_nothing_and_is_not_taken_back() -> None:
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)

    decision = world.step()

    status = decision.status
    assert (NEW, 0) == (status.candidate, status.weight.asked)
    assert "RollingOut" == status.phase
    assert status.rollout is not None
    assert (None, "", None) == (
        status.rollout.abort,
        status.rollout.evidence,
        status.rollout.step_started_at,
    )
    assert status.waiting is not None
    assert Reason.PODS_DISTURBED == status.waiting.reason
    assert "its node may be cut off" in status.waiting.message
    assert decision.watch is not None
    assert decision.watch.is_anew
    assert [("Warning", "PodsDisturbed")] == [(one.type, one.reason) for one in decision.notes]
    assert "not held against it" in decision.notes[0].message


def test_a_budget_that_a_cut_link_spent_is_not_held_against_it_either() -> None:
    world = rolling()
    world.verdicts = (builders.verdict("budget", VerdictState.FAIL, reason=Reason.BUDGET_SPENT),)
    world.cut_off(NEW)

    world.settle(seconds_max=600)

    assert (NEW, 0) == (world.status.candidate, world.status.weight.asked)
    assert () == world.status.rejected


def test_it_stays_without_traffic_for_as_long_as_nobody_reaches_it() -> None:
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)
    world.step()

    world.settle(seconds_max=600)

    assert (NEW, 0) == (world.status.candidate, world.status.weight.asked)
    assert () == world.status.rejected


def test_an_operator_that_is_killed_meanwhile_finds_it_out_again() -> None:
    """Who took no connection is in its memory alone: the weight may rise once more, and falls."""
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)
    world.settle(seconds_max=30)
    world.restart_operator()
    world.settle(seconds_max=6)
    world.verdicts = (FAILED,)

    world.settle(seconds_max=30)

    assert (NEW, 0) == (world.status.candidate, world.status.weight.asked)
    assert () == world.status.rejected


def test_it_goes_on_as_soon_as_it_is_reached_again() -> None:
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)
    world.settle(seconds_max=30)
    world.silent = frozenset()
    world.verdicts = (PASSED,)

    world.settle(seconds_max=600)

    (ended,) = world.status.history
    assert (NEW, Outcome.PROMOTED) == (world.status.stable, ended.outcome)


def test_a_bad_candidate_that_is_reached_again_is_taken_back() -> None:
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)
    world.settle(seconds_max=30)
    world.silent = frozenset()
    world.settle(seconds_max=6)
    world.verdicts = (FAILED,)

    world.settle(seconds_max=30)

    assert [Reason.ERRORS] == [entry.reason for entry in world.status.rejected]


def test_it_waits_for_pods_in_place_of_those_that_are_not_reached() -> None:
    world = rolling(weight=75, replicas=4)
    world.verdicts = (FAILED,)
    world.cut_off(NEW, count=2)
    first = world.step()
    world.settle(seconds_max=30)
    held = world.status
    world.silent = frozenset()
    world.settle(seconds_max=6)

    assert first.traffic is not None
    assert first.traffic.candidate is not None
    assert 1 == len(first.traffic.candidate.endpoints)
    assert 0 == first.status.weight.asked == held.weight.asked
    assert held.waiting is not None
    assert "needs 3 ready candidate pods, 1 are" in held.waiting.message
    assert 75 == world.status.weight.asked


def test_where_stable_is_not_reached_either_it_is_we_who_are_cut_off() -> None:
    world = rolling()
    world.verdicts = (FAILED,)
    world.cut_off(NEW)
    world.cut_off(OLD, count=2)

    assert "Aborting" == world.step().status.phase


@pytest.mark.parametrize("gate", ["refusals", "Broken", "latency-p95"])
def test_what_needs_an_answer_or_comes_from_others_still_convicts(gate: str) -> None:
    world = rolling()
    world.verdicts = (builders.verdict(gate, VerdictState.FAIL),)
    world.cut_off(NEW)

    assert "Aborting" == world.step().status.phase


def test_a_pod_that_crashed_still_convicts() -> None:
    world = rolling(weight=75, replicas=4)
    world.verdicts = (FAILED,)
    world.cut_off(NEW, count=2)
    first = next(pod for pod in world.revisions[NEW].pods.values() if pod.host not in world.silent)
    crashed = builders.crashed(first.name, now=world.now, revision=NEW, host=first.host)
    world.revisions[NEW].pods[first.name] = crashed

    status = world.step().status

    assert status.rollout is not None
    assert status.rollout.abort is not None
    assert Reason.CONTAINER_FAILED == status.rollout.abort.reason


def test_nobody_is_tried_while_nothing_fails() -> None:
    found = (builders.workload(OLD), builders.workload(NEW))
    calm = builders.guard("r1", PASSED)

    assert frozenset() == severance.suspects(found, calm, pair=(NEW, OLD), before=frozenset())


def test_stable_is_tried_as_well_once_the_candidate_fails() -> None:
    old = builders.workload(OLD, pods=[builders.pod("a", revision=OLD, host="10.0.0.1")])
    new = builders.workload(NEW, pods=[builders.pod("b", revision=NEW, host="10.0.0.2")])
    judged = builders.guard("r1", FAILED)

    tried = severance.suspects((old, new), judged, pair=(NEW, OLD), before=frozenset())

    assert frozenset({"10.0.0.1", "10.0.0.2"}) == tried
