"""The server's Prometheus metrics, on a registry that is passed in.

Label values come from settings and from fixed tables, never from a client: a client cannot
make series.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from slipway_api import metrics as contract
from slipway_server.core.batching import Entry
from slipway_server.core.registry import Model

LABELS: Final = ("namespace", "deployment", "revision", "model", "version", "protocol", "code")
# From a decision tree (well below a millisecond) to a minute.
BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

BUCKETS_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts and latencies of inference requests. Used from the event loop only."""

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        """`labels` holds the values of all LABELS but the last two."""
        self._labels = dict(labels)
        self._registry = registry
        self._requests = Counter(
            contract.SERVER_REQUESTS,
            "Inference requests answered, by protocol and code.",
            LABELS,
            registry=registry,
        )
        self._seconds = Histogram(
            contract.SERVER_SECONDS,
            "Time from an inference request's first byte to its answer's last.",
            LABELS,
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._batch_rows = Histogram(
            contract.SERVER_BATCH_ROWS,
            "Rows that ran together.",
            tuple(self._labels),
            buckets=BUCKETS_ROWS,
            registry=registry,
        ).labels(**self._labels)
        # Looking a child up by its labels costs more than counting.
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def observe(self, protocol: str, *, code: str, seconds: float) -> None:
        """Count one answered request."""
        children = self._children.get((protocol, code))
        if children is None:
            values = {**self._labels, "protocol": protocol, "code": code}
            children = (self._requests.labels(**values), self._seconds.labels(**values))
            self._children[protocol, code] = children
        counter, histogram = children
        counter.inc()
        histogram.observe(seconds)

    def ran(self, _: Model, runs: Sequence[Entry]) -> None:
        """Observe runs of the model, by one entry of each."""
        for entry in runs:
            self._batch_rows.observe(entry.ran_with)

    def watch(self, name: str, *, help_text: str, read: Callable[[], float]) -> None:
        """Export a gauge that is read when it is scraped."""
        gauge = Gauge(name, help_text, tuple(self._labels), registry=self._registry)
        gauge.labels(**self._labels).set_function(read)
