"""Latency gates: off unless asked, blind to a pod's first half minute, quick where they can be."""

import random

import pytest

from slipway_api.analysis import Analysis, Metric
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.guard import TICK_S, Guard
from slipway_operator.engine.latency import Latencies, Tail
from slipway_operator.engine.questions import questions
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, attempt, feed, guard

P95 = Analysis(metrics=[Metric(name="latency-p95", max_increase="20%")])
P95_MAX = Analysis(metrics=[Metric(name="latency-p95", max="100ms")])


def _run(
    judge: Guard, *, factor: float, seconds: float, seed: int = 1, is_old: bool = True
) -> float | None:
    """Lognormal latencies around 50 ms (95 %: 114 ms), 20 + 80 answers a second."""
    source = random.Random(seed)
    hosts = {CANDIDATE: ["candidate-0"], STABLE: ["stable-0", "stable-1"]}
    for host in (*hosts[CANDIDATE], *hosts[STABLE]):
        judge.pods_started(host, START_S - (3600 if is_old else 0))
    for tick in range(int(seconds / TICK_S)):
        now_s = START_S + (tick + 1) * TICK_S
        attempts = []
        for revision, count, slower in ((CANDIDATE, 5, factor), (STABLE, 20, 1.0)):
            for index in range(count):
                took_s = slower * source.lognormvariate(-3.0, 0.5)
                key, host = f"{revision}-{tick}-{index}", source.choice(hosts[revision])
                attempts.append(
                    attempt(key, now_s - 0.1, revision=revision, took_s=took_s, host=host)
                )
        feed(judge, attempts, now_s)
        if judge.is_convicted:
            return (tick + 1) * TICK_S
    return None


def _state(judge: Guard) -> VerdictState:
    return judge.view().verdicts[-1].state


def test_latency_is_not_judged_unless_asked() -> None:
    assert [one.name for one in questions(Analysis())] == ["errors", "refusals"]
    assert _run(guard(), factor=10.0, seconds=60) is None


def test_a_slower_candidate_is_convicted() -> None:
    judge = guard(analysis=P95)

    seconds = _run(judge, factor=1.6, seconds=180)

    assert seconds is not None
    failed = judge.view().failed
    assert failed is not None
    assert failed.reason is Reason.LATENCY
    assert failed.message.startswith("candidate took more than 1.2 × stable's p95 (now ")


def test_a_candidate_as_fast_as_stable_passes() -> None:
    judge = guard(analysis=P95)

    assert _run(judge, factor=1.0, seconds=180) is None
    assert _state(judge) is VerdictState.PASS


def test_a_candidate_at_its_limit_is_not_convicted() -> None:
    for seed in range(5):
        assert _run(guard(analysis=P95), factor=1.19, seconds=120, seed=seed) is None


def test_the_first_half_minute_of_a_pod_does_not_count() -> None:
    judge = guard(analysis=P95)

    assert _run(judge, factor=5.0, seconds=29, is_old=False) is None
    assert judge.view().verdicts[-1].candidate_count == 0


def test_an_unknown_host_counts_as_new() -> None:
    judge = guard(analysis=P95_MAX)

    for second in range(60):
        feed(judge, [attempt(str(second), START_S + second, took_s=0.05)], START_S + second + 0.5)

    assert 25 <= judge.view().verdicts[-1].candidate_count <= 31


def test_an_absolute_limit_needs_no_comparison() -> None:
    slow, fast = guard(analysis=P95_MAX), guard(analysis=P95_MAX)

    assert _run(slow, factor=1.0, seconds=180) is not None
    assert _run(fast, factor=0.5, seconds=180) is None
    failed = slow.view().failed
    assert failed is not None
    assert failed.reason is Reason.LIMIT_EXCEEDED
    assert "candidate took more than 100 ms in " in failed.message
    assert _state(fast) is VerdictState.PASS


def test_failed_answers_have_no_latency() -> None:
    judge = guard(analysis=P95_MAX)
    judge.pods_started("candidate-0", 0.0)

    slow = [attempt(str(n), START_S, took_s=5.0, status=404, host="candidate-0") for n in range(9)]
    feed(judge, slow, START_S + 1)

    assert judge.view().verdicts[-1].candidate_count == 0


def test_stable_must_have_answered_often_enough_for_the_quantile() -> None:
    tail = Tail(0.99, increase=0.2)

    for _ in range(9):
        assert tail.count(Latencies([1.0], [0.1] * 10, []), span_s=0.0)[0].candidate == 0
    tail.count(Latencies([1.0], [0.1] * 11, []), span_s=0.0)

    assert tail.tau_s == pytest.approx(0.1, rel=0.06)


def test_the_limit_follows_stable() -> None:
    tail = Tail(0.5, increase=0.2)

    for latency_s in (0.1, 0.3):
        for _ in range(600):
            tail.count(Latencies([], [latency_s] * 5, [latency_s] * 5), span_s=0.25)

    assert tail.tau_s == pytest.approx(0.3, rel=0.06)
