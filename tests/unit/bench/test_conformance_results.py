"""A run is judged by its worst case, and told to people and to machines alike."""

import json

import pytest

from bench.conformance import results
from bench.conformance.results import Outcome, Report, Result
from bench.conformance.subject import Server


def result(outcome: Outcome, *, name: str = "a case", detail: str = "") -> Result:
    return Result(name, "a group", outcome, detail, "a section")


PASSED = result(Outcome.PASSED, name="good")
FAILED = result(Outcome.FAILED, name="bad", detail="expected 1, got 2")
SKIPPED = result(Outcome.SKIPPED, name="absent", detail="no such model")


def report(*cases: Result) -> Report:
    server = Server("some-server", "1.2", ("statistics",))
    return Report("http://127.0.0.1:1", None, server, cases)


def test_a_run_passes_if_nothing_failed() -> None:
    assert report(PASSED, SKIPPED).exit_code == 0


def test_one_failure_fails_the_run() -> None:
    assert report(PASSED, FAILED, SKIPPED).exit_code == 1


def test_a_run_that_tried_nothing_does_not_pass() -> None:
    assert report(SKIPPED).exit_code == 1
    assert report().exit_code == 1


def test_outcomes_are_counted() -> None:
    found = report(PASSED, PASSED, FAILED, SKIPPED)

    assert [found.count(outcome) for outcome in Outcome] == [2, 1, 1]


def test_machines_read_counts_and_every_case() -> None:
    found = json.loads(results.to_json(report(PASSED, FAILED)))

    assert found == {
        "target": "http://127.0.0.1:1",
        "grpc": None,
        "server": {"name": "some-server", "version": "1.2", "extensions": ["statistics"]},
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "models": {},
        "cases": [
            {
                "name": name,
                "group": "a group",
                "outcome": outcome,
                "detail": detail,
                "section": "a section",
            }
            for name, outcome, detail in (
                ("good", "passed", ""),
                ("bad", "failed", "expected 1, got 2"),
            )
        ],
    }


def test_people_read_a_line_for_each_group_and_each_failure() -> None:
    assert results.text(report(PASSED, FAILED, SKIPPED)).splitlines() == [
        "http://127.0.0.1:1: some-server 1.2",
        "a group  1 passed, 1 failed, 1 skipped",
        "  FAILED bad: expected 1, got 2 (a section)",
        "FAILED: 1 passed, 1 failed, 1 skipped",
    ]


def test_people_read_why_a_whole_group_is_skipped() -> None:
    assert "  skipped: no such model" in results.text(report(SKIPPED)).splitlines()


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert results.one_line("expected 1,\n\tgot 2\n") == "expected 1, got 2"
    assert len(results.one_line("x " * 1000)) == results.DETAIL_CHARACTERS_MAX


def case(outcome: Outcome, detail: str = "") -> Result:
    return result(outcome, detail=detail)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (case(Outcome.PASSED), case(Outcome.PASSED), case(Outcome.PASSED)),
        (case(Outcome.SKIPPED, "no b"), case(Outcome.PASSED), case(Outcome.PASSED)),
        (case(Outcome.PASSED), case(Outcome.FAILED, "got 2"), case(Outcome.FAILED, "b: got 2")),
        (case(Outcome.FAILED, "got 1"), case(Outcome.FAILED), case(Outcome.FAILED, "a: got 1")),
        (case(Outcome.SKIPPED), case(Outcome.FAILED, "got 2"), case(Outcome.FAILED, "b: got 2")),
        (
            case(Outcome.SKIPPED, "no b"),
            case(Outcome.SKIPPED, "no a"),
            case(Outcome.SKIPPED, "no b; no a"),
        ),
    ],
    ids=["passed", "tried once", "failed on one", "failed on all", "tried and failed", "untried"],
)
def test_a_case_of_several_models_ends_as_the_worst_of_those_that_tried_it(
    first: Result, second: Result, expected: Result
) -> None:
    assert results.summed("s", {"a": report(first), "b": report(second)}).cases == (expected,)


def test_a_sum_keeps_the_server_and_the_counts_of_each_model() -> None:
    found = results.summed("s", {"a": report(PASSED, SKIPPED), "b": report(PASSED, SKIPPED)})

    assert (found.target, found.server) == ("s", report().server)
    assert json.loads(results.to_json(found))["models"] == {
        name: {"passed": 1, "failed": 0, "skipped": 1} for name in ("a", "b")
    }
    assert "  a: 1 passed, 0 failed, 1 skipped" in results.text(found).splitlines()
    assert [found.count(outcome) for outcome in Outcome] == [1, 0, 1]


def test_different_cases_are_not_summed() -> None:
    with pytest.raises(ValueError, match="different cases"):
        results.summed("s", {"a": report(PASSED), "b": report(FAILED)})
    with pytest.raises(ValueError, match="shorter"):
        results.summed("s", {"a": report(PASSED, PASSED), "b": report(PASSED)})
    with pytest.raises(ValueError, match="no reports"):
        results.summed("s", {})
