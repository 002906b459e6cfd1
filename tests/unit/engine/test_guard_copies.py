"""Copies of requests: what they are compared with, and that none is counted twice."""

from dataclasses import replace

import pytest

from slipway_api.analysis import Analysis
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.guard import Guard
from slipway_operator.engine.traffic import Match, Opening
from slipway_operator.engine.verdicts import Verdict
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, attempt, feed, guard

BETA = (Match("header", "x-beta", "yes"),)


def _copied(
    request: str, at_s: float, *, status: int = 200, took_s: float | None = 0.01
) -> Attempt:
    """A copy that the candidate got of a client's request."""
    key = f"{request}~mirror"
    made = attempt(key, at_s, status=status, took_s=took_s, request=key)
    return replace(made, copy_of=request)


def _own(
    request: str, at_s: float, *, revision: str = CANDIDATE, took_s: float | None = 0.01
) -> Attempt:
    return attempt(request, at_s, revision=revision, status=500, took_s=took_s, request=request)


def _errors(judge: Guard) -> Verdict:
    return next(one for one in judge.view().verdicts if one.gate == "errors")


def test_a_copy_of_what_stable_answers_is_an_attempt_of_the_candidate() -> None:
    judge = guard()

    feed(judge, [_own("1", START_S, revision=STABLE), _copied("1", START_S + 0.001)], START_S + 1)

    found = _errors(judge)
    assert (1, 1) == (found.candidate_count, found.stable_count)


@pytest.mark.parametrize("ticks", [1, 2])
def test_a_copy_of_what_the_candidate_answers_itself_is_no_second_attempt(ticks: int) -> None:
    """Its answer is known: the same input, to the same model, is no news."""
    judge = guard(analysis=Analysis(max_bad_answers=2))
    asked, copied = _own("1", START_S), _copied("1", START_S + 0.001, status=500)
    batches = [[asked, copied]] if ticks == 1 else [[asked], [copied]]

    for tick, attempts in enumerate(batches, 1):
        feed(judge, attempts, START_S + tick)

    found = _errors(judge)
    assert (1, 1) == (found.candidate_count, found.candidate_bad_count)
    assert not judge.is_convicted, "the budget counts requests, too"


def test_a_copy_that_ends_before_the_candidates_own_attempt_is_none_either() -> None:
    judge = guard()
    begun = _own("1", START_S, took_s=None)

    feed(judge, [begun, _copied("1", START_S + 0.001, status=500)], START_S + 0.25)
    feed(judge, [replace(begun, duration_s=0.3)], START_S + 0.5)

    assert 1 == _errors(judge).candidate_count


def test_a_copy_that_hangs_as_the_request_does_fails_once() -> None:
    judge = guard(timeout_s=1.0)
    hangs = [_own("1", START_S, took_s=None), _copied("1", START_S + 0.001, took_s=None)]

    feed(judge, hangs, START_S + 0.25)
    feed(judge, [], START_S + 2)

    found = _errors(judge)
    assert (1, 1) == (found.candidate_count, found.candidate_bad_count)


def test_one_request_explains_one_copy() -> None:
    """Clients may send an id twice: the other request of it went to stable."""
    judge = guard()
    again = replace(_copied("1", START_S + 0.1), key="again")

    feed(judge, [_own("1", START_S), _copied("1", START_S + 0.001), again], START_S + 1)

    assert 2 == _errors(judge).candidate_count


def test_the_same_id_at_another_router_is_another_request() -> None:
    judge = guard()
    elsewhere = replace(_copied("1", START_S + 0.001), router="router-2")

    feed(judge, [_own("1", START_S), elsewhere], START_S + 1)

    assert 2 == _errors(judge).candidate_count


@pytest.mark.parametrize(
    ("calm", "stormy"),
    [
        (Opening(mirror_percent=1), Opening(mirror_percent=100)),
        (Opening(match=BETA), Opening(mirror_percent=100, match=BETA)),
        (Opening(10, mirror_percent=1), Opening(10, mirror_percent=100)),
    ],
    ids=["copies alone", "beside a match", "beside a weight"],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_changed_share_of_copies_begins_anew(
    calm: Opening, stormy: Opening, *, restarts: bool
) -> None:
    """While errors of both sides rise: pooled, the old share's good answers were stable's alone."""
    judge, convicted = guard(), []
    for turn in range(40):
        now_s = START_S + turn
        feed(judge, _answers(turn, now_s, copies=1, live=40), now_s + 0.4, opening=calm)
        if restarts:
            judge = guard(evidence=judge.view().evidence)
        stormy_answers = _answers(-turn - 1, now_s + 0.5, copies=4, live=4, bad=2)
        feed(judge, stormy_answers, now_s + 0.9, opening=stormy)
        convicted.append(judge.is_convicted)

    assert not any(convicted)


def _answers(turn: int, at_s: float, *, copies: int, live: int, bad: int = 0) -> list[Attempt]:
    sides = ((CANDIDATE, copies), (STABLE, live))
    return [
        attempt(
            f"{turn}-{revision}-{index}",
            at_s,
            revision=revision,
            status=500 if index < bad else 200,
        )
        for revision, count in sides
        for index in range(count)
    ]
