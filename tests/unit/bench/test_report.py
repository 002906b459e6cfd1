"""The definitions of the report, on literal ledgers."""

from dataclasses import replace

import pytest

from bench import ledger, report

BEGIN = ledger.RolloutBegin(
    at=100.0,
    name="errors",
    version="1.2.0",
    promise=ledger.Promise(outcome="Aborted", weight=5, seconds_first_bad_to_zero=2.0),
)
END = ledger.RolloutEnd(
    at=130.0,
    name="errors",
    candidate="tumour-bad",
    outcome="Aborted",
    reason="Errors",
    problem=None,
)
REQUEST = ledger.Request(
    id="r1",
    protocol="rest",
    sent=110.0,
    received=110.01,
    status=200,
    revision="tumour-good",
    attempts=1,
    config="c1",
    version="1.1.0",
    wrong=False,
    sample=0,
)
ATTEMPT = ledger.Attempt(
    at=110.0,
    pod="tumour-bad-x",
    revision="tumour-bad",
    id="r1",
    protocol="rest",
    status=500,
    seconds=0.002,
)
STATUS = ledger.Observation(
    at=109.0,
    phase="RollingOut",
    stable="tumour-good",
    candidate="tumour-bad",
    weight_asked=5,
    weight_verified=5,
    reason=None,
    message=None,
)
LOAD_END = ledger.LoadEnd(
    at=140.0, requests=1, rate=1.0, seconds=1.0, late_s_max=0.0, cpu_share=0.1
)
PASSING = (BEGIN, STATUS, REQUEST, ATTEMPT, replace(ATTEMPT, at=111.5), END, LOAD_END)


def only_rollout(*lines: ledger.Line) -> report.RolloutReport:
    (rollout,) = report.recompute(lines).rollouts
    return rollout


def test_a_ledger_in_which_all_went_as_promised_passes():
    result = report.recompute(PASSING)

    assert result.passed
    assert result.rollouts == (
        report.RolloutReport(
            name="errors",
            version="1.2.0",
            candidate="tumour-bad",
            outcome="Aborted",
            requests_sent=1,
            requests_lost=0,
            client_errors=0,
            wrong_answers=0,
            attempts_at_candidate=2,
            bad_attempts=2,
            seconds_first_bad_to_zero=1.5,
            weight_when_bad=5,
            seconds_total=30.0,
            problems=(),
            passed=True,
        ),
    )


def test_the_order_of_lines_does_not_matter():
    assert report.recompute(PASSING[::-1]) == report.recompute(PASSING)


@pytest.mark.parametrize(
    ("request_", "counted"),
    [
        pytest.param(
            replace(REQUEST, received=None, status=None), (1, 0, 0), id="no answer is lost"
        ),
        pytest.param(replace(REQUEST, status=503, version=None), (0, 1, 0), id="5xx"),
        pytest.param(replace(REQUEST, status=400, version=None), (0, 1, 0), id="4xx"),
        pytest.param(replace(REQUEST, status=201), (0, 0, 0), id="all of 2xx is good"),
        pytest.param(replace(REQUEST, protocol="grpc", status="OK"), (0, 0, 0), id="OK"),
        pytest.param(
            replace(REQUEST, protocol="grpc", status="UNAVAILABLE"), (0, 1, 0), id="grpc error"
        ),
        pytest.param(replace(REQUEST, wrong=True), (0, 0, 1), id="wrong numbers"),
        pytest.param(
            replace(REQUEST, revision="tumour-bad", version="1.1.0"),
            (0, 0, 1),
            id="the candidate's name on stable's version",
        ),
        pytest.param(
            replace(REQUEST, revision="tumour-bad", version="1.2.0"),
            (0, 0, 0),
            id="its own version",
        ),
    ],
)
def test_requests_are_counted_as_defined(request_, counted):
    """Lost, client errors, wrong answers."""
    rollout = only_rollout(BEGIN, STATUS, request_, ATTEMPT, END, LOAD_END)

    assert (rollout.requests_lost, rollout.client_errors, rollout.wrong_answers) == counted
    assert rollout.passed == (counted == (0, 0, 0))


@pytest.mark.parametrize(
    ("attempt", "is_bad"),
    [
        pytest.param(replace(ATTEMPT, status=200), False, id="good"),
        pytest.param(replace(ATTEMPT, status="OK"), False, id="good grpc"),
        pytest.param(replace(ATTEMPT, status=500), True, id="error"),
        pytest.param(replace(ATTEMPT, status="INTERNAL"), True, id="grpc error"),
        pytest.param(replace(ATTEMPT, status=None, seconds=None), True, id="never ended"),
        pytest.param(replace(ATTEMPT, status=200, seconds=1.5), True, id="hung"),
        pytest.param(replace(ATTEMPT, status="CANCELLED", seconds=0.9), True, id="cut off"),
    ],
)
def test_attempts_are_bad_as_defined(attempt, is_bad):
    assert report.is_bad(attempt) == is_bad


def test_seconds_count_from_the_first_bad_to_the_last_attempt_of_any_kind():
    good = replace(ATTEMPT, status=200)
    attempts = (replace(good, at=105.0), replace(ATTEMPT, at=106.0), replace(good, at=107.25))

    rollout = only_rollout(BEGIN, STATUS, REQUEST, *attempts, END, LOAD_END)

    assert rollout.seconds_first_bad_to_zero == 1.25


def test_attempts_at_other_revisions_and_before_the_change_do_not_count():
    other = replace(ATTEMPT, revision="tumour-good", at=125.0)
    earlier = replace(ATTEMPT, at=99.0)

    rollout = only_rollout(BEGIN, STATUS, REQUEST, earlier, ATTEMPT, other, END, LOAD_END)

    assert (rollout.attempts_at_candidate, rollout.seconds_first_bad_to_zero) == (1, 0.0)


def test_the_weight_when_bad_is_the_one_asked_then():
    lines = (
        replace(STATUS, at=101.0, weight_asked=5),
        replace(STATUS, at=108.0, weight_asked=25),
        replace(STATUS, at=112.0, weight_asked=0),
    )

    assert only_rollout(BEGIN, *lines, REQUEST, ATTEMPT, END).weight_when_bad == 25


def test_a_status_that_reaches_the_watcher_late_still_tells_the_weight():
    late = replace(STATUS, at=110.02)

    assert only_rollout(BEGIN, late, REQUEST, ATTEMPT, END).weight_when_bad == 5


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        pytest.param((REQUEST, ATTEMPT), "the rollout did not end", id="no end"),
        pytest.param(
            (REQUEST, ATTEMPT, replace(END, outcome="Promoted")),
            "outcome Promoted, promised Aborted",
            id="outcome",
        ),
        pytest.param(
            (REQUEST, ATTEMPT, replace(END, problem="Ready is True")), "Ready is True", id="problem"
        ),
        pytest.param(
            (REQUEST, ATTEMPT, replace(ATTEMPT, at=112.5), END),
            "2.5 s from the first bad attempt to zero, promised 2.0 s",
            id="too slow",
        ),
        pytest.param(
            (REQUEST, replace(ATTEMPT, status=200), END),
            "no bad attempt was seen at the candidate",
            id="nothing bad seen",
        ),
        pytest.param((REQUEST, END), "no attempt at a candidate pod was seen", id="no attempts"),
        pytest.param((ATTEMPT, END), "no requests were sent", id="no requests"),
        pytest.param(
            (replace(STATUS, at=109.5, weight_asked=50), REQUEST, ATTEMPT, END),
            "the candidate was bad at 50 %, planned 5 %",
            id="weight",
        ),
    ],
)
def test_every_broken_promise_is_named(lines, problem):
    rollout = only_rollout(BEGIN, STATUS, *lines, LOAD_END)

    assert problem in rollout.problems
    assert not rollout.passed


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        pytest.param((), "the ledger has no rollout", id="empty"),
        pytest.param(PASSING[:-1], "the load generator did not come to its end", id="no load end"),
        pytest.param(
            (*PASSING, replace(REQUEST, id="r2", sent=111.0)),
            "2 requests in the ledger, the load generator sent 1",
            id="lines missing or too many",
        ),
        pytest.param(
            (*PASSING[:-1], replace(LOAD_END, seconds=10.0)),
            "only 1 of 10 planned requests were sent",
            id="rate not kept",
        ),
        pytest.param(
            (*PASSING[:-1], replace(REQUEST, sent=90.0, status=500), replace(LOAD_END, requests=2)),
            "before the first change 0 requests were lost, 1 were client errors, 0 wrong",
            id="errors before any change",
        ),
    ],
)
def test_a_ledger_that_proves_nothing_fails(lines, problem):
    result = report.recompute(lines)

    assert problem in result.problems
    assert not result.passed


def test_requests_between_two_changes_belong_to_the_first():
    second = replace(BEGIN, at=200.0, name="crash", version="1.3.0")
    second_end = replace(END, at=220.0, name="crash", candidate="tumour-worse")
    between = replace(REQUEST, id="r2", sent=199.0)
    after = replace(REQUEST, id="r3", sent=230.0)

    result = report.recompute((*PASSING, second, second_end, between, after))

    assert [rollout.requests_sent for rollout in result.rollouts] == [2, 1]


def test_the_command_says_by_its_exit_code_whether_the_ledger_passes(tmp_path, capsys):
    passing, failing, broken = tmp_path / "passing", tmp_path / "failing", tmp_path / "broken"
    passing.write_bytes(b"".join(ledger.encode(line) for line in PASSING))
    failing.write_bytes(b"".join(ledger.encode(line) for line in PASSING[:-1]))
    broken.write_text("{}\n")

    codes = [report.main([str(path)]) for path in (passing, failing, broken)]

    assert codes == [0, 1, 2]
    assert "PASSED" in capsys.readouterr().out
