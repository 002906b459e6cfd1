"""Whole rollouts, simulated with a seed: how often healthy candidates fall, how fast sick ones do.

What is simulated: 200 rollouts of one hour each per set, ten requests a second in all (fewer where
errors are many), twenty minutes each at 5, 10 and 20 % weight; candidate and stable are equally
good. Errors come as independent draws or in clumps (runs of consecutive attempts at one host, of
geometric length), with bursts common to both sides (30 s at 50 %). Arrivals are even, so blocks are
known beforehand: only blocks with errors are handed to the panel one by one, all between two of
them as one. Closing, clumping, evidence and the conviction are the guard's own code; parsing of
attempts, ticks and halving by host are left out here, and compared in the last test.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from slipway_api.analysis import Analysis
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.clumping import Sample
from slipway_operator.engine.guard import TICK_S
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.panel import Panel
from slipway_operator.engine.questions import questions
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, Stream, attempt, feed, guard

ROLLOUTS = 200
ABORTS_MAX = 2


class Phase(NamedTuple):
    """Even traffic at one weight: attempts per block at the candidate and at both stable hosts."""

    candidate: int
    hosts: tuple[int, int]
    block_s: float


# 5, 10 and 20 % of ten requests a second; each block is as short as two attempts a side allow.
PHASES = (Phase(2, (19, 19), 4.0), Phase(2, (9, 9), 2.0), Phase(2, (4, 4), 1.0))
# The more errors, the fewer requests: enough to be wrong about, and each error costs time.
SLOWNESS = {0.001: 1, 0.01: 2, 0.05: 4}
EVEN = (Phase(2, (4, 4), 1.0), Phase(2, (1, 2), 0.5))
PHASE_S = 1200.0
BURSTS_S = (300.0, 900.0)

Errors = NDArray[np.bool_]


def _independent(source: np.random.Generator, shape: tuple[int, int], *, share: float) -> Errors:
    return source.random(shape) < share


def _clumps(
    source: np.random.Generator, shape: tuple[int, int], *, share: float, size: float
) -> Errors:
    """Runs of errors at one host, of mean length `size`, `share` of all attempts."""
    errors = np.zeros(shape[0] * shape[1], dtype=bool)
    begins = np.flatnonzero(source.random(errors.size) < share / size)
    for begin, length in zip(begins, source.geometric(1 / size, begins.size), strict=True):
        errors[begin : begin + length] = True
    return errors.reshape(shape)


def _with_bursts(source: np.random.Generator, errors: Errors, block_s: float) -> Errors:
    for begin_s in BURSTS_S:
        burst = slice(int(begin_s / block_s), int((begin_s + 30) / block_s))
        errors[burst] |= source.random(errors[burst].shape) < 0.5
    return errors


def _hosts(
    source: np.random.Generator, phase: Phase, *, share: float, clump: float | None
) -> list[Errors]:
    """Errors by block and attempt, common bursts included."""
    hosts = _quiet_hosts(source, phase, share=share, clump=clump, span_s=PHASE_S)
    return [_with_bursts(source, errors, phase.block_s) for errors in hosts]


def _quiet_hosts(
    source: np.random.Generator, phase: Phase, *, share: float, clump: float | None, span_s: float
) -> list[Errors]:
    """Errors by block and attempt: of the candidate and of both stable hosts."""
    count = int(span_s / phase.block_s)
    hosts = []
    for attempts in (phase.candidate, *phase.hosts):
        if clump is None:
            errors = _independent(source, (count, attempts), share=share)
        else:
            errors = _clumps(source, (count, attempts), share=share, size=clump)
        hosts.append(errors)
    return hosts


def _onsets(errors: Errors) -> Errors:
    """Errors whose forerunner at the same host was none."""
    onsets: Errors = errors.copy().ravel()
    onsets[1:] &= ~errors.ravel()[:-1]
    return onsets.reshape(errors.shape)


def _blocks(phase: Phase, hosts: list[Errors]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (index of its last block, number of blocks, errors and onsets), calm ones joined."""
    kinds = [*hosts, *map(_onsets, hosts)]
    bad = np.stack([errors.sum(axis=1) for errors in kinds], axis=1)
    last = -1
    for index in np.flatnonzero(bad.sum(axis=1)).tolist():
        if index - last > 1:
            yield index - 1, index - last - 1, [0] * len(kinds)
        yield index, 1, bad[index].tolist()
        last = index


def _judge(panel: Panel, phase: Phase, hosts: list[Errors], *, begin_s: float) -> float | None:
    """Hand one phase to the panel; return when it convicted."""
    gate, n, (half, other) = panel.gates[0], phase.candidate, phase.hosts
    for index, count, bad in _blocks(phase, hosts):
        # Just before the end of a second, as ticks are: a block belongs to one second only.
        now_s = begin_s + (index + 1) * phase.block_s - 0.1
        sample, onsets = (
            Sample(
                Counts(n * count, x, (half + other) * count, y + z),
                (half * count, y, other * count, z),
            )
            for x, y, z in (bad[:3], bad[3:])
        )
        gate.add(sample, onsets=onsets, now_s=now_s)
        span_s, is_alone = count * min(1.0, phase.block_s), not half + other
        if gate.close(now_s, may_pass=True, is_alone=is_alone, span_s=span_s):
            panel.judge(now_s)
            if panel.conviction is not None:
                return now_s + 0.1
    return None


def _judged_s(phase: Phase, hosts: list[Errors]) -> tuple[float | None, Panel]:
    panel = Panel(questions(Analysis()), phi=None)
    return _judge(panel, phase, hosts, begin_s=0.0), panel


def _abort_s(
    source: np.random.Generator, *, share: float, clump: float | None, phi: float | None
) -> tuple[float | None, float]:
    """Run one healthy rollout; return when it was aborted, and the clumping it measured."""
    panel = Panel(questions(Analysis()), phi=phi)
    for number, fast in enumerate(PHASES):
        phase = fast._replace(block_s=fast.block_s * SLOWNESS[share])
        hosts = _hosts(source, phase, share=share, clump=clump)
        at_s = _judge(panel, phase, hosts, begin_s=number * PHASE_S)
        if at_s is not None:
            return at_s, panel.phi
    return None, panel.phi


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_healthy_rollouts_with_common_bursts_are_not_aborted(share: float) -> None:
    """Each is the first rollout of its service: nothing is known about its clumping."""
    source = np.random.default_rng(20)

    runs = [_abort_s(source, share=share, clump=None, phi=None) for _ in range(ROLLOUTS)]

    assert sum(at_s is not None for at_s, _ in runs) <= ABORTS_MAX


@pytest.mark.parametrize(("share", "clump"), [(0.001, 3.0), (0.01, 3.0), (0.05, 3.0)])
def test_first_rollouts_of_clumpy_services_are_not_aborted(share: float, clump: float) -> None:
    """Errors in clumps, and the bursts besides; nothing is known from earlier rollouts."""
    source = np.random.default_rng(20)

    runs = [_abort_s(source, share=share, clump=clump, phi=None) for _ in range(ROLLOUTS)]

    assert sum(at_s is not None for at_s, _ in runs) <= ABORTS_MAX


def test_later_rollouts_of_a_clumpy_service_are_not_aborted() -> None:
    """Each starts from the clumping that the one before measured."""
    source = np.random.default_rng(20)
    aborts, phi = 0, None

    for _ in range(ROLLOUTS):
        at_s, phi = _abort_s(source, share=0.001, clump=3.0, phi=phi)
        aborts += at_s is not None

    assert aborts <= ABORTS_MAX
    assert phi is not None
    assert phi > 2


# All of ten requests a second go to stable, then to the candidate.
BEFORE, ALONE = Phase(0, (5, 5), 1.0), Phase(2, (0, 0), 0.2)
ALONE_S = 3600.0


def _aborts_alone(
    source: np.random.Generator, *, share: float, clump: float | None, before_s: float
) -> bool:
    """Run one healthy rollout whose candidate gets everything after some time; is it aborted?"""
    panel, begin_s = Panel(questions(Analysis()), phi=None), 0.0
    for phase, span_s in ((BEFORE, before_s), (ALONE, ALONE_S)):
        slow = phase._replace(block_s=phase.block_s * SLOWNESS[share])
        hosts = _quiet_hosts(source, slow, share=share, clump=clump, span_s=span_s)
        if _judge(panel, slow, hosts, begin_s=begin_s) is not None:
            return True
        begin_s += span_s
    return False


@pytest.mark.parametrize(
    ("share", "clump", "before_s"),
    [
        (0.001, None, 0.0),
        (0.001, 3.0, 0.0),
        (0.01, None, 20.0),
        (0.01, 3.0, 20.0),
        (0.05, None, 20.0),
        (0.05, 3.0, 20.0),
        (0.05, 3.0, 1200.0),
    ],
)
def test_healthy_candidates_that_have_everything_are_not_aborted_for_hours(
    share: float, clump: float | None, before_s: float
) -> None:
    """As good as stable, which was seen long, shortly or not at all; first rollouts, all of them.

    Common bursts are left out: with nobody to compare, they are the candidate's.
    """
    source = np.random.default_rng(20)

    aborts = sum(
        _aborts_alone(source, share=share, clump=clump, before_s=before_s) for _ in range(ROLLOUTS)
    )

    assert aborts <= ABORTS_MAX


def _dead_s(candidate_hz: int, stable_hz: int, *, good_s: float = 0.0) -> float:
    """Seconds from the candidate's first error to its conviction; all arrivals are even."""
    judge, sent = guard(), [0, 0]
    for tick in range(1, int((good_s + 20) / TICK_S)):
        now_s, attempts = START_S + tick * TICK_S, list[Attempt]()
        for side, (revision, rate_hz) in enumerate(
            ((CANDIDATE, candidate_hz), (STABLE, stable_hz))
        ):
            while sent[side] < int(rate_hz * tick * TICK_S):
                sent[side] += 1
                status = 503 if side == 0 and tick * TICK_S > good_s else 200
                key, host = f"{side}-{sent[side]}", f"{revision}-{sent[side] % 2}"
                attempts.append(
                    attempt(key, now_s - 0.1, revision=revision, status=status, host=host)
                )
        feed(judge, attempts, now_s)
        if judge.is_convicted:
            return tick * TICK_S - good_s
    raise AssertionError("never convicted")


@pytest.mark.parametrize("stable_hz", [10, 30, 190])
def test_a_dead_candidate_at_ten_requests_a_second_falls_within_a_second(stable_hz: int) -> None:
    assert _dead_s(10, stable_hz) <= 1.0


def test_a_candidate_that_breaks_after_a_good_hour_falls_within_five_seconds() -> None:
    assert _dead_s(10, 10, good_s=3600.0) <= 5.0


def test_random_arrivals_and_errors_of_stable_do_not_change_that() -> None:
    delays_s = []
    for seed in range(10):
        delay_s = Stream(200, 5, seed=seed, base=0.01).run(guard(), 10)
        assert delay_s is not None
        delays_s.append(delay_s)
    late_s = Stream(20, 50, base=0.01, bad_from_s=3600).run(guard(), 3620)

    assert np.median(delays_s) <= 1.0
    assert max(delays_s) <= 2.0
    assert late_s is not None
    assert 0 < late_s - 3600 <= 5.0


@pytest.mark.parametrize("phase", EVEN)
@pytest.mark.parametrize("seed", range(3))
def test_the_simulation_convicts_when_the_whole_guard_does(phase: Phase, seed: int) -> None:
    """The same errors of a sick candidate: as joined blocks, and as attempts tick by tick."""
    source = np.random.default_rng(seed)
    hosts = _hosts(source, phase, share=0.02, clump=2.0)
    hosts[0] |= source.random(hosts[0].shape) < 0.15

    judged_s, panel = _judged_s(phase, hosts)
    judge, errors = guard(), [one.ravel() for one in hosts]
    sent, tick = [0, 0, 0], 0
    while not judge.is_convicted:
        tick += 1
        now_s, attempts = START_S - 0.1 + tick * TICK_S, list[Attempt]()
        for index, host in enumerate(("candidate-0", "stable-0", "stable-1")):
            due = int(hosts[index].shape[1] * tick * TICK_S / phase.block_s)
            for number in range(sent[index], due):
                revision = STABLE if index else CANDIDATE
                status = 500 if errors[index][number] else 200
                key = f"{index}-{number}"
                attempts.append(
                    attempt(key, now_s - 0.05, revision=revision, status=status, host=host)
                )
            sent[index] = due
        feed(judge, attempts, now_s)

    assert panel.conviction is not None
    assert judge.phi == pytest.approx(panel.phi, rel=1e-2)
    assert tick * TICK_S == judged_s
