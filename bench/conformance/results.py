"""What came of a run: outcomes, counts, the exit code, and the report in both forms. Pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
    """A run against one server."""

    target: str
    grpc: str | None
    server: Server
    cases: tuple[Result, ...]

    def count(self, outcome: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def exit_code(self) -> int:
        """0 if nothing failed and something was tried, else 1."""
        return 0 if self.count(Outcome.PASSED) and not self.count(Outcome.FAILED) else 1


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
        "cases": [asdict(case) for case in report.cases],
    }
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def text(report: Report) -> str:
    """Write the report for people: a line for each group, and below it what failed."""
    groups = list(dict.fromkeys(case.group for case in report.cases))
    width = max((len(group) for group in groups), default=0)
    lines = [f"{report.target}: {report.server.name} {report.server.version}".rstrip(": ")]
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
