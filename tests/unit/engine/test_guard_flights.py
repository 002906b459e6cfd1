"""Attempts that begin and do not end, end late, or end because the client left."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.flights import OPEN_MAX, Flights
from slipway_operator.engine.guard import TICK_S, Guard
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, Stream, attempt, feed, guard


def _errors(judge: Guard) -> tuple[int, int]:
    verdict = judge.view().verdicts[0]
    return verdict.candidate_count, verdict.candidate_bad_count


def test_an_attempt_open_longer_than_its_timeout_fails_once() -> None:
    judge = guard(timeout_s=1.0)
    feed(judge, [attempt("1", START_S, took_s=None)], START_S)
    assert _errors(judge) == (0, 0)

    feed(judge, [], START_S + 1.0)
    assert _errors(judge) == (1, 1)
    feed(judge, [attempt("1", START_S, took_s=1.1, status=0)], START_S + 1.25)
    feed(judge, [], START_S + 5.0)

    assert _errors(judge) == (1, 1)


def test_an_attempt_that_ends_in_time_counts_as_what_it_was() -> None:
    judge = guard(timeout_s=1.0)

    feed(judge, [attempt("1", START_S, took_s=None)], START_S)
    feed(judge, [attempt("1", START_S, took_s=0.4)], START_S + 0.5)
    feed(judge, [], START_S + 10)

    assert _errors(judge) == (1, 0)


def test_an_attempt_cut_by_its_client_says_nothing() -> None:
    judge = guard(timeout_s=1.0)

    feed(judge, [attempt("1", START_S, took_s=None)], START_S)
    feed(judge, [attempt("1", START_S, took_s=0.4, status=0, is_cut=True)], START_S + 0.5)
    feed(judge, [], START_S + 10)

    assert _errors(judge) == (0, 0)


def test_an_end_that_comes_before_its_start_is_counted_once() -> None:
    judge = guard(timeout_s=1.0)

    feed(judge, [attempt("1", START_S, took_s=0.01)], START_S + 0.25)
    feed(judge, [attempt("1", START_S, took_s=None)], START_S + 0.5)
    feed(judge, [], START_S + 10)

    assert _errors(judge) == (1, 0)


def test_without_a_timeout_nothing_is_overdue() -> None:
    judge = guard(timeout_s=None)

    feed(judge, [attempt("1", START_S, took_s=None)], START_S)
    feed(judge, [], START_S + 1000)

    assert _errors(judge) == (0, 0)


def test_a_candidate_that_hangs_is_convicted_soon_after_its_first_timeouts() -> None:
    judge, stream = guard(timeout_s=1.0), Stream(200, 10, candidate_status=200)

    seconds = None
    for index in range(40):
        records = []
        for one in stream.tick():
            records.append(attempt(one.key, one.began_at_s, revision=one.revision, took_s=None))
            if one.revision == STABLE:
                records.append(one)
        feed(judge, records, stream.now_s, weight_percent=10)
        if judge.is_convicted:
            seconds = (index + 1) * TICK_S
            break

    assert seconds is not None
    assert seconds <= 2.0


def test_what_is_under_way_when_the_weight_changes_is_left_out() -> None:
    judge = guard(timeout_s=1.0)
    feed(judge, [attempt("1", START_S, took_s=None)], START_S, weight_percent=50)

    feed(judge, [], START_S + 0.25, weight_percent=25)
    feed(judge, [attempt("1", START_S, took_s=0.6, status=500)], START_S + 0.75, weight_percent=25)
    feed(judge, [], START_S + 10, weight_percent=25)

    assert _errors(judge) == (0, 0)


def test_what_is_under_way_when_logs_get_lost_is_left_out() -> None:
    judge = guard(timeout_s=1.0)
    feed(judge, [attempt("1", START_S, took_s=None)], START_S)

    feed(judge, [], START_S + 0.25, is_alive=False)
    feed(judge, [], START_S + 10)

    assert _errors(judge) == (0, 0)


def test_a_routers_slow_clock_makes_no_attempt_overdue() -> None:
    judge = guard(timeout_s=1.0)
    feed(judge, [], START_S)

    feed(judge, [attempt("1", START_S - 3600, took_s=None)], START_S + 0.25)
    feed(judge, [attempt("1", START_S - 3600, took_s=0.5)], START_S + 0.75)

    assert _errors(judge) == (1, 0)


def test_open_attempts_are_bounded() -> None:
    flights: Flights[int] = Flights()

    for index in range(OPEN_MAX + 5):
        flights.begin(str(index), index, began_at_s=START_S)

    assert len(flights) == OPEN_MAX
    assert len(flights.overdue(START_S + 1, limit_s=0.5)) == OPEN_MAX
    assert len(flights) == 0


def _records(seed: int) -> list[list[Attempt]]:
    """Ten ticks of starts and ends of both sides, some failing, some never ending, some retried."""
    source = random.Random(seed)
    ticks: list[list[Attempt]] = [[] for _ in range(14)]
    for index in range(80):
        tick = source.randrange(10)
        began_at_s = START_S + (tick + source.random()) * TICK_S
        revision = source.choice([CANDIDATE, STABLE])
        request, host = f"request-{index}", f"{revision}-{source.randrange(2)}"
        took_s, status = source.uniform(0.001, 0.9), source.choice([0, 200, 200, 400, 429, 500])
        start = attempt(
            f"{index}", began_at_s, revision=revision, took_s=None, host=host, request=request
        )
        ticks[tick].append(start)
        if source.random() < 0.1:
            continue
        end = attempt(
            f"{index}",
            began_at_s,
            revision=revision,
            took_s=took_s,
            host=host,
            status=status,
            request=request,
        )
        ticks[int((began_at_s + took_s - START_S) / TICK_S)].append(end)
    return ticks


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_the_order_of_records_within_a_tick_does_not_matter(
    seed: int, order: random.Random
) -> None:
    plain, shuffled = guard(), guard()

    for index, records in enumerate(_records(seed)):
        now_s = START_S + (index + 1) * TICK_S
        feed(plain, records, now_s)
        mixed = list(records)
        order.shuffle(mixed)
        feed(shuffled, mixed, now_s)

        assert shuffled.view() == plain.view()
