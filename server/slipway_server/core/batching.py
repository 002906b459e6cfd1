"""Batches: which waiting requests run together, and what each gets of the result.

Requests run together if their inputs differ in nothing but the number of rows. Rows are counted,
not requests. A batch that fails is run again one request at a time, so that one client's row cannot
fail another's.

Pure but for `compute`, which runs the model in the calling thread.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np

from slipway_server.backends.base import Backend
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import TensorSpec
from slipway_server.core.tensors import Array

ShapeKey = tuple[tuple[int, ...], ...]
_RELATIVE_MAX: Final = 1e-3
_ABSOLUTE_MAX: Final = 1e-5


class Entry:
    """One request while it waits, runs and has run.

    Times are of `time.perf_counter_ns`; `deadline_ns` None: nobody said how long the client waits.
    `arrays` are the outputs in the order of `specs`; `error` is there instead if it failed.
    `ran_with` is how many rows ran together. `done` is called on the loop once it has run.
    `can_share`: it has rows, and all inputs have as many.
    """

    __slots__ = (
        *("feed", "specs", "row_count", "key", "can_share", "deadline_ns"),
        *("queued_ns", "began_ns", "ended_ns", "ran_with", "arrays", "error", "proof", "done"),
    )

    def __init__(
        self,
        feed: Mapping[str, Array],
        specs: Sequence[TensorSpec],
        *,
        is_batchable: bool,
        deadline_ns: int | None,
    ) -> None:
        self.feed = feed
        self.specs = specs
        shapes = [array.shape for array in feed.values()]
        self.row_count = row_count = shapes[0][0] if is_batchable else 1
        self.can_share = row_count > 0
        for shape in shapes:
            if shape[:1] != (row_count,):
                self.can_share = False
        self.key: ShapeKey = tuple([shape[1:] for shape in shapes])
        self.deadline_ns = deadline_ns
        self.queued_ns = time.perf_counter_ns()
        self.began_ns = self.ended_ns = 0
        self.ran_with = 0
        self.arrays: Sequence[Array] = ()
        self.error: Exception | None = None
        self.proof: bool | None = None
        self.done: Callable[[], None] | None = None


def choose(waiting: Sequence[Entry], row_count_max: int) -> list[Entry]:
    """The batch that runs next: the oldest entry, and what fits to it, in order of arrival.

    An entry that alone has more rows than the limit runs alone.
    """
    first = waiting[0]
    chosen, row_count = [first], first.row_count
    if row_count >= row_count_max or not first.can_share:
        return chosen
    key, room = first.key, row_count_max - row_count
    for entry in islice(waiting, 1, None):
        if entry.row_count <= room and entry.can_share and entry.key == key:
            chosen.append(entry)
            room -= entry.row_count
            if not room:
                break
    return chosen


def compute(backend: Backend, batch: Sequence[Entry], *, is_shared: bool = True) -> None:
    """Run a batch; afterwards each entry has its arrays or its error.

    `is_shared` False: one after the other, for models whose rows must not meet.
    """
    if is_shared and len(batch) > 1:
        began_ns = time.perf_counter_ns()
        try:
            row_count = _together(backend, batch)
        except Exception:  # noqa: BLE001 - whose fault it is shows one by one
            pass
        else:
            _stamp(batch, began_ns, row_count)
            return
    for entry in batch:
        began_ns = time.perf_counter_ns()
        try:
            entry.arrays = _alone(backend, entry)
        except Exception as err:  # noqa: BLE001 - belongs to the request, which is answered with it
            entry.error = err
        _stamp([entry], began_ns, entry.row_count)


def _stamp(entries: Sequence[Entry], began_ns: int, row_count: int) -> None:
    ended_ns = time.perf_counter_ns()
    for entry in entries:
        entry.began_ns, entry.ended_ns, entry.ran_with = began_ns, ended_ns, row_count


def prove(backend: Backend, entry: Entry) -> None:
    """Run an entry as `compute` does, then beside a row of zeros: does it change its answer?

    A model may mix its rows (a mean over the batch, an attention over it), whatever its signature
    says. Nothing is tried with it but zeros, which it was warmed up with, and what a client sends:
    values that somebody made up might hang it. `entry.proof` stays None where nothing was shown.
    """
    compute(backend, [entry])
    # Before zeros are made: of no rows, the other sizes are whatever a client says.
    if entry.error is not None or not entry.can_share:
        return
    try:
        beside = {name: _zeros(array) for name, array in entry.feed.items()}
        if all(np.array_equal(entry.feed[name][:1], row) for name, row in beside.items()):
            return
        both = [_again(entry, entry.feed), _again(entry, beside)]
        alone = [entry.arrays, _alone(backend, both[1])]
        _together(backend, both)
    except Exception:  # noqa: BLE001 - whatever it is: they cannot run together
        entry.proof = False
        return
    pairs = zip(alone, (each.arrays for each in both), strict=True)
    entry.proof = all(
        _are_alike(one, other)
        for own, shared in pairs
        for one, other in zip(own, shared, strict=True)
    )


def _zeros(array: Array) -> Array:
    """One row that the model was warmed up with, but for its other sizes."""
    shape = (1, *array.shape[1:])
    return (
        np.full(shape, "", dtype=object)
        if array.dtype.kind == "O"
        else np.zeros(shape, array.dtype)
    )


def _again(entry: Entry, feed: Mapping[str, Array]) -> Entry:
    return Entry(feed, entry.specs, is_batchable=True, deadline_ns=None)


def _alone(backend: Backend, entry: Entry) -> Sequence[Array]:
    return backend.infer(entry.feed, [spec.name for spec in entry.specs])


def _are_alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":  # sums are made in another order when there are more rows
        return np.allclose(one, other, rtol=_RELATIVE_MAX, atol=_ABSOLUTE_MAX, equal_nan=True)
    return np.array_equal(one, other)


def _together(backend: Backend, batch: Sequence[Entry]) -> int:
    """How many rows ran."""
    # Most want all outputs: the same specs.
    wanted = {id(entry.specs): entry.specs for entry in batch}.values()
    names = list(dict.fromkeys(spec.name for specs in wanted for spec in specs))
    feed = {name: np.concatenate([entry.feed[name] for entry in batch]) for name in batch[0].feed}
    outputs = dict(zip(names, backend.infer(feed, names), strict=True))
    row_count = sum([entry.row_count for entry in batch])
    if any(array.shape[:1] != (row_count,) for array in outputs.values()):
        raise ServingError(ErrorKind.INTERNAL, "an output has not as many rows as the inputs")
    cuts = {id(specs): [outputs[spec.name] for spec in specs] for specs in wanted}
    first = 0
    for entry in batch:
        last = first + entry.row_count
        entry.arrays = [whole[first:last] for whole in cuts[id(entry.specs)]]
        first = last
    return row_count
