"""What the user sees while something long happens: each step with a time, and why it is needed.

Knows nothing of what the steps do.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# What every slow function of the sandbox takes: one line of text, without a newline.
Log = Callable[[str], None]


class Progress:
    """A `Log` that puts the seconds since its birth before each line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._begun_s = time.monotonic()

    def __call__(self, line: str) -> None:
        passed_s = time.monotonic() - self._begun_s
        print(f"{passed_s:7.1f}s  {line}", file=self._stream, flush=True)


@contextmanager
def step(what: str, *, log: Log) -> Iterator[None]:
    """Announce a step and, when it ends well, how long it took."""
    log(what + " …")
    begun_s = time.monotonic()
    yield
    log(f"{what}: done in {time.monotonic() - begun_s:.1f} s")


def silent(_line: str) -> None:
    """Be a `Log` that says nothing."""
