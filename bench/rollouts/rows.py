"""What the ledger of a run proves: a row for each protocol, and what was promised and missed.

Pure: rows come from a ledger's lines and the tables of promises, so anybody can compute them again.

Definitions. All requests count that were sent from the change on. *Lost*, *client error* and
*wrong* are those of `bench.report`. Trouble begins with the first bad attempt at a candidate pod,
of either protocol (`bench.report.is_bad`), or with what was done to the candidate, whichever comes
first. The candidate is at zero after the last attempt at one of its pods, its last answer to a
client, and the last request that a router answered by a configuration under which the candidate
answered others. seconds_to_zero = from the one to the other, None if nothing was wrong or the
candidate was not taken back. seconds_total = from the change to the end that the status names.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeVar

from bench import ledger, report
from bench.rollouts import scenarios
from slipway_api.conditions import Outcome

PROTOCOLS: Final = ("rest", "grpc")
CANDIDATE: Final = "candidate"
ABORTED: Final = Outcome.ABORTED.value
PROMOTED: Final = Outcome.PROMOTED.value
MEMORY_MIB_MAX: Final = 120.0
READS_PER_S_MAX: Final = 0.5


class RowError(Exception):
    """A ledger holds no run; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run as the clients of one protocol saw it; `misses` is what was promised and not kept."""

    strategy: str
    scenario: str
    protocol: str
    requests: int
    lost: int
    client_errors: int
    wrong_answers: int
    seconds_to_zero: float | None
    seconds_total: float | None
    outcome: str | None
    reason: str | None
    pod_starts: int
    misses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CostRow:
    """What the operators took while nobody changed anything, and what of that was too much."""

    scenario: str
    deployments: int
    seconds: float
    writes: int
    reads_per_second: float
    lease_requests_per_second: float
    memory_mib: float
    processor_percent: float
    misses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reaction:
    """How long a scenario took to weight 0, over all of its runs and both protocols."""

    strategy: str
    scenario: str
    runs: int
    median_s: float
    worst_s: float
    misses: tuple[str, ...]


T = TypeVar("T")


def of_run(lines: Sequence[ledger.Line]) -> tuple[Row, ...]:
    """Compute a run's rows, one for each protocol; RowError if it did not come to its end."""
    run, begin = _only(lines, ledger.Run), _only(lines, ledger.RolloutBegin)
    end = _only(lines, ledger.RolloutEnd)
    attempts = [each for each in _of(lines, ledger.Attempt) if each.revision == end.candidate]
    requests = [each for each in _of(lines, ledger.Request) if each.sent >= begin.at]
    began = _trouble(attempts, _of(lines, ledger.Fault)) if end.outcome == ABORTED else None
    starts = {
        each.pod
        for each in _of(lines, ledger.PodStart)
        if each.revision == end.candidate and each.at >= begin.at
    }
    total = round(end.at - begin.at, 3)
    rows = []
    for protocol in PROTOCOLS:
        tried = [each for each in attempts if each.protocol == protocol]
        sent = [each for each in requests if each.protocol == protocol]
        to_zero = _seconds_to_zero(tried, sent, began=began, candidate=end.candidate)
        row = Row(
            strategy=run.strategy,
            scenario=run.scenario,
            protocol=protocol,
            **asdict(_tally(sent)),
            seconds_to_zero=to_zero,
            seconds_total=total,
            outcome=end.outcome,
            reason=end.reason,
            pod_starts=len(starts),
            misses=(),
        )
        rows.append(replace(row, misses=tuple(_misses(row, end, replicas=run.replicas))))
    return tuple(rows)


def of_cost(lines: Sequence[ledger.Line]) -> CostRow:
    """Compute the row of a cluster in which nothing happens; RowError if it was not watched."""
    run, cost = _only(lines, ledger.Run), _only(lines, ledger.Cost)
    reads = round(cost.reads / cost.seconds, 3)
    misses = []
    if cost.writes:
        misses.append(f"{cost.writes} writes, promised 0")
    if reads > READS_PER_S_MAX:
        misses.append(f"{reads} reads per second, promised {READS_PER_S_MAX}")
    if cost.memory_mib > MEMORY_MIB_MAX:
        misses.append(f"{cost.memory_mib} MiB, promised {MEMORY_MIB_MAX:g}")
    return CostRow(
        scenario=run.scenario,
        deployments=run.replicas,
        seconds=cost.seconds,
        writes=cost.writes,
        reads_per_second=reads,
        lease_requests_per_second=round(cost.lease_requests / cost.seconds, 3),
        memory_mib=cost.memory_mib,
        processor_percent=round(100 * cost.processor_s / cost.seconds, 2),
        misses=tuple(misses),
    )


def reactions(rows: Sequence[Row]) -> tuple[Reaction, ...]:
    """Sum up how long each scenario that promises it took to weight 0, in order of appearance."""
    kinds = dict.fromkeys((row.strategy, row.scenario) for row in rows)
    return tuple(
        _reaction(kind, [row for row in rows if (row.strategy, row.scenario) == kind])
        for kind in kinds
        if scenarios.scenario(kind[1]).reacts
    )


def _of(lines: Iterable[ledger.Line], kind: type[T]) -> list[T]:
    return [line for line in lines if isinstance(line, kind)]


def _only(lines: Iterable[ledger.Line], kind: type[T]) -> T:
    found = _of(lines, kind)
    if len(found) != 1:
        raise RowError(f"the ledger has {len(found)} lines {kind.__name__}, expected one")
    return found[0]


def _trouble(attempts: Sequence[ledger.Attempt], faults: Sequence[ledger.Fault]) -> float | None:
    """When the candidate began to be wrong; None if it never was."""
    bad = (attempt.at for attempt in attempts if report.is_bad(attempt))
    return min((*bad, *(fault.at for fault in faults if fault.part == CANDIDATE)), default=None)


def _seconds_to_zero(
    attempts: Sequence[ledger.Attempt],
    requests: Sequence[ledger.Request],
    *,
    began: float | None,
    candidate: str | None,
) -> float | None:
    if began is None:
        return None
    mixed = {each.config for each in requests if each.revision == candidate and each.config}
    last = max(
        (
            *(each.at for each in attempts),
            *(each.sent for each in requests if each.revision == candidate or each.config in mixed),
        ),
        default=began,
    )
    return round(max(0.0, last - began), 3)


@dataclass(frozen=True, slots=True)
class _Tally:
    requests: int
    lost: int
    client_errors: int
    wrong_answers: int


def _tally(requests: Sequence[ledger.Request]) -> _Tally:
    answered = [each for each in requests if each.received is not None]
    return _Tally(
        requests=len(requests),
        lost=len(requests) - len(answered),
        client_errors=sum(not report.is_good(each.status) for each in answered),
        wrong_answers=sum(each.wrong for each in requests),
    )


def _misses(row: Row, end: ledger.RolloutEnd, *, replicas: int) -> Iterable[str]:
    promise = scenarios.scenario(row.scenario)
    if end.problem is not None:
        yield end.problem
    if row.outcome != promise.outcome:
        yield f"outcome {row.outcome} ({row.reason}), promised {promise.outcome}"
    for count, what in (
        (row.lost, "lost"),
        (row.client_errors, "client errors"),
        (row.wrong_answers, "wrong answers"),
    ):
        if count:
            yield f"{count} {what}, promised 0"
    if not row.requests:
        yield "no requests were sent"
    if promise.reacts and row.seconds_to_zero is None:
        yield "the candidate was never seen to be wrong"
    elif promise.reacts and (row.seconds_to_zero or 0.0) > scenarios.ZERO_S_MAX:
        yield f"{row.seconds_to_zero} s to zero, promised {scenarios.ZERO_S_MAX:g}"
    if row.outcome == PROMOTED and row.pod_starts > replicas:
        yield f"{row.pod_starts} pod starts, promised {replicas}"


def _reaction(kind: tuple[str, str], rows: Sequence[Row]) -> Reaction:
    took = [row.seconds_to_zero for row in rows if row.seconds_to_zero is not None]
    median = round(statistics.median(took), 3) if took else math.inf
    worst = max(took, default=math.inf)
    misses = []
    if median > scenarios.ZERO_S_MEDIAN:
        misses.append(f"median {median} s to zero, promised {scenarios.ZERO_S_MEDIAN:g}")
    if worst > scenarios.ZERO_S_MAX:
        misses.append(f"{worst} s to zero at worst, promised {scenarios.ZERO_S_MAX:g}")
    return Reaction(*kind, len(rows) // len(PROTOCOLS), median, worst, tuple(misses))
