"""The API server stands still while a candidate turns bad: routers hear of it all the same."""

import time
from typing import Final

import pytest

from bench import operators
from bench.trial import ERRORS, Trial
from slipway_api.conditions import Outcome, Phase, Reason

pytestmark = pytest.mark.faults

OUTAGE_S: Final = 60.0
SAFE_S: Final = 2.0
RATE: Final = 40.0  # a candidate that fails all of its share is convicted within a second
UNTOLD: Final = {"insufficient": {"after": "0s", "then": "promote"}}


def test_a_candidate_that_fails_while_the_api_server_stands_still_is_taken_back(
    trial: Trial,
) -> None:
    """It is stopped at the moment in which the candidate gets its first requests."""
    trial.serve()
    view = operators.router_view(trial.scene, trial.status())
    before = view.shown()
    with trial.load(rate=RATE):
        trial.await_calm()
        trial.change(ERRORS, steps=({"weight": 50, "hold": "5s"},), analysis=UNTOLD)
        at_nothing = view.await_news(before, timeout_s=120.0)  # the rollout has begun
        raised = view.await_news(at_nothing, timeout_s=120.0)
        with operators.api_stopped(trial.scene) as stopped_at:
            raised_at = time.time()
            view.await_news(raised, timeout_s=30.0)
            lowered_at = time.time()
            trial.pass_time(max(0.0, stopped_at + OUTAGE_S - time.time()))
        back_at = time.time()
        status, rollout = trial.ended(timeout_s=120.0)

    # A request whose first attempt failed was answered by stable in the second one. The logs of
    # pods cannot be followed meanwhile.
    covered = [each.sent for each in trial.requests() if (each.attempts or 1) > 1]
    found = trial.toll(fault_at=stopped_at)
    trial.note(
        outage_s=round(back_at - stopped_at, 1),
        raised_to_lowered_s=round(lowered_at - raised_at, 3),
        first_bad_to_last_bad_s=round(max(covered) - min(covered), 3),
        covered_requests=len(covered),
        told_after_s=round(time.time() - back_at, 1),
    )
    assert lowered_at < stopped_at + OUTAGE_S, "the API server was away"
    assert max(covered) - min(covered) <= SAFE_S
    assert found.is_nothing, found
    assert (rollout.outcome, rollout.reason) == (Outcome.ABORTED, Reason.ERRORS)
    assert (status.phase, status.stable) == (Phase.ROLLED_BACK, rollout.previous)
