"""What a ledger proves: figures per rollout, and whether everything went as promised.

Pure but for `main`: `recompute` takes the ledger's lines and nothing else, so anybody can check a
run afterwards.

Definitions. A request belongs to the rollout in whose time it was sent; a rollout's time goes from
the change to the next change or the end of the ledger. *Lost*: sent without an answer. *Client
error*: an answer whose status is not 2xx / OK. *Wrong*: a good answer that is not its own
version's output, or that names a revision which another version has. An attempt at a candidate pod
is *bad* if it ended with a status other than 2xx / OK, never ended, or took longer than a second
(`HUNG_S`: a try that hangs is cut by the router after a second at the soonest).
seconds_first_bad_to_zero = begin of the last attempt at a candidate pod − begin of the first bad
one; None if there was none. weight_when_bad = the weight asked for in the status when the first
bad attempt began.
"""

import argparse
import bisect
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from bench import ledger

HUNG_S: Final = 1.0
RATE_SHARE_MIN: Final = 0.98  # of the requests that the load generator says it sent

_COLUMNS: Final = (
    ("rollout", "name", 10),
    ("outcome", "outcome", 11),
    ("sent", "requests_sent", 8),
    ("lost", "requests_lost", 6),
    ("errors", "client_errors", 7),
    ("wrong", "wrong_answers", 6),
    ("bad at %", "weight_when_bad", 9),
    ("bad→0 s", "seconds_first_bad_to_zero", 8),
    ("total s", "seconds_total", 8),
    ("passed", "passed", 7),
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Client requests of one stretch of time."""

    requests_sent: int
    requests_lost: int
    client_errors: int
    wrong_answers: int

    @property
    def is_clean(self) -> bool:
        return not (self.requests_lost or self.client_errors or self.wrong_answers)


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """One rollout; `problems` are sentences on what was not as promised, empty if all was."""

    name: str
    version: str
    candidate: str | None
    outcome: str | None
    requests_sent: int
    requests_lost: int
    client_errors: int
    wrong_answers: int
    attempts_at_candidate: int
    bad_attempts: int
    seconds_first_bad_to_zero: float | None
    weight_when_bad: int | None
    seconds_total: float | None
    problems: tuple[str, ...]
    passed: bool


@dataclass(frozen=True, slots=True)
class Report:
    """`before` counts requests before the first change; `problems` are of the whole ledger."""

    rollouts: tuple[RolloutReport, ...]
    before: Tally
    problems: tuple[str, ...]
    passed: bool


def recompute(lines: Sequence[ledger.Line]) -> Report:
    """Compute all figures from the lines of one ledger, in any order."""
    begins = sorted(_of(lines, ledger.RolloutBegin), key=lambda begin: begin.at)
    requests = sorted(_of(lines, ledger.Request), key=lambda request: request.sent)
    versions = _versions(lines, begins)
    bounds = [begin.at for begin in begins]
    stretches: list[list[ledger.Request]] = [[] for _ in range(len(begins) + 1)]
    for request in requests:
        stretches[bisect.bisect_right(bounds, request.sent)].append(request)
    before = _tally(stretches[0], versions)
    rollouts = tuple(
        _rollout(lines, begin, tally=_tally(stretch, versions), until=until)
        for begin, stretch, until in zip(
            begins, stretches[1:], [*bounds, float("inf")][1:], strict=True
        )
    )
    problems = tuple(_problems_of_ledger(lines, rollouts, before))
    passed = not problems and all(rollout.passed for rollout in rollouts)
    return Report(rollouts=rollouts, before=before, problems=problems, passed=passed)


T = TypeVar("T", bound=ledger.Line)


def _of(lines: Iterable[ledger.Line], kind: type[T]) -> list[T]:
    return [line for line in lines if isinstance(line, kind)]


def _versions(
    lines: Sequence[ledger.Line], begins: Sequence[ledger.RolloutBegin]
) -> dict[str, str]:
    """Which version each candidate is: by what was asked for, not by what answers say."""
    asked = {begin.name: begin.version for begin in begins}
    return {
        end.candidate: asked[end.name]
        for end in _of(lines, ledger.RolloutEnd)
        if end.candidate is not None and end.name in asked
    }


def is_good(status: int | str | None) -> bool:
    """Tell 2xx and OK from everything else.

    >>> is_good(200), is_good("OK"), is_good(503), is_good("UNAVAILABLE"), is_good(None)
    (True, True, False, False, False)
    """
    return 200 <= status < 300 if isinstance(status, int) else status == "OK"


def _is_wrong(request: ledger.Request, versions: dict[str, str]) -> bool:
    if request.wrong:
        return True
    if not is_good(request.status):
        return False
    return request.version != versions.get(request.revision or "", request.version)


def _tally(requests: Sequence[ledger.Request], versions: dict[str, str]) -> Tally:
    answered = [request for request in requests if request.received is not None]
    return Tally(
        requests_sent=len(requests),
        requests_lost=len(requests) - len(answered),
        client_errors=sum(not is_good(request.status) for request in answered),
        wrong_answers=sum(_is_wrong(request, versions) for request in answered),
    )


def is_bad(attempt: ledger.Attempt) -> bool:
    """Tell whether an attempt failed, never ended or hung (see the module's definitions)."""
    if attempt.seconds is None or not is_good(attempt.status):
        return True
    return attempt.seconds > HUNG_S


def seconds_first_bad_to_zero(attempts: Iterable[ledger.Attempt]) -> float | None:
    """Measure from the first bad attempt at a candidate to the last one at all; None: none bad."""
    seen = sorted(attempts, key=lambda attempt: attempt.at)
    first = next((attempt.at for attempt in seen if is_bad(attempt)), None)
    return None if first is None else round(seen[-1].at - first, 3)


def _rollout(
    lines: Sequence[ledger.Line], begin: ledger.RolloutBegin, *, tally: Tally, until: float
) -> RolloutReport:
    ends = [
        end
        for end in _of(lines, ledger.RolloutEnd)
        if end.name == begin.name and begin.at <= end.at <= until
    ]
    end = ends[0] if ends else None
    candidate = end.candidate if end else None
    attempts = [
        attempt
        for attempt in _of(lines, ledger.Attempt)
        if attempt.revision == candidate and attempt.at >= begin.at
    ]
    bad = [attempt.at for attempt in attempts if is_bad(attempt)]
    first_bad = min(bad, default=None)
    seconds = seconds_first_bad_to_zero(attempts)
    weight = None if first_bad is None else _weight_at(lines, candidate, first_bad)
    problems = tuple(
        _problems(
            begin.promise, end, tally=tally, attempts=len(attempts), seconds=seconds, weight=weight
        )
    )
    return RolloutReport(
        name=begin.name,
        version=begin.version,
        candidate=candidate,
        outcome=end.outcome if end else None,
        **asdict(tally),
        attempts_at_candidate=len(attempts),
        bad_attempts=len(bad),
        seconds_first_bad_to_zero=seconds,
        weight_when_bad=weight,
        seconds_total=round(end.at - begin.at, 3) if end else None,
        problems=problems,
        passed=not problems,
    )


def _weight_at(lines: Sequence[ledger.Line], candidate: str | None, moment: float) -> int | None:
    """Find the weight asked of a candidate at a moment.

    It is in the last status seen until then that gives the candidate any weight. A status is
    written before routers are told, but may reach a watcher after the first request reached the
    candidate: then the first later one counts.
    """
    weights = sorted(
        (status.at, status.weight_asked)
        for status in _of(lines, ledger.Observation)
        if status.candidate == candidate and status.weight_asked
    )
    earlier = [weight for at, weight in weights if at <= moment]
    if earlier:
        return earlier[-1]
    return weights[0][1] if weights else None


def _problems(
    promise: ledger.Promise,
    end: ledger.RolloutEnd | None,
    *,
    tally: Tally,
    attempts: int,
    seconds: float | None,
    weight: int | None,
) -> Iterable[str]:
    if end is None:
        yield "the rollout did not end"
    elif end.outcome != promise.outcome:
        yield f"outcome {end.outcome}, promised {promise.outcome}"
    if end is not None and end.problem is not None:
        yield end.problem
    for count, what in (
        (tally.requests_lost, "requests lost"),
        (tally.client_errors, "client errors"),
        (tally.wrong_answers, "wrong answers"),
    ):
        if count:
            yield f"{count} {what}, promised 0"
    if tally.requests_sent == 0:
        yield "no requests were sent"
    if attempts == 0:
        yield "no attempt at a candidate pod was seen"
    limit_s = promise.seconds_first_bad_to_zero
    if limit_s is not None and seconds is None:
        yield "no bad attempt was seen at the candidate"
    elif limit_s is not None and seconds is not None and seconds > limit_s:
        yield f"{seconds} s from the first bad attempt to zero, promised {limit_s} s"
    if promise.weight is not None and seconds is not None and weight != promise.weight:
        yield f"the candidate was bad at {weight} %, planned {promise.weight} %"


def _problems_of_ledger(
    lines: Sequence[ledger.Line], rollouts: Sequence[RolloutReport], before: Tally
) -> Iterable[str]:
    if not rollouts:
        yield "the ledger has no rollout"
    if not before.is_clean:
        yield (
            f"before the first change {before.requests_lost} requests were lost,"
            f" {before.client_errors} were client errors, {before.wrong_answers} wrong"
        )
    ends = _of(lines, ledger.LoadEnd)
    sent = before.requests_sent + sum(rollout.requests_sent for rollout in rollouts)
    if not ends:
        yield "the load generator did not come to its end"
    elif sent != sum(end.requests for end in ends):
        yield f"{sent} requests in the ledger, the load generator sent {ends[0].requests}"
    yield from (
        f"only {end.requests} of {end.rate * end.seconds:.0f} planned requests were sent"
        for end in ends
        if end.requests < RATE_SHARE_MIN * end.rate * end.seconds
    )


def to_json(report: Report) -> str:
    """Write the report as JSON for machines."""
    return json.dumps(asdict(report), indent=1) + "\n"


def table(report: Report) -> str:
    """Write the report as a table for people, with what went wrong below."""
    head = "".join(title.rjust(width) for title, _, width in _COLUMNS)
    rows = [head, "-" * len(head)]
    for rollout in report.rollouts:
        rows.append(
            "".join(_cell(getattr(rollout, field)).rjust(width) for _, field, width in _COLUMNS)
        )
    rows.extend(
        f"  {rollout.name}: {problem}"
        for rollout in report.rollouts
        for problem in rollout.problems
    )
    rows.extend(f"  {problem}" for problem in report.problems)
    rows.append("PASSED" if report.passed else "FAILED")
    return "\n".join(rows)


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "NO"
        case float():
            return f"{value:.2f}"
        case _:
            return str(value)


def main(argv: Sequence[str]) -> int:
    """Recompute a ledger's report: 0 if all went as promised, 1 if not, 2 if it is unreadable."""
    parser = argparse.ArgumentParser(prog="dev report", description="Recompute a report.")
    parser.add_argument("ledger", type=Path, help="file that `dev demo --ledger` wrote")
    parser.add_argument("--report", type=Path, help="write the report as JSON to this file")
    options = parser.parse_args(argv)
    try:
        report = recompute(ledger.read(options.ledger))
    except (OSError, ledger.LedgerError) as error:
        print(f"cannot read the ledger: {error}", file=sys.stderr)
        return 2
    if options.report:
        options.report.write_text(to_json(report))
    print(table(report))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
