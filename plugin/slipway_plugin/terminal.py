"""The terminal: its width, whether it shows colours and signs beyond ASCII, and what is printed.

It decides nothing about content.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slipway_plugin import wording
from slipway_plugin.screen import Line

WIDTH_DEFAULT: Final = 80
WIDTH_MAX: Final = 140
CODES: Final = {"good": "32", "bad": "31", "busy": "33"}
CLEAR: Final = "\x1b[H\x1b[2J"


@dataclass(frozen=True, slots=True)
class Terminal:
    """How to print here."""

    width: int
    has_colour: bool
    is_ascii: bool
    is_live: bool  # the screen can be drawn anew in place

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines."""
        for line in lines:
            print(self.text(line), flush=False)
        sys.stdout.flush()

    def redraw(self, lines: Iterable[Line]) -> None:
        """Print lines in place of what stood there; below it where that cannot be done."""
        if self.is_live:
            sys.stdout.write(CLEAR)
        self.show(lines)

    def text(self, line: Line) -> str:
        """Write a line as this terminal shows it."""
        text = wording.plain(line.text) if self.is_ascii else line.text
        code = CODES.get(line.style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and self.has_colour else text


def terminal_of(
    environment: Mapping[str, str], *, is_tty: bool, encoding: str, columns: int, wants_ascii: bool
) -> Terminal:
    """Tell what a terminal can do; `columns` 0: unknown.

    https://no-color.org: NO_COLOR that is not empty means no colours.
    """
    is_dumb = environment.get("TERM", "") in ("", "dumb")
    is_ascii = wants_ascii or encoding.lower().replace("-", "") not in ("utf8", "utf16")
    return Terminal(
        width=min(columns, WIDTH_MAX) if is_tty and columns else WIDTH_DEFAULT,
        has_colour=is_tty and not is_dumb and not environment.get("NO_COLOR"),
        is_ascii=is_ascii,
        is_live=is_tty and not is_dumb,
    )


def this(*, wants_ascii: bool) -> Terminal:
    """Describe the terminal of this process."""
    is_tty = sys.stdout.isatty()
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns if is_tty else 0
    except OSError:
        columns = 0
    return terminal_of(
        os.environ,
        is_tty=is_tty,
        encoding=sys.stdout.encoding or "ascii",
        columns=columns,
        wants_ascii=wants_ascii,
    )
