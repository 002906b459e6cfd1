"""Weight 100 with stable kept warm: the candidate is held to what stable showed before.

After the switch stable gets nothing but what the candidate could not answer (its stand-ins).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from slipway_api.analysis import Analysis, Metric
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.guard import TICK_S, Guard
from slipway_operator.engine.verdicts import Verdict
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, attempt, feed, guard

Share = Callable[[float], float]  # of seconds since the switch

P95 = Analysis(metrics=[Metric(name="latency-p95", max_increase="20%")])


@dataclass(frozen=True)
class Switch:
    """Even traffic, all of it stable's for `before_s`, then all of it the candidate's.

    `failed` and `refused` are stable's shares; `now_failed` and `now_refused` the candidate's.
    Every failed request of the candidate is tried at stable once more, where half of them fail.
    """

    rate_hz: float
    before_s: float = 60.0
    failed: float = 0.001
    refused: float = 0.0
    now_failed: Share = lambda _: 0.001
    now_refused: Share = lambda _: 0.0
    slowness: float = 1.0

    def tick(self, number: int, source: random.Random) -> list[Attempt]:
        """All that ends in a tick after the start; it ends at `number` ticks."""
        due, sent = int(number * self.rate_hz * TICK_S), int((number - 1) * self.rate_hz * TICK_S)
        now_s = number * TICK_S
        found: list[Attempt] = []
        for index in range(sent, due):
            if now_s <= self.before_s:
                shares = (self.failed, self.refused)
                found.append(_draw(source, index, now_s, revision=STABLE, shares=shares))
                continue
            since_s = now_s - self.before_s
            shares = (self.now_failed(since_s), self.now_refused(since_s))
            one = _draw(source, index, now_s, revision=CANDIDATE, shares=shares)
            found.append(replace(one, duration_s=self.slowness * (one.duration_s or 0.0)))
            if one.http_status == 500:
                stand_in = _draw(source, index, now_s, revision=STABLE, shares=(0.5, 0.0))
                found.append(replace(stand_in, key=f"stand-in-{index}"))
        return found

    def run(self, judge: Guard, seconds: float, *, seed: int = 1) -> float | None:
        """Feed a guard; return when it convicted, in seconds since the switch, or None."""
        source = random.Random(seed)
        for number in range(1, int((self.before_s + seconds) / TICK_S) + 1):
            now_s = number * TICK_S
            weight = 0 if now_s <= self.before_s else 100
            feed(judge, self.tick(number, source), START_S + now_s, weight_percent=weight)
            if judge.is_convicted:
                return now_s - self.before_s
        return None


def _draw(
    source: random.Random, index: int, now_s: float, *, revision: str, shares: tuple[float, float]
) -> Attempt:
    failed, refused = shares
    drawn = source.random()
    status = 500 if drawn < failed else 400 if drawn < failed + refused else 200
    return attempt(
        str(index),
        START_S + now_s - 0.2,
        revision=revision,
        status=status,
        took_s=source.lognormvariate(-4.0, 0.5),
        host=f"{revision}-{index % 2}",
    )


def _verdict(judge: Guard, gate: str) -> Verdict:
    return next(one for one in judge.view().verdicts if one.gate == gate)


def _delays_s(world: Switch, seconds: float = 30.0) -> list[float]:
    found = [world.run(guard(), seconds, seed=seed) for seed in range(20)]
    return [seconds if one is None else one for one in found]


@pytest.mark.parametrize(
    ("rate_hz", "before_s", "median_s", "slowest_s"),
    [
        (5, 600, 3.5, 6.0),  # about fifteen attempts, however long they take
        (20, 60, 1.0, 2.0),
        (50, 60, 0.5, 0.75),
        (200, 10, 0.25, 0.25),
        (5, 0, 8.0, 12.0),  # nobody has seen stable
        (50, 0, 0.75, 1.25),
        (200, 0, 0.25, 0.5),
    ],
)
def test_a_candidate_that_fails_half_of_everything_falls_at_once(
    rate_hz: float, before_s: float, median_s: float, slowest_s: float
) -> None:
    world = Switch(rate_hz, before_s, now_failed=lambda _: 0.5)

    delays_s = _delays_s(world)

    assert np.median(delays_s) <= median_s
    assert max(delays_s) <= slowest_s


@pytest.mark.parametrize(
    ("rate_hz", "before_s", "slowest_s"),
    [(5, 60, 2.5), (200, 60, 0.25), (5, 0, 3.5), (200, 0, 0.5)],
)
def test_a_candidate_that_refuses_everything_falls_at_once(
    rate_hz: float, before_s: float, slowest_s: float
) -> None:
    judge = guard()

    delay_s = Switch(rate_hz, before_s, now_refused=lambda _: 1.0).run(judge, 60)

    assert delay_s is not None
    assert delay_s <= slowest_s
    failed = judge.view().failed
    assert failed is not None
    assert failed.reason is Reason.REFUSALS


def test_failures_that_grow_slowly_are_seen_before_they_are_many() -> None:
    """A tenth of a per cent at the switch, five per cent ten minutes later."""
    world = Switch(50, now_failed=lambda since_s: 0.001 + 0.05 * since_s / 600)

    for seed in range(5):
        delay_s = world.run(guard(), 900, seed=seed)
        assert delay_s is not None
        assert delay_s < 400


def test_doubled_latency_is_seen_against_what_stable_took() -> None:
    judge = guard(analysis=P95)

    delay_s = Switch(50, slowness=2.0).run(judge, 120)

    assert delay_s is not None
    failed = judge.view().failed
    assert failed is not None
    assert failed.reason is Reason.LATENCY


def test_equal_latency_passes_against_what_stable_took() -> None:
    judge = guard(analysis=P95)

    assert Switch(50).run(judge, 600) is None
    assert VerdictState.PASS is _verdict(judge, "latency-p95").state


def test_a_latency_that_nobody_measured_before_is_said_to_be_unknown() -> None:
    judge = guard(analysis=P95)

    Switch(50, before_s=0.0).run(judge, 60)

    verdict = _verdict(judge, "latency-p95")
    assert VerdictState.INSUFFICIENT is verdict.state
    assert verdict.message.startswith("how long stable takes is not known")


@pytest.mark.parametrize("before_s", [60.0, 600.0])
def test_what_clients_did_wrong_before_and_after_is_not_the_candidates_fault(
    before_s: float,
) -> None:
    judge, world = guard(), Switch(50, before_s, refused=0.05, now_refused=lambda _: 0.05)

    assert world.run(judge, 1200) is None
    assert {VerdictState.PASS} == {verdict.state for verdict in judge.view().verdicts}


def test_a_conviction_says_what_stable_showed_before() -> None:
    judge = guard()

    Switch(200, failed=0.0, now_failed=lambda _: 1.0).run(judge, 10)

    failed = judge.view().failed
    assert failed is not None
    assert "stable 0 of 12000 (0 %) before: limit 1 %" in failed.message
    assert "attempts (100 %)" in failed.message


def test_what_failed_at_the_stand_in_is_not_held_against_stable() -> None:
    """Half the requests that the candidate failed fail at stable, too: they were picked so."""
    seldom = Switch(50, now_failed=lambda _: 0.009)
    judge = guard()

    assert seldom.run(judge, 600) is None

    verdict = _verdict(judge, "errors")
    assert verdict.candidate_bad_count > 100
    assert (50 * 60, 5) >= (verdict.stable_count, verdict.stable_bad_count)


def test_a_restart_after_the_switch_forgets_nothing_of_stable() -> None:
    """Without what stable showed, ten per cent would be allowed."""
    judge, source = guard(), random.Random(1)
    world = Switch(50, before_s=600, now_failed=lambda _: 0.04)
    for number in range(1, 2404):
        now_s = number * TICK_S
        attempts, weight = world.tick(number, source), 0 if number <= 2400 else 100
        feed(judge, attempts, START_S + now_s, weight_percent=weight)

    restored = guard(evidence=judge.view().evidence)
    for number in range(2404, 2404 + 480):
        attempts = world.tick(number, source)
        feed(restored, attempts, START_S + number * TICK_S, weight_percent=100)

    assert restored.is_convicted


def test_stable_speaks_for_itself_again_as_soon_as_it_has_traffic() -> None:
    """Both fail as often: what only the past held against the candidate is no comparison."""
    judge, source = guard(), random.Random(1)
    for number in range(1, 1200):
        weight = 100 if 400 < number <= 402 else 50
        share = 0.0 if number <= 402 else 0.3
        attempts = [
            _draw(
                source, 20 * number + index, number * TICK_S, revision=revision, shares=(share, 0)
            )
            for index in range(20)
            for revision in ((CANDIDATE,) if weight == 100 else (CANDIDATE, STABLE))
        ]
        feed(judge, attempts, START_S + number * TICK_S, weight_percent=weight)

    assert not judge.is_convicted


def test_mirrored_copies_at_weight_0_are_compared_with_what_stable_answered() -> None:
    judge, source = guard(), random.Random(1)
    number = 0
    while not judge.is_convicted:
        number += 1
        attempts = [
            _draw(
                source, 10 * number + index, number * TICK_S, revision=revision, shares=(share, 0)
            )
            for index in range(5)
            for revision, share in ((CANDIDATE, 0.5), (STABLE, 0.001))
        ]
        feed(judge, attempts, START_S + number * TICK_S, weight_percent=0)

    assert number * TICK_S <= 2.0


def test_a_candidate_without_requests_is_said_to_have_none() -> None:
    judge = guard()

    Switch(50, before_s=60).run(judge, 0)

    assert {VerdictState.INSUFFICIENT} == {verdict.state for verdict in judge.view().verdicts}
    assert _verdict(judge, "errors").message.startswith(
        "no candidate requests in this step yet, stable had 3000"
    )
