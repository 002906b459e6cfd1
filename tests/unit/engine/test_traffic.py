"""What counts as opening the way to a candidate, and what as shutting it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.engine import traffic
from slipway_operator.engine.traffic import SHUT, Backend, Match, Opening, Traffic

BETA, TESTER = Match("header", "x-beta", "on"), Match("cookie", "tester", "1")
CLOSED = Traffic(
    namespace="ml",
    name="churn",
    port=10_000,
    stable=Backend("r1", (), None, 8080, 9000),
    candidate=Backend("r2", (), None, 8080, 9000),
    weight_percent=0,
    drain=(),
    timeout_s=60.0,
    per_try_timeout_s=None,
    retry="any",
    salt="",
    is_logged=True,
)
SOME = Opening(5, 25, (BETA,))
OPENINGS = st.builds(
    Opening,
    st.integers(0, 100),
    st.integers(0, 100),
    st.lists(st.sampled_from([BETA, TESTER]), unique=True).map(tuple),
)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (SOME, False),
        (replace(SOME, weight_percent=6), True),
        (replace(SOME, mirror_percent=26), True),
        (replace(SOME, match=(BETA, TESTER)), True),
        (replace(SOME, match=(TESTER,)), True),
        (Opening(6, 0, ()), True),
        (Opening(4, 25, (BETA,)), False),
        (SHUT, False),
    ],
)
def test_more_of_anything_opens(after: Opening, expected: bool) -> None:
    assert expected == traffic.is_opened(CLOSED.opened(SOME), CLOSED.opened(after))


def test_another_candidate_had_nothing() -> None:
    next_one = replace(CLOSED, candidate=Backend("r3", (), None, 8080, 9000))

    assert traffic.is_opened(CLOSED.opened(SOME), next_one.opened(Opening(mirror_percent=1)))
    assert traffic.is_opened(None, CLOSED.opened(Opening(match=(BETA,))))
    assert not traffic.is_opened(CLOSED.opened(SOME), next_one)


def test_a_promotion_opens_and_shuts_nothing() -> None:
    promoted = replace(CLOSED, stable=CLOSED.candidate, candidate=None)
    before = CLOSED.opened(Opening(100))

    assert not traffic.is_opened(before, promoted)
    assert before == traffic.shut(before, promoted)


def test_shutting_leaves_everything_else_as_it_was() -> None:
    before = CLOSED.opened(SOME)
    after = replace(CLOSED, retry="none").opened(Opening(50, 0, (TESTER,)))

    assert replace(before, mirror_percent=0, match=()) == traffic.shut(before, after)


@given(OPENINGS, OPENINGS)
def test_law_what_is_shut_is_never_open_further(before: Opening, after: Opening) -> None:
    shut = traffic.shut(CLOSED.opened(before), CLOSED.opened(after))

    assert not traffic.is_opened(CLOSED.opened(before), shut)
    assert not traffic.is_opened(CLOSED.opened(after), shut)


@given(OPENINGS, OPENINGS)
def test_law_only_what_opens_nothing_is_reached_by_shutting(
    before: Opening, after: Opening
) -> None:
    is_opened = traffic.is_opened(CLOSED.opened(before), CLOSED.opened(after))
    shut = traffic.shut(CLOSED.opened(before), CLOSED.opened(after)).opening

    is_reached = not shut.exceeds(after) and not after.exceeds(shut)
    assert is_opened is not is_reached
