"""Counts what a model sees and gives: features in the bins of a profile, predictions in fixed ones.

A sample of rows, so that it costs a bounded share of the processor: whole batches are taken while
there is credit for rows. They wait until some hundred are there, because a look at hundreds costs
numpy hardly more than a look at one. Counts only grow, and those of several pods may be added.
Used from one event loop.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from slipway_server.core.batching import Entry
from slipway_server.core.bins import BINS_MAX, numbers, values_dtype
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Array, Datatype

if TYPE_CHECKING:
    from slipway_server.core.profile import Category, Number, Profile

ROWS_DUE: Final = 256
BYTES_DUE: Final = 2**20  # of inputs that wait, which are not freed meanwhile
CLASSES_MAX: Final = 32  # that are counted by themselves
OTHER_CLASS: Final = CLASSES_MAX
MISSING_CLASS: Final = CLASSES_MAX + 1
WIDTH_MAX: Final = 1024  # a wider row of numbers is an embedding, no answer
CONFIDENCES: Final = tuple(step / 20 for step in range(1, 21))
# Scores from 0 to 1 in tenths, beyond them powers of ten.
VALUES: Final = (
    *(-(10.0**power) for power in range(6, -1, -1)),
    *(step / 10 for step in range(11)),
    *(10.0**power for power in range(1, 7)),
)
_SUM_TOLERANCE: Final = 0.01  # of probabilities that were rounded to 16 bits
_Counts = npt.NDArray[np.int64]


def _zeros(count: int) -> _Counts:
    return np.zeros(count, np.int64)


@functools.cache
def _edges(values: tuple[float, ...], dtype: np.dtype[Any]) -> Array:
    """In the type of what is looked up: 0.1 of 32 bits is not above 0.1."""
    return np.array(values, dtype)


class _Numbers:
    """The features of numbers of one input."""

    def __init__(self, spec: TensorSpec, found: "Sequence[tuple[int, Number]]") -> None:
        """`found` are features and their columns."""
        self.features: Sequence[Number | Category] = [feature for _, feature in found]
        self._datatype = spec.datatype
        self._columns = np.array([column for column, _ in found])
        dtype = values_dtype(spec.datatype)
        self._cuts = [feature.cuts(dtype) for _, feature in found]
        self._firsts = (np.arange(len(found)) * BINS_MAX)[:, np.newaxis]
        self._counts = _zeros(len(found) * BINS_MAX)

    def add(self, rows: Array) -> None:
        """Count rows of shape (rows, columns)."""
        if rows.shape[1] <= self._columns.max():
            return  # a dynamic size that is too small for the profile this time
        columns = np.ascontiguousarray(numbers(rows[:, self._columns], self._datatype).T)
        bins = np.empty(columns.shape, np.int64)
        for index, cuts in enumerate(self._cuts):
            bins[index] = cuts.searchsorted(columns[index], side="right")
        bins += self._firsts
        self._counts += np.bincount(bins.ravel(), minlength=len(self._counts))

    def counts(self, index: int) -> Sequence[int]:
        """The counts of a feature, one for each of its bins."""
        first = index * BINS_MAX
        found: list[int] = self._counts[first : first + len(self.features[index].bins)].tolist()
        return found


class _Categories:
    """A feature of strings."""

    def __init__(self, column: int, feature: "Category") -> None:
        self.features: Sequence[Number | Category] = [feature]
        self._column = column
        self._places = feature.places
        self._other = len(feature.values)
        self._counts = _zeros(len(feature.bins))

    def add(self, rows: Array) -> None:
        """Count rows of shape (rows, columns)."""
        if rows.shape[1] > self._column:
            values = rows[:, self._column].tolist()
            bins = [self._places.get(value, self._other) for value in values]
            self._counts += np.bincount(bins, minlength=len(self._counts))

    def counts(self, _: int) -> Sequence[int]:
        """The counts, one for each bin."""
        found: list[int] = self._counts.tolist()
        return found


@dataclass(slots=True)
class Predictions:
    """Of one output. Which of it is counted shows with its first rows."""

    datatype: Datatype
    classes: _Counts = field(default_factory=lambda: _zeros(CLASSES_MAX + 2))
    class_count: int = 0  # known to be possible
    confidences: _Counts = field(default_factory=lambda: _zeros(len(CONFIDENCES) + 1))
    confidence_sum: float = 0.0
    values: _Counts = field(default_factory=lambda: _zeros(len(VALUES) + 2))  # the last: NaN

    def add(self, rows: Array) -> None:
        """Count rows of shape (rows, columns)."""
        if rows.shape[1] > WIDTH_MAX:
            return
        is_one = rows.shape[1] == 1
        if self.datatype in (Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64):
            rows = numbers(rows, self.datatype)
            (self._add_values if is_one else self._add_scores)(rows)
        elif is_one:
            self._add_labels(rows[:, 0])

    def _add_labels(self, labels: Array) -> None:
        """Whole numbers: the classes themselves."""
        is_known = (labels >= 0) & (labels < CLASSES_MAX)
        places = np.where(is_known, labels, OTHER_CLASS).astype(np.int64)
        self.classes += np.bincount(places, minlength=len(self.classes))

    def _add_scores(self, rows: Array) -> None:
        """A score for each class: the highest is the answer, and how sure it is if they add to 1.

        Which of more classes than are counted by themselves it is does not show.
        """
        self.class_count = min(rows.shape[1], CLASSES_MAX)
        sums = rows.sum(axis=1)
        places = np.minimum(rows.argmax(axis=1), OTHER_CLASS)
        places[np.isnan(sums)] = MISSING_CLASS
        self.classes += np.bincount(places, minlength=len(self.classes))
        is_share = (rows.min(axis=1) >= 0) & (np.abs(sums - 1) <= _SUM_TOLERANCE)
        highest = np.minimum(rows.max(axis=1)[is_share], 1)
        bins = _edges(CONFIDENCES, highest.dtype).searchsorted(highest)
        self.confidences += np.bincount(bins, minlength=len(self.confidences))
        self.confidence_sum += float(highest.sum())

    def _add_values(self, rows: Array) -> None:
        """One number for each row."""
        values = rows[:, 0]
        bins = _edges(VALUES, values.dtype).searchsorted(values)
        bins[np.isnan(values)] = len(VALUES) + 1
        self.values += np.bincount(bins, minlength=len(self.values))


class Tally:
    """Of one model."""

    def __init__(self, signature: Signature, profile: "Profile | None", *, rows_per_s: int) -> None:
        """`profile` must fit the signature; without one only predictions are counted."""
        self.row_count = 0
        self.predictions = {
            spec.name: Predictions(spec.datatype)
            for spec in signature.outputs
            if spec.datatype is not Datatype.BYTES  # a model may say back what a client said
        }
        self._features = _features(signature, profile) if profile is not None else []
        self._per_ns = rows_per_s * 1e-9
        self._credit = self._credit_max = float(rows_per_s)
        self._last_ns = 0
        self._waiting: list[Entry] = []
        self._waiting_rows = self._waiting_bytes = 0

    def add(self, batch: Sequence[Entry]) -> bool:
        """Take a batch that has run; whether what waits should now be counted."""
        last = batch[-1]
        credit = self._credit + (last.ended_ns - self._last_ns) * self._per_ns
        self._last_ns = last.ended_ns
        if credit > self._credit_max:
            credit = self._credit_max
        if credit > 0:
            self._waiting += batch
            row_count = sum([entry.row_count for entry in batch])
            credit -= min(row_count, ROWS_DUE * len(batch))
            self._waiting_rows += row_count
            self._waiting_bytes += len(batch) * sum([a.nbytes for a in last.feed.values()])
        self._credit = credit
        return self._waiting_rows >= ROWS_DUE or self._waiting_bytes >= BYTES_DUE

    def count(self) -> None:
        """Count what waits."""
        entries = [entry for entry in self._waiting if entry.error is None]
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0
        if not entries:
            return
        self.row_count += sum(_sampled(entry) for entry in entries)
        for name, counters in self._features:
            for rows in _blocks([(entry.feed[name], entry) for entry in entries]):
                counters.add(rows)
        for name, predictions in self.predictions.items():
            found = [
                (array, entry)
                for entry in entries
                for spec, array in zip(entry.specs, entry.arrays, strict=True)
                if spec.name == name
            ]
            for rows in _blocks(found):
                predictions.add(rows)

    def features(self) -> "list[tuple[Number | Category, Sequence[int]]]":
        """Each feature, and its counts, one for each of its bins."""
        return [
            (feature, counters.counts(index))
            for _, counters in self._features
            for index, feature in enumerate(counters.features)
        ]


def _features(signature: Signature, profile: "Profile") -> list[tuple[str, _Numbers | _Categories]]:
    from slipway_server.core.profile import Number, place  # loaded by whoever read the profile

    specs = {spec.name: spec for spec in signature.inputs}
    numbers: dict[str, list[tuple[int, Number]]] = {}
    made: list[tuple[str, _Numbers | _Categories]] = []
    for feature in profile.features:
        name, column = place(feature, signature)
        if isinstance(feature, Number):
            numbers.setdefault(name, []).append((column, feature))
        else:
            made.append((name, _Categories(column, feature)))
    return [*((name, _Numbers(specs[name], found)) for name, found in numbers.items()), *made]


def _step(entry: Entry) -> int:
    """Of a request with many rows only every so many-th is looked at."""
    return -(-entry.row_count // ROWS_DUE) or 1


def _sampled(entry: Entry) -> int:
    return -(-entry.row_count // _step(entry))


def _blocks(found: Sequence[tuple[Array, Entry]]) -> list[Array]:
    """Arrays of one or two dimensions as few of shape (rows, columns)."""
    by_width: dict[int, list[Array]] = {}
    for array, entry in found:
        if array.ndim in (1, 2) and len(array):
            rows = array.reshape(len(array), -1)[:: _step(entry)]
            if rows.shape[1]:
                by_width.setdefault(rows.shape[1], []).append(rows)
    return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in by_width.values()]
