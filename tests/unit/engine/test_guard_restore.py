"""A restart of the operator resets no test: the guard's memory is text in status."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slipway_api.analysis import Analysis, Metric
from slipway_api.conditions import VerdictState
from slipway_operator.engine.evidence import SIZE_MAX
from slipway_operator.engine.guard import TICK_S, Guard
from tests.unit.engine.streams import START_S, Stream, attempt, feed, guard

EVERYTHING = Analysis(
    metrics=[
        Metric(name="error-rate", max="1%", max_increase="10%"),
        Metric(name="latency-p50", max="200ms", max_increase="20%"),
        Metric(name="latency-p90", max="200ms", max_increase="20%"),
        Metric(name="latency-p95", max="200ms", max_increase="20%"),
        Metric(name="latency-p99", max="200ms", max_increase="20%"),
    ]
)

HEAD = '{"v":3,"rollout":"rollout-1","weight":5,"spent":[0,0,0],'

# Sooner by the time of one clump, which may be counted as two: 2.5 s at most in 15,000 restarts.
SOONER_S_MAX = 4.0


def _restarted(judge: Guard, *, analysis: Analysis | None = None) -> Guard:
    return guard(evidence=judge.view().evidence, analysis=analysis)


def _convicted_s(stream: Stream, *, restart_s: float | None) -> float:
    judge = guard()
    for tick in range(2400):
        if restart_s is not None and tick == round(restart_s / TICK_S):
            judge = _restarted(judge)
        feed(judge, stream.tick(), stream.now_s, weight_percent=stream.weight_percent)
        if judge.is_convicted:
            return (tick + 1) * TICK_S
    raise AssertionError("never convicted")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), part=st.floats(0.05, 0.95))
@example(seed=43, part=0.375)
@example(seed=675, part=0.155)
def test_a_restart_among_failures_does_not_delay_the_conviction(seed: int, part: float) -> None:
    """A clump of failures that a restart cuts in two counts as two: that may be a little sooner."""

    def sick() -> Stream:
        # A tenth of candidate attempts fails, of those of stable none.
        return Stream(100, 20, seed=seed, bad_from_s=1e9)

    def run(restart_s: float | None) -> float:
        stream = sick()
        judge = guard()
        for tick in range(2400):
            if restart_s is not None and tick == round(restart_s / TICK_S):
                judge = _restarted(judge)
            attempts = [
                attempt(one.key, one.began_at_s, revision=one.revision, host=one.host, status=500)
                if one.host == "candidate-0" and stream.source.random() < 0.1
                else one
                for one in stream.tick()
            ]
            feed(judge, attempts, stream.now_s, weight_percent=20)
            if judge.is_convicted:
                return (tick + 1) * TICK_S
        raise AssertionError("never convicted")

    whole_s = run(None)

    assert whole_s - SOONER_S_MAX <= run(part * whole_s) <= whole_s


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_in_the_good_time_does_not_delay_the_conviction(seed: int) -> None:
    """Stable fails too; only the halves of stable's last minute are lost in a restart."""
    delays_s = [
        _convicted_s(Stream(100, 20, seed=seed, base=0.01, bad_from_s=100.0), restart_s=restart_s)
        for restart_s in (None, 50.0, 100.0)
    ]

    assert max(delays_s) - min(delays_s) <= TICK_S


def test_a_pass_survives_a_restart() -> None:
    judge = guard()
    Stream(200, 50, candidate_status=200).run(judge, 20)

    restored = _restarted(judge)
    feed(restored, [], START_S + 21)

    assert {one.state for one in restored.view().verdicts} == {VerdictState.PASS}


def test_a_conviction_survives_a_restart_word_by_word() -> None:
    judge = guard()
    Stream(200, 5).run(judge, 5)

    restored = _restarted(judge)

    assert restored.view().failed == judge.view().failed is not None


def test_clumping_survives_a_restart() -> None:
    judge, stream = guard(), Stream(100, 20, base=0.05, bad_from_s=1e9)
    stream.run(judge, 120)

    assert _restarted(judge).phi == pytest.approx(judge.phi, rel=1e-4)


def test_the_next_rollout_starts_from_the_clumping_that_was_measured() -> None:
    clumpy, calm = guard(phi=5.0), guard(phi=5.0)
    Stream(100, 20, base=0.05, bad_from_s=1e9).run(clumpy, 120)
    Stream(100, 20, candidate_status=200).run(calm, 120)

    assert clumpy.phi < 2.0  # failures of this stream are independent
    assert calm.phi == 5.0  # no failure, nothing learnt


def test_stable_latency_survives_a_restart() -> None:
    judge = guard()
    Stream(200, 5, candidate_status=200).run(judge, 20)
    before_s = judge.view().stable_latency_s_p999

    restored = _restarted(judge)

    assert before_s is not None
    assert restored.view().stable_latency_s_p999 == pytest.approx(before_s, rel=1e-4)


def test_evidence_of_another_rollout_is_none() -> None:
    judge = guard()
    Stream(200, 5).run(judge, 5)
    other = judge.view().evidence.replace("rollout-1", "rollout-2")

    assert not guard(evidence=other).is_convicted


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"v":1}', '{"v":0,"rollout":"rollout-1"}',
     HEAD + '"gates":{"errors":[[1]]},"p999":null,"fail":null}',
     HEAD + '"gates":[],"p999":null,"fail":null}',
     HEAD + '"gates":{},"p999":null,"fail":["errors","Odd"]}'],
)  # fmt: skip
def test_evidence_that_cannot_be_read_starts_the_guard_anew(text: str) -> None:
    judge = guard(evidence=text)

    assert Stream(200, 5).run(judge, 5) is not None


def test_a_gate_that_asks_something_else_now_starts_anew_but_for_what_it_knows_of_stable() -> None:
    judge = guard()
    Stream(200, 50, base=0.2, bad_from_s=1e9).run(judge, 10)
    tighter = Analysis(metrics=[Metric(name="error-rate", max_increase="5%")])

    changed = _restarted(judge, analysis=tighter)
    errors, refusals = changed.view().verdicts

    assert errors.candidate_count == 0
    assert refusals.candidate_count > 0
    # A fifth of stable's failed: the same share at weight 100 is no harm.
    assert Stream(200, 100, base=0.2, bad_from_s=1e9).run(changed, 60) is None


def test_evidence_of_every_gate_stays_below_its_bound() -> None:
    judge = guard(analysis=EVERYTHING)
    for index in range(3):
        judge.pods_started(f"stable-{index}", 0.0)
    judge.pods_started("candidate-0", 0.0)
    stream = Stream(2000, 30, base=0.02, bad_from_s=30.0)
    stream.candidate_status = 400
    stream.run(judge, 60)

    text = judge.view().evidence

    assert judge.is_convicted
    assert len(judge.view().verdicts) == 11
    assert len(text.encode()) < SIZE_MAX
    assert json.loads(text)["v"] == 3


def test_evidence_without_metrics_is_small() -> None:
    judge = guard()
    Stream(200, 20, base=0.01, bad_from_s=1e9).run(judge, 60)

    assert len(judge.view().evidence) < 1280
