"""What a person sees while a model comes: a bar on the terminal, nothing where there is none."""

import sys
from typing import Any, TextIO

from tqdm import tqdm


class ProgressBar:
    """A `storage.fetch.Progress` on standard error; it is gone when the download is over."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._bar: tqdm[Any] | None = None

    def begin(self, name: str, total: int | None) -> None:
        """Show an empty bar, or a counter if the size is unknown."""
        self._bar = tqdm(
            desc=name,
            total=total,
            unit="B",
            unit_scale=True,
            leave=False,
            file=self._out,
            disable=None,  # where the stream is no terminal
        )

    def advance(self, count: int) -> None:
        """Move on by so many bytes."""
        if self._bar is not None:
            self._bar.update(count)

    def end(self) -> None:
        """Clear the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
