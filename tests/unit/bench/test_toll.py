"""Lost requests are told apart by whether the router that had them lived on."""

from dataclasses import replace

import pytest

from bench import ledger, toll

GOOD = ledger.Request(
    id="1",
    protocol="rest",
    sent=10.0,
    received=10.1,
    status=200,
    revision="old",
    attempts=1,
    config="c",
    version="1",
    wrong=False,
    sample=0,
    router="living",
)
LOST = replace(GOOD, sent=12.5, received=None, status=None, revision=None, error="reset")
ATTEMPT = ledger.Attempt(
    at=20.0, pod="p", revision="new", id="1", protocol="rest", status=200, seconds=0.1
)


def test_a_run_without_loss_costs_nothing() -> None:
    found = toll.take([GOOD, GOOD], fault_at=10.0, dead={"dead"})

    assert found.is_nothing
    assert (found.requests_sent, found.seconds_of_trouble) == (2, 0.0)


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (replace(LOST, router="living"), (1, 0, 0, 0)),
        (replace(LOST, router="dead"), (0, 1, 0, 0)),
        (replace(LOST, router=None), (0, 0, 1, 0)),
        (replace(LOST, router=None, is_connected=False), (0, 0, 0, 1)),
        (replace(LOST, router="dead", is_connected=False), (0, 0, 0, 1)),
    ],
    ids=["living", "dead", "unknown", "nobody", "nobody, once dead"],
)
def test_a_lost_request_counts_where_it_was_lost(
    lost: ledger.Request, expected: tuple[int, int, int, int]
) -> None:
    found = toll.take([GOOD, lost], fault_at=12.0, dead={"dead"})

    counted = (found.lost_at_living, found.lost_at_dead, found.lost_at_unknown)
    assert (*counted, found.never_connected) == expected
    assert (found.lost, found.is_nothing) == (1, False)
    assert found.seconds_of_trouble == 0.5


def test_what_failed_before_the_fault_is_counted_apart() -> None:
    early = replace(LOST, sent=5.0)
    in_flight = replace(LOST, sent=11.5)

    found = toll.take([early, in_flight, replace(GOOD, sent=12.0)], fault_at=12.0)

    assert (found.failed_before, found.lost, found.requests_sent) == (1, 1, 2)
    assert found.seconds_of_trouble == 0.0


def test_errors_and_wrong_answers_are_no_losses() -> None:
    found = toll.take([replace(GOOD, status=503), replace(GOOD, status="INTERNAL", sent=11.0)])

    assert (found.client_errors, found.lost, found.seconds_of_trouble) == (2, 0, 1.0)
    assert toll.take([replace(GOOD, wrong=True)]).wrong_answers == 1


def test_the_candidate_is_followed_from_its_first_bad_attempt_to_its_last() -> None:
    attempts = [replace(ATTEMPT, status=500), replace(ATTEMPT, at=21.2), ATTEMPT]
    others = [replace(ATTEMPT, revision="old", at=99.0, status=500)]

    found = toll.take([GOOD, *attempts, *others], candidate="new")

    assert (found.attempts_at_candidate, found.seconds_first_bad_to_zero) == (3, 1.2)
    assert toll.take([ATTEMPT], candidate="new").seconds_first_bad_to_zero is None
