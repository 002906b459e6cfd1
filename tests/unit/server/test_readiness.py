"""What a model must show before it answers: one line says what it did not."""

import math

import numpy as np
import pytest

from slipway_server.backends import onnx as onnx_backend
from slipway_server.core import readiness
from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.core.readiness import Golden
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import DTYPES, Datatype, Tensor

X = TensorSpec("x", Datatype.FP32, (-1, 2))
Y = TensorSpec("y", Datatype.FP32, (-1, 2))
COUNT = TensorSpec("row_count", Datatype.INT64, (1,))


def tensor(name: str, datatype: Datatype, values) -> Tensor:
    return Tensor(name, datatype, np.array(values, DTYPES[datatype]))


class Echo:
    """A model whose output `y` is its input `x`, and which remembers what it was asked."""

    platform = name = "echo"

    def __init__(self, datatype: Datatype = Datatype.FP32, *, limit: int = 100) -> None:
        spec = TensorSpec("x", datatype, (-1,))
        self.signature = Signature((spec,), (TensorSpec("y", datatype, (-1,)),))
        self.asked: list[list[int]] = []
        self._limit = limit

    def infer(self, feed, outputs):
        self.asked.append(list(feed["x"].shape))
        if feed["x"].size > self._limit:
            raise ServingError(ErrorKind.INTERNAL, "inference failed: too many")
        return [feed["x"]] * len(outputs)


@pytest.fixture(scope="module")
def scale(scale_file):
    return onnx_backend.load(scale_file, thread_count=1)


def golden(y, count=(1,), **tolerance) -> Golden:
    asked = (tensor("x", Datatype.FP32, [[1, 2]]),)
    expected = (tensor("y", Datatype.FP32, y), tensor("row_count", Datatype.INT64, count))
    return Golden("goldenRequests[3]", asked, expected, **tolerance)


def test_a_signature_is_the_same_in_any_order(scale) -> None:
    readiness.check_signature(Signature((X,), (COUNT, Y)), scale.signature)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (
            Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), (Y, COUNT)),
            "input 'x' is FP32 [-1, 2], declared is FP32 [-1, 3]",
        ),
        (
            Signature((X,), (Y, TensorSpec("row_count", Datatype.INT32, (1,)))),
            "output 'row_count' is INT64 [1], declared is INT32 [1]",
        ),
        (Signature((X, COUNT), (Y, COUNT)), "input 'row_count' is declared, the model has 'x'"),
        (
            Signature((X,), (Y,)),
            "the model has output 'row_count', INT64 [1], which is not declared",
        ),
    ],
)
def test_a_signature_that_differs_is_refused(scale, declared, words) -> None:
    with pytest.raises(LoadError) as caught:
        readiness.check_signature(declared, scale.signature)

    assert caught.value.message.startswith(words)
    assert caught.value.is_permanent


def test_a_model_is_warmed_up_with_one_row_unless_shapes_are_declared() -> None:
    bare, declared = Echo(), Echo()

    readiness.warm_up(bare, ())
    readiness.warm_up(declared, ({"x": (8,)}, {}, {"x": (3,)}))

    assert bare.asked == [[1]]
    assert declared.asked == [[8], [1], [3]]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"z": (1,)}, "warmUp of z [1]: unknown input 'z'; this model takes 'x'"),
        ({"x": (1, 1)}, "warmUp of x [1, 1]: input 'x': expected shape [-1]"),
        ({"x": (101,)}, "the model fails on zeros, x [101]: inference failed: too many"),
        ({"x": (2**60,)}, "is larger than the memory here"),
    ],
)
def test_a_warm_up_that_fails_names_its_shapes(shapes, words) -> None:
    with pytest.raises(LoadError) as caught:
        readiness.warm_up(Echo(), (shapes,))

    assert words in caught.value.message


def test_a_golden_request_is_answered_within_the_tolerance_of_its_datatype(scale) -> None:
    readiness.check_golden(scale, golden([[1.0005, 19.99]]))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            golden([[1, 20.5]]),
            "goldenRequests[3]: output 'y' at [0, 1] is 20, expected 20.5 within 0.021 (1 of 2",
        ),
        (golden([[1, 20.5]], relative=0.0, absolute=0.4), "expected 20.5 within 0.4 (1 of 2"),
        (golden([[math.nan, 20]]), "output 'y' at [0, 0] is 1, expected not finite (1 of 2 differ"),
        (golden([[1, 20]], (2,)), "output 'row_count' at [0] is 1, expected 2 (1 of 1 differ)"),
        (golden([[1]]), "output 'y' has shape [1, 2], expected [1, 1]"),
        (
            Golden("g", (tensor("x", Datatype.FP32, [1]),), ()),
            "g: input 'x': expected shape [-1, 2] (-1 is any size), got [1]",
        ),
        (
            Golden(
                "g",
                (tensor("x", Datatype.FP32, [[1, 2]]),),
                (tensor("y", Datatype.FP64, [[1, 20]]),),
            ),
            "g: output 'y' is FP32, expected FP64",
        ),
        (
            Golden(
                "g",
                (tensor("x", Datatype.FP32, [[1, 2]]),),
                (tensor("z", Datatype.FP32, [[1, 20]]),),
            ),
            "g: unknown output 'z'; this model gives 'y', 'row_count'",
        ),
    ],
)
def test_an_answer_that_is_off_says_where_and_how_far(scale, asked, words) -> None:
    with pytest.raises(LoadError) as caught:
        readiness.check_golden(scale, asked)

    assert words in caught.value.message
    assert len(caught.value.message) < 110


@pytest.mark.parametrize(
    ("datatype", "sent", "expected"),
    [
        (Datatype.FP32, [math.nan, math.inf, 1e6], [math.nan, math.nan, 1e6 + 500]),
        (Datatype.FP64, [1e6], [1e6 + 0.5]),
        (Datatype.FP16, [100, 0], [100.5, 0.0005]),
        (Datatype.UINT64, [2**64 - 1], [2**64 - 1]),
        (Datatype.BOOL, [True, False], [True, False]),
        (Datatype.BYTES, ["é", ""], ["é", ""]),
        (Datatype.FP32, [], []),
    ],
)
def test_floats_may_be_near_and_all_else_is_equal(datatype, sent, expected) -> None:
    asked = Golden("g", (tensor("x", datatype, sent),), (tensor("y", datatype, expected),))

    readiness.check_golden(Echo(datatype), asked)


@pytest.mark.parametrize(
    ("datatype", "sent", "expected", "words"),
    [
        (Datatype.FP32, [math.inf], [1], "is not finite, expected 1"),
        (Datatype.FP64, [1e6], [1e6 + 2], "expected 1000002 within 1"),
        (Datatype.INT64, [2**62], [2**62 + 1], f"is {2**62}, expected {2**62 + 1} (1 of 1"),
        (Datatype.UINT64, [2**64 - 1], [2**64 - 2], f"is {2**64 - 1}, expected {2**64 - 2}"),
        (Datatype.BOOL, [True, False], [True, True], "at [1] is False, expected True"),
        (Datatype.BYTES, ["a" * 99], ["b"], f"is '{'a' * 39}…, expected 'b'"),
    ],
)
def test_what_is_off_by_more_is_shown_as_people_write_it(datatype, sent, expected, words) -> None:
    asked = Golden("g", (tensor("x", datatype, sent),), (tensor("y", datatype, expected),))

    with pytest.raises(LoadError) as caught:
        readiness.check_golden(Echo(datatype), asked)

    assert words in caught.value.message
