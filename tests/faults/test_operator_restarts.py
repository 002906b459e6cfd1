"""The operator is killed at five places of a rollout: the end is that of an undisturbed one."""

import time
from typing import Final

import pytest

from bench import operators
from bench.scene import eventually
from bench.trial import ERRORS, HEALTHY, Trial
from slipway_api.conditions import Outcome, Reason
from slipway_api.status import ModelDeploymentStatus, Rollout

pytestmark = pytest.mark.faults

STEPS: Final = ({"weight": 40, "hold": "8s"},)
RATE: Final = 12.0  # what is looked at is the operator
UNTOLD: Final = {"insufficient": {"after": "0s", "then": "promote"}}
END_S: Final = 240.0
SUCCESSOR_S: Final = 22.0  # another leads after 20 s at the latest, and convicts


def begin(trial: Trial, version: str) -> tuple[operators.RouterView, str]:
    """Ask for another version; one router, and what it shows when the rollout has begun.

    What it shows next is the candidate's first weight.
    """
    trial.await_calm()
    view = operators.router_view(trial.scene, trial.status())
    shown = view.shown()
    trial.change(version, steps=STEPS, analysis=UNTOLD)
    return view, view.await_news(shown, timeout_s=END_S)


def ended(trial: Trial) -> tuple[ModelDeploymentStatus, Rollout]:
    """Wait until nothing is left to do, pods of the old revision included."""
    _, rollout = trial.ended(timeout_s=END_S)
    left = trial.scene.until(
        trial.target,
        lambda status: not status.drain and not status.replicas.candidate,
        what="the old pods are gone",
        timeout_s=END_S,
    )
    return left, rollout


def promoted(trial: Trial, killed_at: float, candidate: str | None) -> None:
    """Hold what holds of every undisturbed rollout of a healthy candidate."""
    status, rollout = ended(trial)
    pods = eventually(
        lambda: found if len(found := trial.scene.pods(trial.target)) == 2 else None,
        what="only the new revision has pods",
        timeout_s=END_S,
    )
    taken_s = (rollout.ended_at - rollout.started_at).total_seconds()
    trial.note(outcome=rollout.outcome, end_s=time.time() - killed_at, rollout_s=taken_s)
    assert (rollout.outcome, status.weight.asked, status.weight.verified) == ("Promoted", 0, 0)
    assert status.stable == candidate
    assert status.rejected == ()
    assert {pod["metadata"]["labels"]["slipway.dev/revision"] for pod in pods} == {candidate}


def test_undisturbed(trial: Trial) -> None:
    """What the others are held against."""
    trial.serve()
    with trial.load(rate=RATE):
        asked_at = time.time()
        begin(trial, HEALTHY)
        begun = trial.scene.until(trial.target, lambda s: s.candidate, what="begun")
        promoted(trial, asked_at, begun.candidate)

    found = trial.toll()
    assert found.is_nothing, found


def test_killed_before_the_first_weight(trial: Trial) -> None:
    trial.serve()
    with trial.load(rate=RATE):
        begin(trial, HEALTHY)
        begun = trial.scene.until(trial.target, lambda s: s.candidate, what="begun")
        assert begun.weight.asked == 0
        _, killed_at = operators.kill(trial.scene)
        promoted(trial, killed_at, begun.candidate)

    found = trial.toll(fault_at=killed_at)
    assert found.is_nothing, found


def test_killed_between_a_push_and_the_status_that_follows(trial: Trial) -> None:
    trial.serve()
    with trial.load(rate=RATE):
        holder = operators.holder(trial.scene)
        number = operators.pid(holder)
        view, at_nothing = begin(trial, HEALTHY)
        view.await_news(at_nothing, timeout_s=END_S)
        killed_at = operators.end(number)
        between = trial.status()
        trial.note(asked=between.weight.asked, verified=between.weight.verified)
        assert (between.weight.asked, between.weight.verified) == (40, 0)
        promoted(trial, killed_at, between.candidate)

    found = trial.toll(fault_at=killed_at)
    assert found.is_nothing, found


def test_killed_in_a_hold(trial: Trial) -> None:
    trial.serve()
    with trial.load(rate=RATE):
        begin(trial, HEALTHY)
        begun = trial.at_weight(40)
        _, killed_at = operators.kill(trial.scene)
        promoted(trial, killed_at, begun.candidate)
        rollout = trial.status().history[0]

    found = trial.toll(fault_at=killed_at)
    assert found.is_nothing, found
    assert begun.rollout is not None
    assert rollout.started_at == begun.rollout.started_at


def test_killed_after_routers_took_weight_0_and_before_the_status_says_so(trial: Trial) -> None:
    """The successor finds 40 % in the status and weight 0 at the routers: nothing rises by that."""
    trial.serve()
    with trial.load(rate=RATE):
        holder = operators.holder(trial.scene)
        number = operators.pid(holder)
        view, at_nothing = begin(trial, ERRORS)
        raised = view.await_news(at_nothing, timeout_s=END_S)
        view.await_news(raised, timeout_s=END_S)
        killed_at = operators.end(number)
        between = trial.status()
        trial.note(asked=between.weight.asked)
        status, rollout = ended(trial)

    found = trial.toll(fault_at=killed_at, candidate=between.candidate)
    assert found.is_nothing, found
    assert (rollout.outcome, rollout.reason) == (Outcome.ABORTED, Reason.ERRORS)
    assert [each.revision for each in status.rejected] == [rollout.revision]
    assert status.stable == rollout.previous
    assert status.weight.asked == 0


def test_killed_as_the_candidate_begins_to_fail(trial: Trial) -> None:
    """Nobody judges until the next one leads; stable answers what the candidate fails."""
    trial.serve()
    with trial.load(rate=RATE):
        holder = operators.holder(trial.scene)
        number = operators.pid(holder)
        view, at_nothing = begin(trial, ERRORS)
        view.await_news(at_nothing, timeout_s=END_S)
        killed_at = operators.end(number)
        status, rollout = ended(trial)

    found = trial.toll(fault_at=killed_at, candidate=rollout.revision)
    assert found.is_nothing, found
    assert (rollout.outcome, rollout.reason) == (Outcome.ABORTED, Reason.ERRORS)
    assert (status.stable, status.weight.asked) == (rollout.previous, 0)
    assert found.seconds_first_bad_to_zero is not None
    assert found.seconds_first_bad_to_zero <= SUCCESSOR_S


def test_killed_before_the_old_revision_is_scaled_down(trial: Trial) -> None:
    trial.serve()
    with trial.load(rate=RATE):
        begin(trial, HEALTHY)
        begun = trial.scene.until(trial.target, lambda s: s.drain, what="drains", timeout_s=END_S)
        assert len(trial.scene.pods(trial.target)) == 4
        _, killed_at = operators.kill(trial.scene)
        promoted(trial, killed_at, begun.stable)

    found = trial.toll(fault_at=killed_at)
    assert found.is_nothing, found
