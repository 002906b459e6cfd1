"""Rows of the comparison: medians over rounds, and ratios taken inside each round.

A machine's speed changes from minute to minute; two servers in the same round see the same.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

BASE: Final = "naive"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured in a round: a server with a model, a protocol and so many connections."""

    server: str
    batching: bool
    model: str
    protocol: str
    concurrency: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One round of a cell."""

    cell: Cell
    turn: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mb: float
    error_count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report. `ratio_to_naive` is to the naive server's JSON, None without it."""

    server: str
    model: str
    protocol: str
    batching: bool
    concurrency: int
    rps_per_core: float
    ratio_to_naive: float | None
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mb: float
    errors: int


def rows(readings: Sequence[Reading]) -> list[Row]:
    """One row per cell, in order of first appearance."""
    cells = dict.fromkeys(reading.cell for reading in readings)
    base = {
        (r.cell.model, r.cell.concurrency, r.turn): r.per_s
        for r in readings
        if (r.cell.server, r.cell.protocol) == (BASE, "json")
    }
    return [_row(cell, [r for r in readings if r.cell == cell], base) for cell in cells]


def _row(cell: Cell, found: Sequence[Reading], base: dict[tuple[str, int, int], float]) -> Row:
    keys = [(cell.model, cell.concurrency, reading.turn) for reading in found]
    ratios = [r.per_s / base[key] for r, key in zip(found, keys, strict=True) if base.get(key)]
    return Row(
        **asdict(cell),
        rps_per_core=round(statistics.median(r.per_s for r in found), 1),
        ratio_to_naive=round(statistics.median(ratios), 2) if ratios else None,
        p50_ms=round(statistics.median(r.p50_ms for r in found), 3),
        p99_ms=round(statistics.median(r.p99_ms for r in found), 3),
        cpu_us=round(statistics.median(r.cpu_us for r in found), 1),
        rss_mb=round(max(r.rss_mb for r in found), 1),
        errors=sum(r.error_count for r in found),
    )


def table(found: Sequence[Row]) -> str:
    """The rows for a person."""
    head = ("model", "server", "protocol", "c", "req/s", "x naive", "p50 ms", "p99 ms", "MB", "!")
    lines = [head, *(_texts(row) for row in found)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i < 3 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _texts(row: Row) -> tuple[str, ...]:
    server = f"{row.server}, batching" if row.batching else row.server
    ratio = "–" if row.ratio_to_naive is None else f"{row.ratio_to_naive:.2f}"
    numbers: tuple[Any, ...] = (row.concurrency, f"{row.rps_per_core:,.0f}", ratio)
    more = (f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.rss_mb:.0f}", row.errors or "")
    return (row.model, server, row.protocol, *map(str, numbers), *map(str, more))


def costs(readings: Sequence[Reading], *, base: str) -> list[str]:
    """How much more processor time a request takes than at the server `base`, in µs.

    The median of the differences inside each round.
    """
    bases = {_kind(each): each.cpu_us for each in readings if each.cell.server == base}
    more: dict[Cell, list[float]] = {}
    for each in readings:
        if each.cell.server != base:
            more.setdefault(each.cell, []).append(each.cpu_us - bases[_kind(each)])
    return [
        f"{cell.model}: {cell.server} takes {statistics.median(found):+.1f} µs more for a request"
        f" ({min(found):+.1f} to {max(found):+.1f})"
        for cell, found in more.items()
    ]


def _kind(each: Reading) -> tuple[str, str, int, int]:
    return each.cell.model, each.cell.protocol, each.cell.concurrency, each.turn
