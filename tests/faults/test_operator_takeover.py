"""Two operators: the one that holds the Lease dies or freezes, and the other one goes on."""

import time
from typing import Final

import pytest

from bench import operators
from bench.trial import FIRST, OPERATOR, Trial, names_of
from slipway_api.conditions import Outcome, Phase

pytestmark = pytest.mark.faults

TAKEOVER_S: Final = 20.0
FREEZE_S: Final = 40.0
RATE: Final = 12.0  # what is looked at is the operator


def test_another_operator_takes_over_from_one_that_is_killed(trial: Trial) -> None:
    """Its pod goes with it: nothing is started again in its place that could remember."""
    trial.serve()
    with trial.load(rate=RATE):
        candidate = trial.held_at(20)
        begun = trial.status()
        before, killed_at = operators.lose(trial.scene)
        after = operators.taken_over(trial.scene, before=before, timeout_s=60.0)
        held_at = time.time()
        steering_at = operators.steering_at(trial.scene, after)
        assert trial.goes_on(candidate)
        trial.scene.command(trial.target, "promote")
        status, rollout = trial.ended(timeout_s=240.0)

    found = trial.toll(fault_at=killed_at)
    trial.note(lease_s=held_at - killed_at, takeover_s=steering_at - killed_at)
    assert found.is_nothing, found
    assert steering_at - killed_at <= TAKEOVER_S
    assert (rollout.outcome, status.stable) == (Outcome.PROMOTED, candidate)
    assert begun.rollout is not None
    assert rollout.started_at == begun.rollout.started_at


def test_none_of_the_writes_of_a_frozen_operator_lands(trial: Trial) -> None:
    """It is stopped in the middle of a step, while it writes evidence, and thawed 40 s later."""
    trial.serve()
    with trial.load(rate=RATE):
        candidate = trial.held_at(20)
        before = operators.holder(trial.scene)
        frozen_at = time.time()
        with operators.frozen(before):
            after = operators.taken_over(trial.scene, before=before, timeout_s=60.0)
            steering_at = operators.steering_at(trial.scene, after)
            trial.pass_time(max(0.0, frozen_at + FREEZE_S - time.time()))
        thawed_at = time.time()
        trial.pass_time(3.0)
        assert trial.goes_on(candidate)
        trial.scene.command(trial.target, "promote")
        status, rollout = trial.ended(timeout_s=240.0)

    found = trial.toll(fault_at=frozen_at)
    late = operators.writes(trial.scene, pods=frozenset({before}))
    landed = [one for one in late if frozen_at + 1.0 < one.at and one.code < 300]
    trial.note(
        takeover_s=steering_at - frozen_at,
        frozen_s=thawed_at - frozen_at,
        writes_before=sum(one.at <= frozen_at for one in late),
        writes_landed=len(landed),
    )
    assert any(one.at <= frozen_at for one in late), "the audit log knows the pod"
    assert [one for one in landed if "/leases/" not in one.what] == []
    assert found.is_nothing, found
    assert steering_at - frozen_at <= TAKEOVER_S
    assert (rollout.outcome, status.stable) == (Outcome.PROMOTED, candidate)


def test_a_rolling_update_of_the_operator_hands_over_within_seconds(trial: Trial) -> None:
    trial.serve(FIRST)
    before = operators.holder(trial.scene)

    with trial.load(rate=RATE):
        began_at = time.time()
        trial.scene.kubectl("delete", "pod", before, "--namespace=slipway-system", "--wait=false")
        operators.taken_over(trial.scene, before=before, timeout_s=30.0)
        took_s = time.time() - began_at
        trial.await_whole()

    trial.note(handover_s=took_s)
    assert trial.toll(fault_at=began_at).is_nothing
    assert trial.status().phase == Phase.SERVING
    assert before not in names_of(trial.system_pods(OPERATOR))
