"""What one gate says about harm, health and missing samples."""

from math import exp, log

import pytest

from slipway_operator.engine.clumping import Tempers
from slipway_operator.engine.comparison import Comparison
from slipway_operator.engine.judgement import Counts

FAIL, PASS = log(100), log(20)


def _seen(block: Counts, times: int, **limits: float | None) -> Comparison:
    comparison = Comparison(**limits)
    for _ in range(times):
        comparison.close(block)
    return comparison


def test_a_failure_shared_with_stable_is_no_evidence_of_harm() -> None:
    shared = _seen(Counts(50, 25, 950, 475), 60)

    assert shared.log_fail < 0


def test_a_candidate_worse_than_stable_but_below_the_floor_is_not_convicted() -> None:
    harmless = _seen(Counts(1000, 2, 1000, 0), 60)
    harmful = _seen(Counts(1000, 20, 1000, 0), 60)

    assert harmless.log_fail < FAIL < harmful.log_fail


def test_a_candidate_above_the_floor_but_no_worse_than_stable_is_not_convicted() -> None:
    assert _seen(Counts(1000, 50, 1000, 50), 60).log_fail < 0


@pytest.mark.parametrize(
    ("block", "passes"),
    [
        (Counts(10, 0, 10, 0), True),  # clean
        (Counts(1000, 30, 1000, 30), True),  # as bad as stable
        (Counts(1000, 60, 1000, 30), False),  # twice as bad
    ],
)
def test_health_needs_proof(block: Counts, passes: bool) -> None:
    assert (_seen(block, 120).log_pass >= PASS) is passes


def test_a_new_step_asks_for_health_again_and_remembers_harm() -> None:
    comparison = _seen(Counts(10, 1, 10, 0), 120)
    harm = comparison.log_fail

    comparison.start_step()

    assert comparison.log_pass == pytest.approx(0.0)
    assert comparison.log_fail == harm


def test_blocks_of_which_parts_are_unknown_count_for_harm_only() -> None:
    comparison = Comparison()

    for _ in range(300):
        comparison.close(Counts(5, 0, 5, 0), may_pass=False)
    assert comparison.log_pass == pytest.approx(0.0)
    for _ in range(3):
        comparison.close(Counts(5, 5, 5, 0), may_pass=False)

    assert comparison.log_fail >= FAIL


def test_clumped_failures_weigh_less() -> None:
    plain, clumped = Comparison(), Comparison()

    for _ in range(3):
        plain.close(Counts(5, 4, 5, 0))
        clumped.close(Counts(5, 4, 5, 0), tempers=Tempers(3.0, 3.0, 3.0))

    assert clumped.log_fail < plain.log_fail / 2


def test_old_evidence_shrinks_when_failures_turn_out_to_clump() -> None:
    comparison = Comparison()
    for _ in range(3):
        comparison.close(Counts(5, 4, 5, 0), tempers=Tempers(1.2, 1.2, 1.2))
    before = comparison.log_fail

    comparison.close(Counts(5, 0, 5, 0), tempers=Tempers(4.0, 4.0, 4.0))

    assert comparison.log_fail < before / 2


def test_one_long_clump_is_no_conviction_where_as_many_single_failures_are() -> None:
    cautious, calm = Tempers(1.2, 2.0, 1.0), Counts(2, 0, 18, 0)
    clump, single = Comparison(), Comparison()

    for comparison in (clump, single):
        comparison.close(calm, onsets=calm, tempers=cautious)
    for _ in range(6):
        clump.close(Counts(2, 2, 18, 0), onsets=calm, tempers=cautious)
        single.close(Counts(2, 1, 18, 0), onsets=Counts(2, 1, 18, 0), tempers=cautious)

    assert clump.log_fail < FAIL <= single.log_fail


def test_a_candidate_that_never_answered_is_excused_by_no_clumping() -> None:
    cautious, none = Tempers(1.2, 6.0, 6.0), Counts(2, 0, 18, 0)
    dead, had_answered = Comparison(), Comparison()
    had_answered.close(none, onsets=none, tempers=cautious)

    for comparison in (dead, had_answered):
        for _ in range(5):
            comparison.close(Counts(2, 2, 18, 0), onsets=none, tempers=cautious)

    assert had_answered.log_fail < FAIL / 2 < FAIL <= dead.log_fail


def test_an_absolute_limit_needs_no_stable() -> None:
    over = _seen(Counts(100, 5, 0, 0), 20, ratio=None, floor=0.01)
    under = _seen(Counts(100, 0, 0, 0), 20, ratio=None, floor=0.01)

    assert over.log_fail >= FAIL
    assert under.log_pass >= PASS


def test_a_comparison_without_floor_convicts_small_shares() -> None:
    worse = _seen(Counts(1000, 4, 1000, 1), 60, ratio=1.0, floor=None, tolerate=1.0)

    assert worse.log_fail >= FAIL


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_forecasts_are_near_the_truth(share: float) -> None:
    """A quarter of the way, the forecast of the rest is right within a factor of two."""
    block = Counts(100, int(100 * share), 100, int(100 * share))
    comparison, count = Comparison(), 0
    while comparison.log_pass < PASS:
        comparison.close(block)
        count += 1

    part = _seen(block, count // 4)
    seen = Counts(*[value * (count // 4) for value in block])
    need = part.need(seen, goal_fail=FAIL, goal_pass=PASS)

    assert need is not None
    assert 0.5 <= need / (100 * (count - count // 4)) <= 2


def test_before_the_first_request_the_forecast_is_for_a_candidate_that_never_fails() -> None:
    comparison = Comparison()

    need = comparison.need(Counts(0, 0, 50, 0), goal_fail=FAIL, goal_pass=PASS)

    calm = comparison.need(Counts(50, 0, 50, 0), goal_fail=FAIL, goal_pass=PASS)
    assert need == calm is not None


def test_no_forecast_without_stable_to_compare_with_or_between_the_limits() -> None:
    comparison = Comparison()
    between = Counts(10_000, 135, 10_000, 100)

    bare = Comparison(ratio=1.0, floor=None, tolerate=1.0)
    assert bare.need(Counts(50, 0, 0, 0), goal_fail=FAIL, goal_pass=PASS) is None
    need = comparison.need(between, goal_fail=FAIL, goal_pass=PASS)
    assert need is None or need > 10_000


def test_a_dump_restores_the_same_evidence() -> None:
    comparison = _seen(Counts(10, 1, 30, 1), 100)
    restored = Comparison()

    restored.load(comparison.dump())

    assert restored.log_fail == comparison.log_fail
    assert restored.log_pass == comparison.log_pass
    for one in (comparison, restored):
        one.close(Counts(10, 3, 30, 0), tempers=Tempers(2.0, 2.0, 2.0))
    assert restored.log_fail == comparison.log_fail


def test_a_dump_of_another_shape_is_refused() -> None:
    limit = _seen(Counts(10, 1, 0, 0), 3, ratio=None, floor=0.01)

    with pytest.raises(ValueError, match="shape"):
        Comparison().load(limit.dump())


def test_late_harm_is_found_soon_after_a_long_good_time() -> None:
    comparison = Comparison()
    for _ in range(3600):
        comparison.close(Counts(5, 0, 5, 0))

    seconds = 0
    while comparison.log_fail < FAIL:
        comparison.close(Counts(5, 5, 5, 0))
        seconds += 1

    assert seconds <= 3
    assert exp(comparison.log_fail) >= 100
