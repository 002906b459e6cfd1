"""What a model has done since it was loaded, as clients of Triton ask for it.

Triton, "Statistics Extension": its `compute_input` and `compute_output` (copies to and from a
device) do not exist here and stay 0.
"""

import time
from dataclasses import dataclass
from typing import Final

BATCH_SIZES_KEPT: Final = 256


@dataclass(slots=True)
class Duration:
    """How often something happened and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count one more."""
        self.count += 1
        self.ns += ns


class Statistics:
    """Of one model. Used from the event loop only."""

    def __init__(self) -> None:
        self.last_inference_ms = 0  # Unix time
        self.inference_count = 0  # rows
        self.execution_count = 0
        self.success = Duration()
        self.fail = Duration()
        self.queue = Duration()
        self.compute = Duration()
        self.by_batch_size: dict[int, Duration] = {}

    def executed(self, *, row_count: int, compute_ns: int) -> None:
        """Count a run of the model; sizes of batches beyond a number of them are not kept."""
        self.execution_count += 1
        batch = self.by_batch_size.get(row_count)
        if batch is None:
            if len(self.by_batch_size) >= BATCH_SIZES_KEPT:
                return
            batch = self.by_batch_size[row_count] = Duration()
        batch.add(compute_ns)

    def succeeded(self, *, row_count: int, queue_ns: int, compute_ns: int, whole_ns: int) -> None:
        """Count a request that was answered."""
        self.last_inference_ms = time.time_ns() // 1_000_000
        self.inference_count += row_count
        success, queue, compute = self.success, self.queue, self.compute
        success.count += 1
        success.ns += whole_ns
        queue.count += 1
        queue.ns += queue_ns
        compute.count += 1
        compute.ns += compute_ns

    def failed(self, whole_ns: int) -> None:
        """Count a request that was refused or failed."""
        self.fail.add(whole_ns)
