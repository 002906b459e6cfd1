"""Trying again when a store has a bad moment, for a bounded time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from slipway_server.core.errors import LoadError
from slipway_server.storage.fetch import Progress, Silence

T = TypeVar("T")

# After these pauses, in seconds: about a minute in all, then the process ends and the kubelet's
# own back-off goes on.
PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try. `say` is told of each failure that is not the last, `progress` of bytes."""

    say: Callable[[str], None]
    progress: Progress = field(default_factory=Silence)
    pauses_s: tuple[float, ...] = PAUSES_S
    sleep: Callable[[float], None] = time.sleep

    def run(self, attempt: Callable[[], T]) -> T:
        """Call until it returns; permanent LoadErrors and the last one go through."""
        pauses: Iterator[float] = iter(self.pauses_s)
        while True:
            try:
                return attempt()
            except LoadError as err:
                pause_s = None if err.is_permanent else next(pauses, None)
                if pause_s is None:
                    raise
                self.say(f"{err.message}; trying again in {pause_s:g} s")
            self.sleep(pause_s)
