"""The first protocol's rows and columns."""

import json

import numpy as np
import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype, InferenceResponse, Tensor
from slipway_server.rest.codec import Body
from slipway_server.rest.predict import Predict

X = TensorSpec("x", Datatype.FP32, (-1, 2))
N = TensorSpec("n", Datatype.INT64, (-1,))


def decode(fields, *specs):
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return Predict().decode(Body(body, None, "m", None, lambda: Signature(specs, ())))


def answered(fields, *arrays):
    """What a response with these outputs becomes, for a request like `fields`."""
    _, encode = decode(fields, X)
    tensors = [Tensor(n, Datatype.FP32, a) for n, a in zip("abc", arrays, strict=False)]
    return json.loads(encode(InferenceResponse("m", "1", None, tuple(tensors))).body)


@pytest.mark.parametrize(
    "fields",
    [
        {"instances": [[1, 2], [3, 4]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4]}]},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": {"x": [[1, 2], [3, 4]]}},
        {"instances": [[1, 2], [3, 4]], "signature_name": "serving_default"},
    ],
)
def test_one_input_is_given_in_any_of_four_ways(fields):
    request, _ = decode(fields, X)

    assert [(t.name, t.datatype, t.array.tolist()) for t in request.inputs] == [
        ("x", Datatype.FP32, [[1.0, 2.0], [3.0, 4.0]])
    ]


def test_several_inputs_are_given_by_name():
    rows, _ = decode({"instances": [{"x": [1, 2], "n": 7}, {"x": [3, 4], "n": 8}]}, X, N)
    columns, _ = decode({"inputs": {"x": [[1, 2], [3, 4]], "n": [7, 8]}}, X, N)

    for request in (rows, columns):
        assert {t.name: t.array.tolist() for t in request.inputs} == {
            "x": [[1, 2], [3, 4]],
            "n": [7, 8],
        }


def test_answers_come_as_the_question_was_put():
    a, b = np.array([[1.0], [2.0]]), np.array([3.0, 4.0])
    rows, columns = {"instances": [[1, 2]]}, {"inputs": [[1, 2]]}

    assert answered(rows, a) == {"predictions": [[1.0], [2.0]]}
    assert answered(rows, a, b) == {"predictions": [{"a": [1.0], "b": 3.0}, {"a": [2.0], "b": 4.0}]}
    assert answered(columns, a) == {"outputs": [[1.0], [2.0]]}
    assert answered(columns, a, b) == {"outputs": {"a": [[1.0], [2.0]], "b": [3.0, 4.0]}}


def test_outputs_without_rows_in_common_are_no_predictions():
    with pytest.raises(ServingError, match="no rows in common"):
        answered({"instances": [[1, 2]]}, np.array([1.0, 2.0]), np.array(3.0))


@pytest.mark.parametrize(
    ("fields", "specs", "words"),
    [
        (b"{", (X,), "not JSON"),
        ([], (X,), "must be a JSON object"),
        ({}, (X,), "either 'instances' or 'inputs'"),
        ({"instances": [], "inputs": []}, (X,), "either 'instances' or 'inputs'"),
        ({"instances": 7}, (X,), "must be a list of rows"),
        ({"instances": [[1, 2]]}, (X, N), "give each by its name"),
        ({"instances": [{"x": [1, 2]}, {"n": 7}]}, (X, N), "the same inputs"),
        ({"instances": [[1, 2], [3]]}, (X,), "not a regular array"),
        ({"instances": [["a", "b"]]}, (X,), "must be values of FP32"),
    ],
)
def test_what_fits_nothing_is_refused(fields, specs, words):
    with pytest.raises(ServingError, match=words) as caught:
        decode(fields, *specs)

    assert caught.value.kind is ErrorKind.INVALID_INPUT
