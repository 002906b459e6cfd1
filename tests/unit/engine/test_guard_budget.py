"""The budget: at most so many bad answers of the candidate in one rollout."""

import pytest

from slipway_api.analysis import Analysis
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.guard import Guard
from slipway_operator.engine.verdicts import Verdict
from tests.unit.engine.streams import STABLE, START_S, attempt, feed, guard

FAILED, REFUSED, FINE = 500, 400, 200


def _guard(bad_max: int | None = 10, *, evidence: str | None = None) -> Guard:
    return guard(analysis=Analysis(max_bad_answers=bad_max), evidence=evidence)


def _answer(judge: Guard, *statuses: int, at_s: float = 0.0, weight: int = 50) -> None:
    """Let the candidate answer so, each answer beside one of stable's that is alike."""
    now_s = START_S + at_s
    attempts = [
        one
        for index, status in enumerate(statuses)
        for one in (
            attempt(f"{at_s}-{index}", now_s, status=status, host=f"c-{index % 2}"),
            attempt(f"{at_s}-{index}s", now_s, revision=STABLE, status=status, host="s-0"),
        )
    ]
    feed(judge, attempts, now_s + 0.2, weight_percent=weight)


def _budget(judge: Guard) -> Verdict | None:
    return next((one for one in judge.view().verdicts if one.gate == "budget"), None)


def test_it_is_spent_by_failed_and_refused_attempts_though_stable_has_as_many() -> None:
    judge = _guard()

    _answer(judge, *[FAILED] * 4, *[REFUSED] * 6, *[FINE] * 90)

    failed = judge.view().failed
    assert judge.is_convicted
    assert failed is not None
    assert ("budget", Reason.BUDGET_SPENT) == (failed.gate, failed.reason)
    assert failed.message == (
        "bad answers in this rollout: 10 of at most 10 (candidate failed 4 and refused 6 of 100"
        " attempts)"
    )


def test_it_passes_until_the_last_one_is_spent() -> None:
    judge = _guard()

    _answer(judge, *[FAILED] * 9, *[FINE] * 90)

    verdict = _budget(judge)
    assert not judge.is_convicted
    assert verdict is not None
    assert VerdictState.PASS is verdict.state
    assert verdict.message.startswith("bad answers in this rollout: 9 of at most 10")


@pytest.mark.parametrize("status", [FINE, 429])
def test_good_answers_and_shed_ones_cost_nothing(status: int) -> None:
    judge = _guard(1)

    _answer(judge, *[status] * 1000)

    assert not judge.is_convicted


def test_steps_and_weights_share_one_budget() -> None:
    judge = _guard()

    for index, weight in enumerate((0, 5, 50, 100)):
        judge.step_started()
        _answer(judge, *[FAILED] * 3, *[FINE] * 100, at_s=float(index), weight=weight)

    assert judge.view().failed == _budget(judge)


def test_a_restart_gives_nothing_back() -> None:
    judge = _guard()
    _answer(judge, *[FAILED] * 9, *[FINE] * 90)

    restored = _guard(evidence=judge.view().evidence)
    _answer(restored, FAILED, *[FINE] * 90, at_s=1.0)

    assert not judge.is_convicted
    assert restored.is_convicted


def test_a_budget_that_is_given_later_counts_from_the_beginning() -> None:
    judge = _guard(None)
    _answer(judge, *[FAILED] * 10, *[FINE] * 90)

    limited = _guard(10, evidence=judge.view().evidence)

    assert _budget(judge) is None
    assert limited.is_convicted


def test_it_is_unknown_what_is_spent_while_logs_are_missing() -> None:
    judge = _guard()

    feed(judge, [attempt("1", START_S, status=FAILED)], START_S + 1, is_alive=False)

    verdict = _budget(judge)
    assert verdict is not None
    assert VerdictState.UNAVAILABLE is verdict.state
    assert "1 of at most 10" in verdict.message
