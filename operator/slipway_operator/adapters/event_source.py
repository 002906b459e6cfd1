"""The seam between the cluster's events and the queue: a source tells *that* something changed.

A source never says what changed and holds nothing that matters: whoever gets a key reads the state
afresh. So any source will do, and one that loses events does no harm as long as somebody lists
everything now and then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class KeyKind(StrEnum):
    MODEL_DEPLOYMENT = "ModelDeployment"  # itself or anything made for it
    COMPUTE_POOL = "ComputePool"
    ROUTER = "Router"  # a router pod in the operator's own namespace


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What to look at again. `namespace` is empty for a ComputePool."""

    kind: KeyKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.namespace}/{self.name}"
            if self.namespace
            else (f"{self.kind} {self.name}")
        )


class EventSource(Protocol):
    """Something that calls a sink with a key soon after each change."""

    def start(self, sink: Callable[[Key], None]) -> None:
        """Begin; `sink` is called in the event loop that calls this, never from another thread."""

    async def stop(self) -> None:
        """End; the sink is not called afterwards."""
