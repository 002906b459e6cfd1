"""Turns to write: never too many in any second, what matters first."""

import random

import pytest

from slipway_operator.shell.pace import NUMBERS_MAX, RATE_MAX, Pace, Rank


def _busiest(times_s: list[float]) -> int:
    """Count the writes of the busiest second."""
    return max(sum(start <= at_s < start + 1 for at_s in times_s) for start in times_s)


def _drain(pace: Pace, now_s: float) -> list[tuple[float, Rank]]:
    """Ask again whenever told to, until nobody waits; give when each turn came."""
    taken = []
    while True:
        turns, more_s = pace.give(now_s)
        taken += [(now_s, turn.rank) for turn in turns]
        if more_s is None:
            return taken
        now_s += more_s


def test_nobody_waits_while_there_is_room() -> None:
    pace = Pace()
    turns = [pace.stand(Rank.WORDS) for _ in range(RATE_MAX)]

    assert (turns, None) == pace.give(100.0)


def test_no_second_has_more_than_its_share() -> None:
    pace, times_s, now_s = Pace(), [], 0.0
    source = random.Random(7)

    for _ in range(40):
        now_s += source.random() / 4
        times_s += [now_s] * (pace.numbers_wait_s("churn", now_s) == 0)
        for _ in range(source.randrange(6)):
            pace.stand(source.choice(tuple(Rank)))
        times_s += [now_s] * len(pace.give(now_s)[0])
    times_s += [at_s for at_s, _ in _drain(pace, now_s)]

    assert len(times_s) > 3 * RATE_MAX
    assert _busiest(times_s) == RATE_MAX


def test_lower_weights_go_before_other_words() -> None:
    pace = Pace()
    for _ in range(RATE_MAX):
        pace.stand(Rank.WORDS)
    pace.give(0.0)
    for rank in (Rank.WORDS, Rank.LOWERING, Rank.WORDS, Rank.LOWERING):
        pace.stand(rank)

    ranks = [rank for _, rank in _drain(pace, 0.5)]

    assert [Rank.LOWERING, Rank.LOWERING, Rank.WORDS, Rank.WORDS] == ranks


def test_numbers_leave_room_for_words() -> None:
    pace = Pace()

    written = [pace.numbers_wait_s(key, 0.0) == 0 for key in range(RATE_MAX)]
    words = [pace.stand(Rank.WORDS) for _ in range(RATE_MAX - NUMBERS_MAX)]

    assert NUMBERS_MAX == sum(written)
    assert (words, None) == pace.give(0.0)


def test_numbers_that_wait_come_back_one_after_another() -> None:
    pace = Pace()
    for key in range(NUMBERS_MAX):
        pace.numbers_wait_s(key, 0.0)

    waits_s = [pace.numbers_wait_s(key, 0.0) for key in ("a", "b", "c", "a")]

    assert waits_s == pytest.approx([0.1, 0.2, 0.3, 0.1])
    assert 0.0 == pace.numbers_wait_s("c", 1.0)


def test_numbers_wait_while_words_do() -> None:
    pace = Pace()
    for _ in range(RATE_MAX + 1):
        pace.stand(Rank.WORDS)
    pace.give(0.0)

    assert pace.numbers_wait_s("churn", 0.5) > 0


def test_who_leaves_takes_nobody_elses_turn() -> None:
    pace = Pace()
    for _ in range(RATE_MAX):
        pace.stand(Rank.WORDS)
    pace.give(0.0)
    first, second = pace.stand(Rank.WORDS), pace.stand(Rank.WORDS)

    pace.leave(first)

    assert ([second], None) == pace.give(1.0)
