"""Writes counted distributions out for Prometheus. Used from the event loop only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
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
from slipway_server.core.bins import MISSING, OTHER
from slipway_server.core.registry import Model
from slipway_server.distributions.tally import (
    CLASSES_MAX,
    CONFIDENCES,
    MISSING_CLASS,
    OTHER_CLASS,
    VALUES,
    Predictions,
    Tally,
)
from slipway_server.histogram import cumulative

LABELS: Final = ("namespace", "deployment", "revision", "model", "version")
_CLASSES: Final = (*map(str, range(CLASSES_MAX)), OTHER, MISSING)
_ENDS: Final = ("-Inf", *(f"{edge:g}" for edge in VALUES), "+Inf")
_INTERVALS: Final = (*(f"({low},{high}]" for low, high in pairwise(_ENDS)), MISSING)


class Distributions(Collector):
    """Tallies of all models that are loaded."""

    def __init__(
        self,
        registry: CollectorRegistry,
        labels: Mapping[str, str],
        *,
        models: Callable[[], Iterable[Model]],
        rows_per_s: int,
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        """`labels` holds the values of the LABELS that are not the model's own.

        `later` calls something once the answers of a batch are out.
        """
        self._labels = [labels[name] for name in LABELS[:3]]
        self._models = models
        self._rows_per_s = rows_per_s
        self._later = later
        # They end with their models, which may be unloaded.
        self._tallies: WeakKeyDictionary[Model, Tally] = WeakKeyDictionary()
        registry.register(self)

    def ran(self, model: Model, batch: Sequence[Entry]) -> None:
        """Take a batch that has run."""
        tally = self._tallies.get(model) or self._begin(model)
        if tally.add(batch):
            self._later(tally.count)

    def _begin(self, model: Model) -> Tally:
        tally = self._tallies[model] = Tally(
            model.backend.signature, model.profile, rows_per_s=self._rows_per_s
        )
        return tally

    def collect(self) -> Iterable[Metric]:
        """Count what waits, and write out the models that are loaded now.

        A model that nobody has asked yet has zeros: a counter that is born with more has no rate.
        """
        families = _Families()
        for model in self._models():
            tally = self._tallies.get(model) or self._begin(model)
            tally.count()
            families.add(tally, [*self._labels, model.name, model.version])
        return families.all


class _Families:
    """The metrics of one scrape."""

    def __init__(self) -> None:
        self._rows = CounterMetricFamily(
            contract.SERVER_SAMPLED_ROWS,
            "Rows whose features and predictions were counted.",
            labels=LABELS,
        )
        self._features = CounterMetricFamily(
            contract.SERVER_FEATURE_ROWS,
            "Sampled rows by feature and bin of the reference profile.",
            labels=(*LABELS, "feature", "bin"),
        )
        self._reference = GaugeMetricFamily(
            contract.SERVER_REFERENCE_ROWS,
            "Rows of the reference profile by feature and bin.",
            labels=(*LABELS, "feature", "bin"),
        )
        self._classes = CounterMetricFamily(
            contract.SERVER_PREDICTION_ROWS,
            "Sampled rows by output and predicted class, or interval of a value.",
            labels=(*LABELS, "output", "class"),
        )
        self._confidences = HistogramMetricFamily(
            contract.SERVER_CONFIDENCE,
            "The highest probability of sampled rows, of outputs that are probabilities.",
            labels=(*LABELS, "output"),
        )
        self._values = HistogramMetricFamily(
            contract.SERVER_PREDICTION_VALUE,
            "The value of sampled rows, of outputs of one number.",
            labels=(*LABELS, "output"),
        )

    @property
    def all(self) -> tuple[Metric, ...]:
        """Every family."""
        return (
            *(self._rows, self._features, self._reference),
            *(self._classes, self._confidences, self._values),
        )

    def add(self, tally: Tally, labels: list[str]) -> None:
        """Add the counts of one model."""
        self._rows.add_metric(labels, tally.row_count)
        for feature, counts in tally.features():
            for name, live, reference in zip(feature.bins, counts, feature.counts, strict=True):
                self._features.add_metric([*labels, feature.name, name], live)
                self._reference.add_metric([*labels, feature.name, name], reference)
        for name, predictions in tally.predictions.items():
            self._add_predictions(predictions, [*labels, name])

    def _add_predictions(self, found: Predictions, labels: list[str]) -> None:
        if found.classes.any():
            seen = found.classes > 0
            seen[: found.class_count] = True
            seen[[OTHER_CLASS, MISSING_CLASS]] = True
            for index in np.flatnonzero(seen):
                self._classes.add_metric([*labels, _CLASSES[index]], int(found.classes[index]))
        if found.confidences.any():
            buckets = _buckets(CONFIDENCES, found.confidences)
            self._confidences.add_metric(labels, buckets, found.confidence_sum)
        if found.values.any():
            for name, count in zip(_INTERVALS, found.values.tolist(), strict=True):
                self._classes.add_metric([*labels, name], count)
            buckets = _buckets(VALUES, [*found.values[:-2], found.values[-2:].sum()])
            self._values.add_metric(labels, buckets, None)  # a sum may fall, so it is no counter


def _buckets(edges: Sequence[float], counts: Iterable[np.int64]) -> list[tuple[str, float]]:
    return cumulative(edges, [int(count) for count in counts])
