"""A run is judged by its worst case, and told to people and to machines alike."""

import json

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
