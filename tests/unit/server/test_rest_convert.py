"""JSON of the protocol to core values and back."""

import json

import numpy as np
import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.tensors import Datatype, InferenceResponse, RequestedOutput, Tensor
from slipway_server.rest import convert

INPUT = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2.5]]}


def decode(fields):
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return convert.decode(body, model_name="m", model_version=None)[0]


def test_a_request_is_read_whole():
    request = decode({"id": "7", "inputs": [INPUT], "outputs": [{"name": "y"}], "more": 1})

    assert (
        request.model_name,
        request.model_version,
        request.request_id,
        request.outputs,
    ) == ("m", None, "7", (RequestedOutput("y"),))
    assert request.inputs[0].array.tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"inputs": [NaN]}', "not JSON"),
        ([], "must be a JSON object"),
        ({}, "'inputs' must be a list"),
        ({"inputs": {}}, "'inputs' must be a list"),
        ({"inputs": [1]}, "must be an object"),
        ({"inputs": [{**INPUT, "data": 1}]}, "'data' must be a list"),
        ({"inputs": [{**INPUT, "data": None}]}, "'data' must be a list"),
        ({"inputs": [{**INPUT, "data": [[1, {}]]}]}, "must be values of FP32"),
        ({"inputs": [INPUT], "id": 7}, "'id' must be a string"),
        ({"inputs": [INPUT], "outputs": "y"}, "'outputs' must be a list"),
        ({"inputs": [INPUT], "outputs": ["y"]}, "an object with a 'name'"),
    ],
)
def test_malformed_requests_are_refused(body, words):
    with pytest.raises(ServingError) as caught:
        decode(body)

    assert ErrorKind.INVALID_INPUT is caught.value.kind
    assert words in caught.value.message


def test_a_response_is_flat_and_names_its_version():
    y = Tensor("y", Datatype.FP32, np.array([[1, 2], [3, 4]], np.float32).T)
    s = Tensor("s", Datatype.BYTES, np.array(["ä"], object))

    fields = json.loads(convert.encode(InferenceResponse("m", "1.3.0", "7", (y, s)))[0])

    assert fields == {
        "model_name": "m",
        "model_version": "1.3.0",
        "id": "7",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1, 3, 2, 4]},
            {"name": "s", "datatype": "BYTES", "shape": [1], "data": ["ä"]},
        ],
    }


def test_an_absent_id_stays_absent():
    assert "id" not in json.loads(convert.encode(InferenceResponse("m", "1", None, ()))[0])


@pytest.mark.parametrize(
    "datatype", [d for d in Datatype if d not in (Datatype.BYTES, Datatype.BF16)]
)
def test_every_numeric_datatype_can_be_answered(datatype):
    data = [True] if datatype is Datatype.BOOL else [1]
    request = decode({"inputs": [{"name": "x", "datatype": datatype, "shape": [1], "data": data}]})

    fields = json.loads(convert.encode(InferenceResponse("m", "1", None, request.inputs))[0])

    assert data == fields["outputs"][0]["data"]
