"""Gates that Prometheus answers: what follows from numbers, from alerts and from their absence."""

from datetime import datetime
from typing import Any

import pytest

from slipway_api.analysis import Analysis
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import QueryState
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.alerts import AlertsSeen, FiringAlert
from slipway_operator.engine.queries import Answer
from slipway_operator.engine.sources import Sources, join
from slipway_operator.engine.verdicts import Verdict
from tests.builders import START, at
from tests.unit.engine.streams import STABLE, START_S, attempt, feed, guard

OWNER = ("ml", "churn")
LABELS = {"namespace": "ml", "modeldeployment": "churn"}
QUERY = {"name": "business", "query": "value", "min": 0.9, "interval": "10s"}


def watch(*, started_at: datetime | None = START, **fields: Any) -> Watch:
    return Watch(
        rollout="churn-2-g2",
        candidate="churn-2",
        stable="churn-1",
        analysis=Analysis.model_validate(fields.pop("analysis", {"metrics": [QUERY]})),
        per_try_timeout_s=None,
        step_index=0,
        evidence=None,
        phi=None,
        step_started_at=started_at,
        **fields,
    )


def sources(*, is_configured: bool = True, **fields: Any) -> Sources:
    return Sources(OWNER, watch(**fields), is_configured=is_configured)


def answered(asked: Sources, *values: float | str, since_s: float = 10) -> Verdict:
    """Answer the query every 10 s, with a number or a problem, and say what the gate says."""
    for index, value in enumerate(values):
        now = at(since_s + 10 * index)
        problem = value if isinstance(value, str) else ""
        asked.take_answer("business", Answer(now, None if problem else float(value), problem))
    return asked.view().verdicts[0]


def alert(*firing: FiringAlert, weighted_at: datetime | None = START, **gate: Any) -> Verdict:
    """Say what the gate of an alert says when these fire."""
    asked = sources(analysis={"alerts": [{"name": "Broken", **gate}]}, weighted_at=weighted_at)
    asked.take_alerts(AlertsSeen(at(60), firing))
    return asked.view().verdicts[0]


@pytest.mark.parametrize(
    ("values", "state", "words"),
    [
        ((0.95,), VerdictState.PASS, "0.95 (min 0.9)"),
        ((0.9,), VerdictState.PASS, "0.9"),
        ((0.7,), VerdictState.INSUFFICIENT, "0.7 is below min 0.9; asked again after 10 s"),
        ((0.7, 0.95), VerdictState.PASS, "0.95"),
        ((0.7, 0.95, 0.7), VerdictState.INSUFFICIENT, "to be sure"),
        ((0.7, 0.6), VerdictState.FAIL, "0.6 is below min 0.9, 2 times in a row"),
        ((0.7, "no answer", 0.6), VerdictState.FAIL, "2 times in a row"),
        (("no answer",), VerdictState.UNAVAILABLE, "no answer"),
        ((0.95, "no answer"), VerdictState.UNAVAILABLE, "no answer"),
        ((0.7, "no answer"), VerdictState.UNAVAILABLE, "no answer"),
    ],
)
def test_two_numbers_in_a_row_beyond_the_limit_convict(
    values: tuple[float | str, ...], state: VerdictState, words: str
) -> None:
    verdict = answered(sources(), *values)

    assert state is verdict.state
    assert words in verdict.message


def test_both_limits_hold() -> None:
    both = {"metrics": [{**QUERY, "max": "1.5"}]}

    verdict = answered(sources(analysis=both), 1.6, 1.7)

    assert (Reason.LIMIT_EXCEEDED, 1.7) == (verdict.reason, verdict.value)
    assert "min 0.9, max 1.5" == verdict.limit
    assert "1.7 is above max 1.5, 2 times in a row" == verdict.message


def test_a_conviction_stays_whatever_comes_after_it() -> None:
    asked = sources()
    answered(asked, 0.7, 0.6)

    assert VerdictState.FAIL is answered(asked, 0.95, since_s=40).state


@pytest.mark.parametrize(
    ("state", "now", "is_due"),
    [
        (None, 9.9, False),
        (None, 10, True),
        (Answer(at(10), 1.0), 19.9, False),
        (Answer(at(10), 1.0), 20, True),
        (Answer(at(10), None, "away"), 12, True),
    ],
)
def test_a_query_is_asked_each_interval_from_the_steps_start_and_sooner_while_away(
    state: Answer | None, now: float, is_due: bool
) -> None:
    asked = sources()
    if state is not None:
        asked.take_answer("business", state)

    assert is_due == bool(asked.due(at(now)))


def test_nothing_is_asked_before_the_candidate_has_a_steps_weight() -> None:
    asked = sources(started_at=None)

    assert () == asked.due(at(1e6))
    assert VerdictState.INSUFFICIENT is asked.view().verdicts[0].state
    assert asked.view().away is None


def test_a_step_earns_its_pass_anew_and_old_answers_do_not_count_for_it() -> None:
    asked = sources()
    answered(asked, 0.95)

    asked.follow(watch(started_at=at(60)))
    asked.take_answer("business", Answer(at(59), 0.95))

    assert VerdictState.INSUFFICIENT is asked.view().verdicts[0].state
    assert (False, True) == (bool(asked.due(at(69))), bool(asked.due(at(70))))


def test_a_restart_goes_on_where_the_status_ends() -> None:
    before = sources()
    answered(before, 0.95, 0.7)

    after = sources(queries=before.view().queries)

    assert VerdictState.INSUFFICIENT is after.view().verdicts[0].state
    assert (False, True) == (bool(after.due(at(29))), bool(after.due(at(30))))
    assert VerdictState.FAIL is answered(after, 0.7, since_s=30).state


def test_memory_of_an_earlier_step_counts_for_nothing() -> None:
    known = (QueryState(gate="business", measured_at=at(-5), count=9, bad_in_row=1),)

    assert VerdictState.INSUFFICIENT is answered(sources(queries=known), 0.7).state


def test_a_changed_limit_is_judged_anew() -> None:
    asked = sources()
    answered(asked, 0.7)

    asked.follow(watch(analysis={"metrics": [{**QUERY, "min": 0.8}]}))

    assert VerdictState.INSUFFICIENT is answered(asked, 0.7, since_s=20).state


def test_a_gate_that_is_taken_away_asks_and_says_nothing() -> None:
    asked = sources()
    answered(asked, 0.7, 0.7)

    asked.follow(watch(analysis={}))
    asked.take_answer("business", Answer(at(40), 0.7))

    assert ((), ()) == (asked.view().verdicts, asked.due(at(100)))


def test_it_is_away_since_its_last_number() -> None:
    asked = sources()
    answered(asked, 0.95, 0.95, "refused", "refused")

    view = asked.view()

    assert at(20) == view.away_since
    assert view.away is not None
    assert "refused" == view.away.message


def test_without_a_number_it_is_away_since_the_steps_start() -> None:
    asked = sources()
    answered(asked, "refused")

    assert at(0) == asked.view().away_since


def test_without_an_address_the_message_says_which_value_to_set() -> None:
    asked = sources(is_configured=False)

    verdict = asked.view().verdicts[0]

    assert () == asked.due(at(100))
    assert VerdictState.UNAVAILABLE is verdict.state
    assert "prometheus.url" in verdict.message


def fires(began_s: float, name: str = "Broken", **labels: str) -> FiringAlert:
    return FiringAlert(name, labels or LABELS, at(began_s))


@pytest.mark.parametrize(
    ("firing", "weighted_at", "state", "reason"),
    [
        ((), at(0), VerdictState.PASS, Reason.ALERT_FIRING),
        ((fires(1),), at(0), VerdictState.FAIL, Reason.ALERT_FIRING),
        ((fires(-1),), at(0), VerdictState.UNAVAILABLE, Reason.ALERT_FIRING),
        ((fires(1),), None, VerdictState.UNAVAILABLE, Reason.ALERT_FIRING),
        ((fires(-1), fires(1)), at(0), VerdictState.FAIL, Reason.ALERT_FIRING),
        ((fires(1, "Other"),), at(0), VerdictState.PASS, Reason.ALERT_FIRING),
        ((fires(1, namespace="ml"),), at(0), VerdictState.PASS, Reason.ALERT_FIRING),
        (
            (fires(1, namespace="other", modeldeployment="churn"),),
            at(0),
            VerdictState.PASS,
            Reason.ALERT_FIRING,
        ),
    ],
)
def test_an_alert_speaks_against_a_candidate_only_if_it_began_afterwards(
    firing: tuple[FiringAlert, ...],
    weighted_at: datetime | None,
    state: VerdictState,
    reason: Reason,
) -> None:
    verdict = alert(*firing, weighted_at=weighted_at)

    assert (state, reason) == (verdict.state, verdict.reason)


def test_labels_that_are_given_take_the_place_of_the_usual_ones() -> None:
    assert VerdictState.FAIL is alert(fires(1, service="x", a="b"), labels={"service": "x"}).state
    assert VerdictState.PASS is alert(fires(1), labels={"service": "x"}).state


def test_an_alert_is_unknown_until_somebody_looked() -> None:
    asked = sources(analysis={"alerts": [{"name": "Broken"}]})

    assert VerdictState.UNAVAILABLE is asked.view().verdicts[0].state
    assert asked.view().away_since is None


def test_alerts_are_away_since_the_last_look_that_saw_them() -> None:
    asked = sources(analysis={"alerts": [{"name": "Broken"}]})
    asked.take_alerts(AlertsSeen(at(10), ()))
    asked.take_alerts(AlertsSeen(at(12), None, "refused"))
    asked.take_alerts(AlertsSeen(at(14), None, "refused"))

    assert at(10) == asked.view().away_since


def test_a_conviction_by_an_alert_outlives_the_alert() -> None:
    asked = sources(analysis={"alerts": [{"name": "Broken"}]}, weighted_at=at(0))
    asked.take_alerts(AlertsSeen(at(10), (fires(5),)))
    failed = asked.view().verdicts[0]
    asked.take_alerts(AlertsSeen(at(12), ()))

    assert failed == asked.view().verdicts[0]
    assert VerdictState.FAIL is failed.state


def test_only_what_others_measure_can_answer_for_a_candidate_without_requests() -> None:
    asks: dict[str, Any] = {
        "metrics": [QUERY, {"name": "latency-p95", "max": "1s"}],
        "alerts": [{"name": "Broken"}],
    }
    judge = guard(analysis=Analysis.model_validate(asks))
    feed(judge, [attempt("1", START_S, revision=STABLE)], START_S + 1, weight_percent=0)

    view = join(judge.view(), sources(analysis=asks).view())

    everything = view.answerable(has_requests=True)
    assert view.verdicts == everything
    assert {"errors", "refusals", "latency-p95-max"} < {verdict.gate for verdict in everything}
    without = view.answerable(has_requests=False)
    assert ["business", "alert:Broken"] == [verdict.gate for verdict in without]
    routers = [verdict for verdict in everything if verdict not in without]
    assert {VerdictState.INSUFFICIENT} == {verdict.state for verdict in routers}
