"""What came of a run: outcomes, counts, the exit code, and the report in both forms. Pure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from bench.conformance.subject import Server

DETAIL_CHARACTERS_MAX: Final = 300


class Outcome(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was run; `detail` says what was expected and found, or why it was skipped."""

    name: str
    group: str
    outcome: Outcome
    detail: str
    section: str


@dataclass(frozen=True, slots=True)
class Report:
    """A run against one server.

    `models` has the counts of each run that was summed into this, by the name of its model; it is
    empty for a single run.
    """

    target: str
    grpc: str | None
    server: Server
    cases: tuple[Result, ...]
    models: Mapping[str, Mapping[Outcome, int]] = field(default_factory=dict)

    def count(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def exit_code(self) -> int:
        """0 if nothing failed and something was tried, else 1."""
        return 0 if self.count(Outcome.PASSED) and not self.count(Outcome.FAILED) else 1


def summed(target: str, reports: Mapping[str, Report]) -> Report:
    """One report of runs of the same cases, by the name of the one model that each had.

    A case failed if it failed on any model, passed if it passed wherever it was tried, and was
    skipped if it was tried nowhere. Raises ValueError without a run, or if the cases differ.
    """
    if not reports:
        raise ValueError("there are no reports to sum")
    runs = [[(name, case) for case in report.cases] for name, report in reports.items()]
    first = next(iter(reports.values()))
    return Report(
        target,
        first.grpc,
        first.server,
        tuple(_worst(of_case) for of_case in zip(*runs, strict=True)),
        {name: {o: report.count(o) for o in Outcome} for name, report in reports.items()},
    )


def _worst(of_case: Sequence[tuple[str, Result]]) -> Result:
    """The first failure, told with its model, else the first pass, else every reason to skip."""
    if len({(case.group, case.name) for _, case in of_case}) > 1:
        raise ValueError("the reports are of different cases")
    for outcome in (Outcome.FAILED, Outcome.PASSED):
        for model, case in of_case:
            if case.outcome is outcome:
                is_failure = outcome is Outcome.FAILED
                return replace(case, detail=f"{model}: {case.detail}") if is_failure else case
    reasons = dict.fromkeys(case.detail for _, case in of_case)
    return replace(of_case[0][1], detail=one_line("; ".join(reasons)))


def one_line(text: str) -> str:
    """Shorten a message to one line of at most 300 characters.

    >>> one_line("expected 1,\\n  got 2")
    'expected 1, got 2'
    """
    line = " ".join(text.split())
    if len(line) <= DETAIL_CHARACTERS_MAX:
        return line
    return f"{line[: DETAIL_CHARACTERS_MAX - 1]}…"


def to_json(report: Report) -> str:
    """Write the report for machines."""
    fields: dict[str, Any] = {
        "target": report.target,
        "grpc": report.grpc,
        "server": asdict(report.server),
        **{outcome.value: report.count(outcome) for outcome in Outcome},
        "models": report.models,
        "cases": [asdict(case) for case in report.cases],
    }
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def text(report: Report) -> str:
    """Write the report for people: a line for each group, and below it what failed."""
    groups = list(dict.fromkeys(case.group for case in report.cases))
    width = max((len(group) for group in groups), default=0)
    lines = [f"{report.target}: {report.server.name} {report.server.version}".rstrip(": ")]
    for name, counts in report.models.items():
        lines.append(f"  {name}: {', '.join(f'{counts[each]} {each}' for each in Outcome)}")
    for group in groups:
        cases = [case for case in report.cases if case.group == group]
        lines.append(f"{group.ljust(width)}  {_counts(cases)}")
        lines += _skipped_whole(cases)
        lines += [
            f"  FAILED {case.name}: {case.detail} ({case.section})"
            for case in cases
            if case.outcome is Outcome.FAILED
        ]
    verdict = "PASSED" if report.exit_code == 0 else "FAILED"
    return "\n".join([*lines, f"{verdict}: {_counts(report.cases)}"])


def _counts(cases: Sequence[Result]) -> str:
    found = Counter(case.outcome for case in cases)
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in Outcome)


def _skipped_whole(cases: Sequence[Result]) -> list[str]:
    """The reason, where a group is skipped for one."""
    if any(case.outcome is not Outcome.SKIPPED for case in cases):
        return []
    reasons = {case.detail for case in cases}
    return [f"  skipped: {reason}" for reason in sorted(reasons)]
