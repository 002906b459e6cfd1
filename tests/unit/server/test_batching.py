"""Which requests run together, and what each gets."""

import numpy as np
import pytest

from slipway_server.core import batching
from slipway_server.core.batching import Entry
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype

X = TensorSpec("x", Datatype.FP32, (-1, -1))
Y = TensorSpec("y", Datatype.FP32, (-1, -1))
COUNT = TensorSpec("count", Datatype.INT64, (-1,))


class Model:
    """Computes with a function of `x`; remembers how many rows came at once."""

    platform, name = "test", "test"

    def __init__(self, compute=lambda x: x * 2, *, inputs=(X,), outputs=(Y,)) -> None:
        self.signature = Signature(tuple(inputs), tuple(outputs))
        self.compute = compute
        self.runs: list[int] = []

    def infer(self, feed, outputs):
        x = feed["x"]
        self.runs.append(x.shape[0])
        if np.isnan(x).any():
            raise ServingError(ErrorKind.INTERNAL, "inference failed: NaN")
        known = {"y": self.compute(x), "count": np.full(x.shape[:1], x.shape[1])}
        return [known[name] for name in outputs]


def entry(rows, *, specs=(Y,), **more):
    feed = {"x": np.array(rows, np.float32), **more}
    return Entry(feed, specs, is_batchable=True, deadline_ns=None)


def ran(model, *entries):
    batching.compute(model, entries)
    return [[array.tolist() for array in each.arrays] for each in entries]


def test_each_request_gets_its_own_rows_and_its_own_outputs():
    model = Model(outputs=(Y, COUNT))

    found = ran(
        model, entry([[1], [2]]), entry([[3]], specs=(COUNT, Y)), entry([[4]], specs=(COUNT,))
    )

    assert found == [[[[2], [4]]], [[1], [[6]]], [[1]]]
    assert model.runs == [4]


def test_a_row_that_fails_fails_alone():
    model = Model()
    entries = [entry([[1]]), entry([[np.nan]]), entry([[3]])]

    ran(model, *entries)

    assert [each.error is None for each in entries] == [True, False, True]
    assert [each.ran_with for each in entries] == [1, 1, 1]
    assert model.runs == [3, 1, 1, 1]


def test_outputs_that_lose_rows_are_computed_one_by_one():
    model = Model(lambda x: x.sum(axis=0, keepdims=True))

    assert ran(model, entry([[1]]), entry([[2]])) == [[[[1]]], [[[2]]]]


@pytest.mark.parametrize(
    ("waiting", "limit", "expected"),
    [
        ([entry([[1]]), entry([[2]]), entry([[3]])], 2, 2),
        ([entry([[1]]), entry([[2], [3]]), entry([[4]])], 2, 2),  # the third fits, too
        ([entry([[1], [2], [3]]), entry([[4]])], 2, 1),  # larger than the limit, alone
        ([entry([[1]]), entry([[2, 3]]), entry([[4]])], 8, 2),  # other shapes wait
        ([entry([[1]]), entry(np.zeros((0, 1))), entry([[4]])], 8, 2),  # nothing runs alone
        ([entry(np.zeros((0, 1))), entry([[4]])], 8, 1),
        ([entry([[1]], z=np.zeros((2, 1))), entry([[4]])], 8, 1),  # uneven rows
        ([entry([[1]]), entry([[2]])], 1, 1),
    ],
)
def test_a_batch_is_the_oldest_and_what_fits_to_it(waiting, limit, expected):
    chosen = batching.choose(waiting, limit)

    assert chosen[0] is waiting[0]
    assert len(chosen) == expected
    assert chosen == [each for each in waiting if each in chosen]


@pytest.mark.parametrize(
    ("model", "row", "expected"),
    [
        (Model(), [[1.0, 2.0]], True),
        (Model(), [[1.0], [2.0]], True),
        (Model(lambda x: x - x.mean(axis=0)), [[1.0]], False),  # rows know of each other
        (Model(lambda x: x.sum(axis=0, keepdims=True)), [[1.0]], False),
        (Model(lambda x: np.where(x.shape[0] > 1, np.nan, x)), [[1.0]], False),
        (Model(), [[0.0]], None),  # zeros beside zeros say nothing
        (Model(), [[np.nan]], None),  # it fails alone already
    ],
)
def test_whether_rows_may_run_together_is_tried_beside_zeros(model, row, expected):
    one = entry(row)

    batching.prove(model, one)

    assert one.proof is expected
    assert one.ran_with == len(row)


def test_no_rows_of_an_absurd_size_are_not_tried_beside_a_row_of_it():
    """The petabyte of zeros for it could not be had, and nobody was answered ever after."""
    one = entry(np.empty((0, 2**48), np.float32))

    batching.prove(Model(), one)

    assert (one.proof, one.arrays[0].shape) == (None, (0, 2**48))


def test_a_proof_leaves_the_answer_as_it_is_alone():
    one = entry([[1.0]])

    batching.prove(Model(lambda x: x - x.mean(axis=0)), one)

    assert one.arrays[0].tolist() == [[0.0]]
