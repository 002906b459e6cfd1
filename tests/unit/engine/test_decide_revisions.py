"""Which revisions there are, which are wanted, and what keeps one from being made."""

import pytest

from slipway_api import status
from slipway_api.conditions import VerdictState
from slipway_operator.engine.actions import (
    EnsureWorkload,
    RecordRevision,
    RemoveRevision,
)
from slipway_operator.engine.upkeep import REVISIONS_KEPT
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def _stalled(world: World) -> tuple[str, str]:
    (found,) = (c for c in world.status.conditions if c.type == "Stalled")
    return found.reason, found.message


def test_only_what_changes_pods_makes_a_revision() -> None:
    same = builders.revision("1", replicas=7, steps=((50, "1s"),), traffic={"timeout": "5s"})
    other = builders.revision("1", runtime={"env": [{"name": "A", "value": "b"}]})

    assert OLD == same
    assert OLD != other
    assert OLD == builders.revision("1")


def test_more_replicas_need_no_rollout() -> None:
    world = World.serving()
    world.ask(replicas=5)

    decision = world.step()

    assert (EnsureWorkload(OLD, 5),) == decision.actions
    assert decision.status.candidate is None
    world.settle()
    assert "Serving" == world.status.phase


def test_a_newer_model_supersedes_a_candidate() -> None:
    world = World.rolling()
    world.ask("3")
    superseded = world.step()
    world.settle()

    assert 0 == superseded.status.weight.asked
    assert builders.revision("3") == world.status.candidate
    (ended,) = world.status.history
    assert (NEW, "Superseded", "Superseded") == (ended.revision, ended.outcome, ended.reason)
    assert () == world.status.rejected, "it was not found wanting"


def test_the_next_rollout_begins_with_the_look_that_ends_the_last() -> None:
    world = World.rolling()
    world.ask("3")
    world.step()
    world.confirm()

    decision = world.step()

    assert builders.revision("3") == decision.status.candidate
    assert RecordRevision(builders.revision("3"), 3, builders.revision("3")) in decision.actions
    assert decision.status.waiting is not None
    assert "WaitingForPods" == decision.status.waiting.reason


def test_back_to_stable_ends_a_rollout_without_a_new_one() -> None:
    world = World.rolling()
    world.ask("1")
    world.settle(seconds_max=20)

    assert ("Serving", OLD, None) == (
        world.status.phase,
        world.status.stable,
        world.status.candidate,
    )
    assert 0 == world.revisions[NEW].replicas


def test_a_superseded_revision_may_come_again() -> None:
    world = World.rolling()
    world.ask("1")
    world.settle()
    world.ask("2")
    world.settle()

    assert (NEW, 5) == (world.status.candidate, world.status.weight.asked)


def test_a_rejected_revision_is_not_tried_again_when_it_is_asked_for_again() -> None:
    world = World.rolling()
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
    world.settle(seconds_max=20)
    world.ask("1")
    world.settle()
    back = world.status.phase
    world.ask("2")
    world.settle()

    assert "Serving" == back
    assert world.status.candidate is None
    reason, message = _stalled(world)
    assert "RolledBack" == reason
    assert NEW in message


def test_an_old_revision_is_rolled_out_from_its_record() -> None:
    world = World.rolling(steps=((5, "0s"),))
    world.settle(seconds_max=20)
    world.pool = None
    world.ask("1")

    decision = world.step()

    assert (EnsureWorkload(OLD, 1),) == decision.actions
    assert OLD == decision.status.candidate


def test_an_unknown_pool_keeps_a_revision_from_being_made() -> None:
    world = World.serving()
    world.ask("2", pool="gpu")
    world.pool = None

    decision = world.step()

    assert () == decision.actions
    assert "Stalled" == decision.status.phase
    reason, message = _stalled(world)
    assert "UnknownPool" == reason
    assert "'gpu'" in message
    assert "kubectl get computepools" in message


def test_a_pool_that_appears_lets_the_rollout_begin() -> None:
    world = World.serving()
    pool, world.pool = world.pool, None
    world.ask("2")
    stalled = world.step()
    world.pool = pool

    decision = world.step()

    assert stalled.wake_at is not None
    assert NEW == decision.status.candidate


def test_objects_of_our_names_that_are_not_ours_are_left_alone() -> None:
    world = World()
    world.conflicts = ("Service ml/churn",)

    decision = world.step()

    assert () == decision.actions
    reason, message = _stalled(world)
    assert "NameConflict" == reason
    assert "Service ml/churn exists and was not made for ModelDeployment ml/churn" in message


def test_without_a_free_port_nothing_is_made() -> None:
    world = World()
    world.port = None

    decision = world.step()

    assert () == decision.actions
    assert decision.traffic is None
    assert "NoPort" == _stalled(world)[0]


def test_revisions_are_numbered_in_the_order_of_their_making() -> None:
    world = World.serving()
    for version in ("2", "3"):
        world.ask(version)
        world.settle()

    assert {OLD: 1, NEW: 2, builders.revision("3"): 3} == world.records


def test_old_revisions_are_removed_beyond_the_last_ten() -> None:
    world = World.serving()
    for number in range(2, REVISIONS_KEPT + 4):
        world.records[f"churn-{number:010d}"] = number
    world.records = {name: n + 100 * (name == OLD) for name, n in world.records.items()}

    removed = [a for a in world.step().actions if isinstance(a, RemoveRevision)]

    assert ["churn-0000000002", "churn-0000000003"] == [action.revision for action in removed]


def test_what_is_in_service_is_never_removed() -> None:
    world = World.rolling()
    for number in range(3, REVISIONS_KEPT + 10):
        world.records[f"churn-{number:010d}"] = number
    world.step()

    assert {OLD, NEW} <= world.records.keys()
    assert 2 + REVISIONS_KEPT == len(world.records)


def test_history_and_rejections_are_bounded_and_newest_first() -> None:
    world = World.serving()
    versions = [str(number) for number in range(2, 16)]
    for version in versions:
        world.ask(version)
        world.verdicts = (builders.verdict("failures", VerdictState.PASS),)
        world.settle()
        world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
        world.settle(seconds_max=20)

    newest = [builders.revision(version) for version in reversed(versions)]
    assert status.HISTORY_COUNT_MAX == len(world.status.history)
    assert newest[: status.HISTORY_COUNT_MAX] == [e.revision for e in world.status.history]
    assert newest[:10] == [entry.revision for entry in world.status.rejected]


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_deleted_record_is_made_again_only_for_what_is_asked_for(is_asked_for: bool) -> None:
    """A record of stable must not be rendered from the specification of its candidate."""
    world = World.rolling()
    if is_asked_for:
        world.ask("1")
        world.settle(seconds_max=20)
    del world.records[OLD]
    world.revisions[OLD].replicas = 1

    actions = world.step().actions

    expected = (RecordRevision(OLD, 3, OLD), EnsureWorkload(OLD, 2)) if is_asked_for else ()
    assert expected == actions


def test_without_its_pool_a_deleted_record_waits() -> None:
    world = World.serving()
    world.pool = None
    del world.records[OLD]

    decision = world.step()

    assert () == decision.actions
    assert "Serving" == decision.status.phase


def test_pods_whose_record_is_gone_are_removed_when_nobody_needs_them() -> None:
    world = World.rolling(steps=((5, "0s"),))
    world.settle(seconds_max=20)
    del world.records[OLD]

    assert (RemoveRevision(OLD),) == world.step().actions


def test_deleted_objects_of_stable_are_made_again() -> None:
    world = World.serving()
    del world.revisions[OLD]

    decision = world.step()

    assert (EnsureWorkload(OLD, 2),) == decision.actions
    assert decision.traffic is not None
    assert decision.traffic.stable is not None, "a candidate must not inherit everything"
    assert () == decision.traffic.stable.endpoints


def test_a_revision_that_returns_while_it_drains_is_drained_no_longer() -> None:
    world = World.rolling(steps=((5, "0s"),))
    world.settle()
    draining = [entry.revision for entry in world.status.drain]
    world.ask("1")
    world.step()

    assert [OLD] == draining
    assert OLD == world.status.candidate
    assert () == world.status.drain
