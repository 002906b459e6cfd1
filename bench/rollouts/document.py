"""The report: rows computed from a folder of ledgers, as JSON for machines and a table for people.

It adds nothing to what the ledgers say, so that reading them again gives the same report.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench import ledger
from bench.rollouts import rows
from bench.rollouts.rows import CostRow, Reaction, Row

SUFFIX: Final = ".jsonl"
_COLUMNS: Final = (
    ("strategy", "strategy"),
    ("scenario", "scenario"),
    ("protocol", "protocol"),
    ("requests", "requests"),
    ("lost", "lost"),
    ("client_errors", "errors"),
    ("wrong_answers", "wrong"),
    ("seconds_to_zero", "to zero s"),
    ("seconds_total", "total s"),
    ("outcome", "outcome"),
    ("reason", "reason"),
)

_HEAD: Final = (
    "strategy",
    "scenario",
    "runs",
    "requests",
    "lost, errors, wrong",
    "to zero",
    "in all",
    "outcome",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger by its file's name, and what it proves."""

    ledger: str
    at: float
    rows: tuple[Row, ...]
    cost: CostRow | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All entries, in the order in which they were played."""

    entries: tuple[Entry, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for entry in self.entries for row in entry.rows)

    @property
    def costs(self) -> tuple[CostRow, ...]:
        return tuple(entry.cost for entry in self.entries if entry.cost)

    @property
    def reactions(self) -> tuple[Reaction, ...]:
        return rows.reactions(self.rows)

    @property
    def misses(self) -> tuple[str, ...]:
        found = [(f"{r.strategy}, {r.scenario}, {r.protocol}", r.misses) for r in self.rows]
        found += [(f"{c.deployments} idle deployments", c.misses) for c in self.costs]
        found += [(f"{r.strategy}, {r.scenario}", r.misses) for r in self.reactions]
        return tuple(f"{where}: {miss}" for where, misses in found for miss in misses)


def read(folder: Path) -> Report:
    """Compute the report of a folder; `ledger.LedgerError`, `rows.RowError` name what is amiss."""
    entries = [entry(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return Report(tuple(sorted(entries, key=lambda each: each.at)))


def next_name(folder: Path) -> str:
    """Name the next ledger: by the number after the last, whatever was removed before it."""
    taken = [int(path.stem) for path in folder.glob(f"*{SUFFIX}")]
    return f"{max(taken, default=-1) + 1:03}{SUFFIX}"


def entry(path: Path) -> Entry:
    """Compute what one ledger proves."""
    lines = ledger.read(path)
    try:
        at = next(line.at for line in lines if isinstance(line, ledger.Run))
        if any(isinstance(line, ledger.Cost) for line in lines):
            return Entry(path.name, at, (), rows.of_cost(lines))
        return Entry(path.name, at, rows.of_run(lines))
    except (StopIteration, rows.RowError) as error:
        raise rows.RowError(f"{path}: {error or 'no run in it'}") from error


def to_json(report: Report, *, commit: str) -> str:
    """Write the report for machines."""
    return json.dumps({"commit": commit, **fields(report)}, indent=1, ensure_ascii=False) + "\n"


def fields(report: Report) -> dict[str, Any]:
    """Give what follows from the ledgers, as JSON has it."""
    given: dict[str, Any] = {
        "rows": [
            {**asdict(row), "ledger": each.ledger} for each in report.entries for row in each.rows
        ],
        "costs": [{**asdict(e.cost), "ledger": e.ledger} for e in report.entries if e.cost],
        "reactions": [asdict(reaction) for reaction in report.reactions],
        "misses": list(report.misses),
    }
    again: dict[str, Any] = json.loads(json.dumps(given))
    return again


def table(report: Report) -> str:
    """Write the report for people."""
    lines = [tuple(title for _, title in _COLUMNS), *map(_cells, report.rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(_COLUMNS))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    text += [
        f"{r.strategy}, {r.scenario}: weight 0 after {r.median_s} s (median of {r.runs} runs),"
        f" {r.worst_s} s at worst"
        for r in report.reactions
    ]
    text += [
        f"{c.deployments} idle deployments for {c.seconds:.0f} s: {c.writes} writes,"
        f" {c.reads_per_second} reads per second, {c.memory_mib} MiB"
        for c in report.costs
    ]
    text += [f"MISSED  {miss}" for miss in report.misses] or ["all as promised"]
    return "\n".join(text)


def markdown(report: Report) -> str:
    """Write the table of docs/rollout-benchmarks.md: a line for all runs of a kind."""
    kinds = dict.fromkeys((row.strategy, row.scenario) for row in report.rows)
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    for strategy, scenario in kinds:
        found = [r for r in report.rows if (r.strategy, r.scenario) == (strategy, scenario)]
        bad = [sum(r.lost for r in found), sum(r.client_errors for r in found)]
        cells = (
            strategy,
            scenario,
            str(len(found) // len(rows.PROTOCOLS)),
            f"{sum(row.requests for row in found):,}",
            ", ".join(map(str, [*bad, sum(row.wrong_answers for row in found)])),
            _spread([row.seconds_to_zero for row in found], digits=2),
            _spread([row.seconds_total for row in found], digits=0),
            ", ".join(dict.fromkeys(f"{row.outcome}: {row.reason}" for row in found)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float | None], *, digits: int) -> str:
    """Give median and worst.

    >>> _spread([0.5, 0.25, None, 1.0], digits=2)
    '0.50 s (1.00)'
    """
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{statistics.median(known):.{digits}f} s ({max(known):.{digits}f})"


def _cells(row: Row) -> tuple[str, ...]:
    values: Sequence[object] = [getattr(row, field) for field, _ in _COLUMNS]
    return tuple(
        "–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
        for value in values
    )
