"""Exact laws of the two tests: their mean is 1 at the null, and never more below it."""

from itertools import product
from math import comb, exp, isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.engine.judgement import (
    BETTER,
    LATE_MASS,
    WORSE,
    Counts,
    Level,
    LevelTest,
    Margins,
    Mixture,
    SplitTest,
    log_partition,
    log_partitions,
    mean_log_e,
    split_logs,
)

sides = st.integers(1, 12)
odds_ratios = st.sampled_from([0.7, 1.0, 1.25, 1.5, 3.0])


def _noncentral(margins: Margins, odds: float) -> dict[int, float]:
    """Fisher's noncentral hypergeometric law, by its definition."""
    n1, n0, bad = margins
    support = range(max(0, bad - n0), min(n1, bad) + 1)
    terms = {x: comb(n1, x) * comb(n0, bad - x) * odds**x for x in support}
    return {x: term / sum(terms.values()) for x, term in terms.items()}


def _mean_split_e(margins: Margins, *, null: float, truth: float) -> list[float]:
    n1, n0, bad = margins
    means = [0.0] * len(WORSE)
    for x, probability in _noncentral(margins, truth).items():
        logs = split_logs(Counts(n1, x, n0, bad - x), null=null, grid=WORSE)
        means = [mean + probability * exp(value) for mean, value in zip(means, logs, strict=True)]
    return means


@given(n1=sides, n0=sides, bad=st.integers(0, 24), null=odds_ratios)
def test_split_evidence_of_a_block_has_mean_one_at_the_null(
    n1: int, n0: int, bad: int, null: float
) -> None:
    margins = Margins(n1, n0, min(bad, n1 + n0))

    means = _mean_split_e(margins, null=null, truth=null)

    assert means == pytest.approx([1.0] * len(WORSE), rel=1e-9)


@given(n1=sides, n0=sides, bad=st.integers(0, 24), truth=st.floats(0.05, 1.25))
def test_split_evidence_of_a_candidate_within_its_limit_has_mean_one_at_most(
    n1: int, n0: int, bad: int, truth: float
) -> None:
    margins = Margins(n1, n0, min(bad, n1 + n0))

    means = _mean_split_e(margins, null=1.25, truth=truth)

    assert max(means) <= 1 + 1e-9


@given(
    n=st.integers(1, 40), share=st.floats(0.0005, 0.2), limit=st.sampled_from([0.005, 0.01, 0.2])
)
def test_level_evidence_has_mean_one_at_the_limit_and_less_below(
    n: int, share: float, limit: float
) -> None:
    truth = min(share, limit)
    means = [0.0] * len(WORSE)
    for x in range(n + 1):
        probability = comb(n, x) * truth**x * (1 - truth) ** (n - x)
        logs = Level(limit, WORSE).logs(n, x)
        means = [mean + probability * exp(value) for mean, value in zip(means, logs, strict=True)]

    assert max(means) <= 1 + 1e-9
    if truth == limit:
        assert means == pytest.approx([1.0] * len(WORSE), rel=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_mixed_evidence_over_blocks_has_mean_one_at_most_whatever_the_base_rate(
    share: float,
) -> None:
    """All outcomes of three blocks of 2 + 2; base rates differ, late mass starts in between."""
    means = 0.0
    outcomes = list(product(range(3), repeat=2))
    rates = [share, share / 2, share]
    for blocks in product(outcomes, repeat=3):
        test, probability = SplitTest(1.0, grid=WORSE, late=LATE_MASS), 1.0
        for index, (x1, x0) in enumerate(blocks):
            if index == 1:
                test.settled().release(1)
            test.observe(Counts(2, x1, 2, x0), 1.0)
            rate = rates[index]
            for x in (x1, x0):
                probability *= comb(2, x) * rate**x * (1 - rate) ** (2 - x)
        means += probability * exp(test.settled().log_e)

    # 0.7 began at once and 0.12 later: the rest of the late mass has not begun.
    assert 0.7 <= means <= 1 + 1e-9


def test_late_mass_never_sums_to_more_than_was_kept_back() -> None:
    mixture = Mixture(WORSE, late=LATE_MASS)

    for starts in (1, 2, 3, 10, 1000, 10**6):
        mixture.release(starts)

    assert 0.95 < exp(mixture.log_e) <= 1


def test_tempering_shrinks_evidence_towards_none() -> None:
    mixture = Mixture(((100.0, 1.0),), late=0.0)
    mixture.multiply([12.0], 1.0)

    mixture.temper(0.25)

    assert mixture.log_e == pytest.approx(3.0)


@given(
    n1=st.integers(0, 5000),
    n0=st.integers(0, 100_000),
    share1=st.floats(0, 1),
    share0=st.floats(0, 1),
)
def test_evidence_is_finite_for_any_block(n1: int, n0: int, share1: float, share0: float) -> None:
    block = Counts(n1, int(n1 * share1), n0, int(n0 * share0))

    for null, grid in ((1.25, WORSE), (1.5, BETTER)):
        logs = split_logs(block, null=null, grid=grid)
        assert all(isfinite(value) for value in logs)


@given(
    n1=st.integers(1, 30), n0=st.integers(1, 30), bad=st.integers(0, 60), odds=st.floats(1e-3, 1e6)
)
def test_partition_sum_equals_its_definition(n1: int, n0: int, bad: int, odds: float) -> None:
    bad = min(bad, n1 + n0)
    support = range(max(0, bad - n0), min(n1, bad) + 1)
    exact = log(sum(comb(n1, x) * comb(n0, bad - x) * odds**x for x in support))

    assert log_partition(Margins(n1, n0, bad), odds) == pytest.approx(exact, abs=1e-9)


@given(n1=sides, n0=st.integers(1, 60), bad=st.integers(0, 70), odds=st.floats(1e-3, 1e6))
def test_small_blocks_are_summed_to_the_same(n1: int, n0: int, bad: int, odds: float) -> None:
    margins = Margins(n1, n0, min(bad, n1 + n0))

    assert log_partitions(margins, [odds])[0] == pytest.approx(
        log_partition(margins, odds), abs=1e-9
    )


def test_remembered_blocks_weigh_the_same_as_fresh_ones() -> None:
    test, block = SplitTest(1.25, grid=WORSE), Counts(3, 2, 9, 1)
    start = list(test.settled().logs)

    test.observe(block, 1.0)
    once = [value - was for value, was in zip(test.settled().logs, start, strict=True)]
    test.observe(block, 1.0)
    twice = [value - was for value, was in zip(test.settled().logs, start, strict=True)]

    assert once == pytest.approx(split_logs(block, null=1.25))
    assert twice == pytest.approx([2 * value for value in once])


def test_level_evidence_does_not_depend_on_how_counts_are_cut() -> None:
    fine, coarse = LevelTest(0.01, grid=WORSE), LevelTest(0.01, grid=WORSE)

    for _ in range(10):
        fine.observe(Counts(10, 1, 0, 0), 0.5)
        fine.settled()
    coarse.observe(Counts(100, 10, 0, 0), 0.5)

    assert fine.settled().logs == pytest.approx(coarse.settled().logs)


def test_e_values_are_merged_by_their_mean() -> None:
    assert mean_log_e([log(300), log(1), log(1), log(2)]) == pytest.approx(log(76))
