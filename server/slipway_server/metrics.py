"""The server's Prometheus metrics, as a collector of a registry that is passed in.

Label values come from settings, models and fixed tables, never from a client: a client cannot make
series.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from slipway_api import metrics as contract
from slipway_server.core.batching import Entry
from slipway_server.core.registry import Model
from slipway_server.core.tensors import InferenceResponse
from slipway_server.histogram import Histogram

LABELS: Final = ("namespace", "deployment", "revision", "model", "version", "protocol", "code")
_MODEL: Final = LABELS[:-2]
_SERVER: Final = LABELS[:3]
STAGES: Final = ("decode", "queue", "compute", "encode")
# From a decision tree (well below a millisecond) to a minute.
BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
# A stage of a small model takes tens of microseconds.
BUCKETS_STAGE_S: Final = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, *BUCKETS_S[:-2])
BUCKETS_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_Stages = tuple[Histogram, Histogram, Histogram, Histogram]
ModelKey = tuple[str, str]  # name and version; empty for a request that named no model of ours


class Metrics(Collector):
    """Counts and latencies of inference requests. Used from the event loop only."""

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        """`labels` holds the values of the first three LABELS."""
        self._own = [labels[name] for name in _SERVER]
        self._in_flight: dict[str, int] = {}
        self._seconds: dict[tuple[str, str, ModelKey], Histogram] = {}
        self._stages: dict[tuple[str, str, str, str], _Stages] = {}
        self._batch_rows: dict[ModelKey, Histogram] = {}
        self._served: Callable[[], Iterable[Model]] = tuple
        self._gauges: list[tuple[str, str, Callable[[], Mapping[ModelKey, float]]]] = []
        registry.register(self)

    def began(self, protocol: str) -> None:
        """Count a request that is in flight from now on."""
        self._in_flight[protocol] = self._in_flight.get(protocol, 0) + 1

    def ended(self, protocol: str, *, code: str, model: ModelKey, seconds: float) -> None:
        """Count a request that began, and is answered or gone."""
        self._in_flight[protocol] -= 1
        key = (protocol, code, model)
        found = self._seconds.get(key)
        if found is None:
            found = self._seconds[key] = Histogram(BUCKETS_S)
        found.observe(seconds)

    def answered(
        self,
        protocol: str,
        response: InferenceResponse,
        *,
        code: str,
        decode_ns: int,
        ended_ns: int,
    ) -> None:
        """Observe the stages of a request: its body was there, and its answer is out.

        `code` is another than the good one where the answer could not be written, or where nobody
        was there for it. Times are of `time.perf_counter_ns`. A stage begins where the one before
        it ends.
        """
        times = response.times
        if times is None:
            return
        key = (protocol, code, response.model_name, response.model_version)
        found = self._stages.get(key)
        if found is None:
            found = self._stages[key] = _stages()
        decode, queue, compute, encode = found
        queued_ns, began_ns, computed_ns = times.queued_ns, times.began_ns, times.ended_ns
        decode.observe((queued_ns - decode_ns) * 1e-9)
        queue.observe((began_ns - queued_ns) * 1e-9)
        compute.observe((computed_ns - began_ns) * 1e-9)
        encode.observe((ended_ns - computed_ns) * 1e-9)

    def ran(self, model: Model, runs: Sequence[Entry]) -> None:
        """Observe runs of the model, by one entry of each."""
        found = self._batch_rows.get((model.name, model.version))
        if found is None:
            found = self._batch_rows[model.name, model.version] = Histogram(BUCKETS_ROWS)
        for entry in runs:
            found.observe(entry.ran_with)

    def watch(
        self, name: str, *, help_text: str, read: Callable[[], Mapping[ModelKey, float]]
    ) -> None:
        """Export a gauge of each model that is read when it is scraped."""
        self._gauges.append((name, help_text, read))

    def show_providers(self, served: Callable[[], Iterable[Model]]) -> None:
        """Export what each model runs on."""
        self._served = served

    def forget(self, model: Model) -> None:
        """End the series of a model that is not served any more."""
        gone = (model.name, model.version)
        self._batch_rows.pop(gone, None)
        self._seconds = {key: found for key, found in self._seconds.items() if key[2] != gone}
        self._stages = {key: found for key, found in self._stages.items() if key[2:] != gone}

    def collect(self) -> Iterable[Metric]:
        """Write all of it out."""
        requests = CounterMetricFamily(
            contract.SERVER_REQUESTS,
            "Inference requests answered, by protocol and code.",
            labels=LABELS,
        )
        seconds = HistogramMetricFamily(
            contract.SERVER_SECONDS,
            "Time from an inference request's first byte to its answer's last.",
            labels=LABELS,
        )
        for (protocol, code, model), found in self._seconds.items():
            values = [*self._own, *model, protocol, code]
            requests.add_metric(values, sum(found.counts))
            seconds.add_metric(values, found.buckets(), found.total)
        by_model = (*self._collect_by_model(), *self._collect_gauges())
        return (requests, seconds, self._collect_in_flight(), *by_model)

    def _collect_in_flight(self) -> Metric:
        family = GaugeMetricFamily(
            contract.SERVER_IN_FLIGHT,
            "Inference requests that have begun and are not answered yet.",
            labels=(*_SERVER, "protocol"),
        )
        for protocol, count in self._in_flight.items():
            family.add_metric([*self._own, protocol], count)
        return family

    def _collect_by_model(self) -> tuple[Metric, Metric]:
        stages = HistogramMetricFamily(
            contract.SERVER_STAGE_SECONDS,
            "Time of answered requests by stage: decode, queue, compute, encode.",
            labels=(*LABELS, "stage"),
        )
        for (protocol, code, *model), histograms in self._stages.items():
            for stage, found in zip(STAGES, histograms, strict=True):
                values = [*self._own, *model, protocol, code, stage]
                stages.add_metric(values, found.buckets(), found.total)
        rows = HistogramMetricFamily(
            contract.SERVER_BATCH_ROWS, "Rows that ran together.", labels=_MODEL
        )
        for model_key, found in self._batch_rows.items():
            rows.add_metric([*self._own, *model_key], found.buckets(), found.total)
        return stages, rows

    def _collect_gauges(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            contract.SERVER_PROVIDER,
            "1 for what runs a model (used) and what was asked for (asked).",
            labels=(*_MODEL, "asked", "used"),
        )
        for each in self._served():
            where = each.backend.placement
            values = [*self._own, each.name, each.version, where.asked, where.used]
            family.add_metric(values, 1)
        yield family
        for name, help_text, read in self._gauges:
            family = GaugeMetricFamily(name, help_text, labels=_MODEL)
            for model, value in read().items():
                family.add_metric([*self._own, *model], value)
            yield family


def _stages() -> _Stages:
    decode, queue, compute, encode = (Histogram(BUCKETS_STAGE_S) for _ in STAGES)
    return decode, queue, compute, encode
