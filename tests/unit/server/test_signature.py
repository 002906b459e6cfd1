"""Only a violation of the signature is refused, with what was expected."""

import numpy as np
import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype, Tensor

X = TensorSpec("x", Datatype.FP32, (-1, 2))
TAG = TensorSpec("tag", Datatype.BYTES, (1,))
Y = TensorSpec("y", Datatype.FP32, (-1,))
Z = TensorSpec("z", Datatype.INT64, ())
SIGNATURE = Signature(inputs=(X, TAG), outputs=(Y, Z))


def x(shape: tuple[int, ...] = (3, 2), name: str = "x") -> Tensor:
    return Tensor(name, Datatype.FP32, np.ones(shape, np.float32))


def tag() -> Tensor:
    return Tensor("tag", Datatype.BYTES, np.array(["a"], object))


def test_inputs_may_come_in_any_order_and_any_dynamic_size():
    assert {"x", "tag"} == SIGNATURE.feed([tag(), x((9, 2))]).keys()
    assert SIGNATURE.feed([tag(), x((0, 2))])["x"].shape == (0, 2)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([x()], "missing input 'tag'"),
        ([], "missing input 'x', 'tag'"),
        ([x(), tag(), x(name="w")], "unknown input 'w'; this model takes 'x', 'tag'"),
        ([x(), x(), tag()], "'x' is given twice"),
        ([x((3, 4)), tag()], "expected shape [-1, 2] (-1 is any size), got [3, 4]"),
        ([x((2,)), tag()], "got [2]"),
        ([Tensor("x", Datatype.FP64, np.ones((1, 2))), tag()], "expected datatype FP32, got FP64"),
    ],
)
def test_what_violates_the_signature_is_refused(inputs, words):
    with pytest.raises(ServingError, match="input") as caught:
        SIGNATURE.feed(inputs)

    assert ErrorKind.INVALID_INPUT is caught.value.kind
    assert words in caught.value.message


def test_outputs_asked_for_are_given_in_that_order():
    assert SIGNATURE.select(["z", "y"]) == (Z, Y)
    assert SIGNATURE.select(("z",)) == (Z,)
    assert SIGNATURE.select(None) == (Y, Z)


@pytest.mark.parametrize("names", [["nope"], ["y", "y"]])
def test_outputs_that_do_not_exist_or_repeat_are_refused(names):
    with pytest.raises(ServingError) as caught:
        SIGNATURE.select(names)

    assert ErrorKind.INVALID_INPUT is caught.value.kind


def test_zeros_fit_the_signature_they_are_made_from():
    zeros, more = SIGNATURE.zeros({}), SIGNATURE.zeros({"x": (8, 2)})

    assert (zeros["x"].shape, more["x"].shape) == ((1, 2), (8, 2))
    assert zeros["tag"].tolist() == more["tag"].tolist() == [""]
