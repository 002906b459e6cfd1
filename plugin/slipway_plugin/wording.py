"""Numbers and times as people read them, and lines that fit. Pure text: it knows no deployment."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_ASCII: Final = {
    "…": "...",
    "×": "x",
    "≈": "~",
    "–": "-",
    "→": "->",
    "·": "-",
    "φ": "phi",
    "±": "+-",
    "┈": ".",
    **dict.fromkeys("▁▂▃", "_"),
    **dict.fromkeys("▄▅▆▇█", "#"),
}


def duration_s(text: str) -> float | None:
    """Read a duration as Kubernetes writes it; None if it is none.

    >>> duration_s("1m30s"), duration_s("250ms"), duration_s("soon"), duration_s("5")
    (90.0, 0.25, None, None)
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def span(value_s: float) -> str:
    """Write a duration with its two largest units.

    >>> span(0.2), span(125), span(3600), span(90061)
    ('0s', '2m5s', '1h', '1d1h')
    """
    rest = round(value_s) if value_s >= 1 else 0
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts.append(f"{count}{unit}" if count else "")
    first = next((index for index, part in enumerate(parts) if part), None)
    return "0s" if first is None else "".join(parts[first : first + 2])


def until(moment: datetime, now: datetime) -> str:
    """Say when something is over.

    >>> from datetime import UTC
    >>> until(datetime(2026, 3, 1, 12, 5, tzinfo=UTC), datetime(2026, 3, 1, 12, 3, tzinfo=UTC))
    '12:05:00 UTC, in 2m'
    """
    left_s = (moment - now).total_seconds()
    return f"{moment:%H:%M:%S} UTC, " + (f"in {span(left_s)}" if left_s > 0 else "any moment")


def age(moment: datetime | None, now: datetime) -> str:
    """Say how long ago something was; a dash if it is not known."""
    return "–" if moment is None else span((now - moment).total_seconds())


def count(value: int) -> str:
    """Write a count in at most seven characters.

    >>> count(9160), count(1234567), count(45600000)
    ('9,160', '1.2M', '46M')
    """
    if value < 1_000_000:
        return f"{value:,}"
    return f"{value / 1e6:.1f}M" if value < 10_000_000 else f"{value / 1e6:.0f}M"


def share(part: int, whole: int) -> str:
    """Write a part of a whole as a percentage of it.

    >>> share(3, 9160), share(31, 40), share(0, 5), share(0, 0)
    ('0.033 % of 9,160', '77.5 % of 40', '0 % of 5', '–')
    """
    if whole == 0:
        return "–"
    value = part / whole * 100
    text = f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"
    return f"{text.removesuffix('.0')} % of {count(whole)}"


def clip(text: str, width: int) -> str:
    """Shorten to `width` characters, with an ellipsis where text was lost.

    >>> clip("short", 8), clip("rather long", 8)
    ('short', 'rather …')
    """
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrap(text: str, width: int) -> list[str]:
    """Break at spaces; a word that is longer than a line is cut.

    >>> wrap("errors: have 600 of 1030", 12)
    ['errors: have', '600 of 1030']
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        while len(word) > width:
            lines += [line] if line else []
            lines, line, word = [*lines, word[:width]], "", word[width:]
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def table(rows: Iterable[tuple[str, ...]], *, width: int, indent: str = "") -> list[str]:
    """Align columns two spaces apart; the last one takes what is left of `width`.

    >>> table([("a", "bb", "rest"), ("long", "c", "of it")], width=14)
    ['a     bb  rest', 'long  c   of …']
    """
    listed = [tuple(row) for row in rows]
    if not listed:
        return []
    widths = [max(len(row[at]) for row in listed) for at in range(len(listed[0]) - 1)]
    lines = []
    for row in listed:
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        lines.append(clip((indent + "  ".join([*cells, row[-1]])).rstrip(), width))
    return lines


def plain(text: str) -> str:
    """Write text with ASCII alone.

    >>> plain("5 → 25 % …"), plain("naïve")
    ('5 -> 25 % ...', 'na?ve')
    """
    for sign, instead in _ASCII.items():
        text = text.replace(sign, instead)
    return text.encode("ascii", "replace").decode("ascii")
