"""Model pods and nodes in trouble while a candidate is judged: clients notice nothing."""

import time

import pytest

from bench import breakage
from bench.scene import STARTED_S, eventually
from bench.trial import ERRORS, HEALTHY, Trial, names_of
from slipway_api.conditions import Outcome, VerdictState
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.faults

ZERO_S = 2.0  # from the candidate's first bad answer to its last
OUT_S = 60.0
AWAY_S = 300.0


def test_a_stable_pod_that_refuses_connections_costs_nothing(trial: Trial) -> None:
    first = trial.serve()
    broken = trial.pods(first.stable)[0]

    with trial.load():
        candidate = trial.held_at(50)
        began_at = time.time()
        with breakage.refusing(trial.scene, broken):
            trial.pass_time(15.0)
            assert trial.goes_on(candidate), trial.status()
        trial.pass_time(3.0)
        assert trial.goes_on(candidate), trial.status()

    found = trial.toll(fault_at=began_at)
    assert found.is_nothing, found
    assert any((line.attempts or 1) > 1 for line in trial.requests()), "nothing was refused"


def test_a_stable_pod_that_is_out_does_not_keep_a_bad_candidate_in(trial: Trial) -> None:
    first = trial.serve()
    broken = trial.pods(first.stable)[0]

    with trial.load():
        began_at = time.time()
        with breakage.refusing(trial.scene, broken):
            eventually(lambda: trial.status().replicas.stable_ready == 1, what="one is out")
            trial.change(ERRORS, steps=[{"weight": 50, "hold": "60s"}])
            status, rollout = trial.ended()
            trial.pass_time(max(3.0, began_at + OUT_S - time.time()))
        trial.pass_time(3.0)

    found = trial.toll(fault_at=began_at, candidate=rollout.revision)
    assert (rollout.outcome, status.stable) == (Outcome.ABORTED, first.stable)
    assert found.is_nothing, found
    assert found.seconds_first_bad_to_zero is not None
    assert found.seconds_first_bad_to_zero <= ZERO_S


def test_clients_do_not_need_the_operator_when_stable_pods_are_replaced(trial: Trial) -> None:
    first = trial.serve()
    old = names_of(trial.pods(first.stable))

    with trial.load(rate=20.0):
        with breakage.operator_away(trial.scene):
            gone_at = time.time()
            for pod in old:
                trial.scene.kubectl("delete", "pod", pod, f"-n={trial.target.namespace}")
                eventually(
                    lambda: trial.ready_count(first.stable) == len(old),
                    what=f"{pod} is replaced",
                    timeout_s=STARTED_S,
                )
            trial.pass_time(max(3.0, gone_at + AWAY_S - time.time()))
            trial.note(seconds_without_operator=round(time.time() - gone_at))
        trial.await_whole()
        trial.pass_time(10.0)

    found = trial.toll(fault_at=gone_at)
    assert found.is_nothing, found
    assert not set(old) & set(names_of(trial.pods(first.stable)))
    assert trial.status().phase == "Serving"


def test_a_drained_node_holds_a_rollout_and_loses_no_request(trial: Trial) -> None:
    first = trial.serve()

    with trial.load():
        candidate = trial.held_at(75)
        at_candidate = {pod["spec"]["nodeName"] for pod in trial.pods(candidate)}
        at_stable = {pod["spec"]["nodeName"] for pod in trial.pods(first.stable)}
        node = sorted(at_candidate & at_stable)[0]
        drained_at = time.time()
        with breakage.drained(trial.scene, node):
            trial.note(seconds_of_drain=round(time.time() - drained_at, 1))
            eventually(
                lambda: trial.ready_count(candidate) == trial.ready_count(first.stable) == 2,
                what="both revisions are whole on the other node",
                timeout_s=STARTED_S,
            )
            trial.pass_time(5.0)
            assert trial.goes_on(candidate), trial.status()
        trial.at_weight(75)

    found = trial.toll(fault_at=drained_at)
    assert found.is_nothing, found


@pytest.mark.parametrize("then", ["hold", "pause", "promote"])
def test_too_few_requests_are_waited_for_and_then_it_is_as_asked(trial: Trial, then: str) -> None:
    trial.serve()
    analysis = {"insufficient": {"after": "20s", "then": then}}

    with trial.load(rate=0.2):
        trial.change(HEALTHY, steps=[{"weight": 50, "hold": "1s"}], analysis=analysis)
        status = trial.scene.until(
            trial.target, is_scarce, what="it says what is missing", timeout_s=STARTED_S
        )
        assert status.waiting is not None
        trial.note(said=status.waiting.message)
        verdict = next(v for v in status.verdicts if v.verdict == VerdictState.INSUFFICIENT)
        assert verdict.have < verdict.need, "how many are missing"
        waited = outcome_of_waiting(trial, then)

    found = trial.toll()
    assert found.is_nothing, found
    trial.note(waited=waited)


def outcome_of_waiting(trial: Trial, then: str) -> str:
    """Wait for what was asked for, and say in a word what came."""
    match then:
        case "hold":
            trial.pass_time(30.0)
            status = trial.status()
            assert is_scarce(status), status
            return f"held, history {len(status.history)}"
        case "pause":
            paused = trial.scene.until(
                trial.target, lambda s: s.phase == "Paused", what="paused", timeout_s=STARTED_S
            )
            assert paused.history == ()
            return "paused"
        case _:
            status, rollout = trial.ended()
            assert (rollout.outcome, rollout.unproven) == (Outcome.PROMOTED, True)
            return "promoted, unproven"


def is_scarce(status: ModelDeploymentStatus) -> bool:
    return status.waiting is not None and status.waiting.reason == "InsufficientData"
