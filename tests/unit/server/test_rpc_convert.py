"""Protobuf messages of the protocol to core values and back."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.tensors import Datatype, InferenceResponse, Tensor
from slipway_server.rpc import convert

Request = service_pb2.ModelInferRequest


def tensor(name="x", datatype="FP32", shape=(2,), **contents):
    entry = Request.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        entry.contents.CopyFrom(service_pb2.InferTensorContents(**contents))
    return entry


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT64", "uint64_contents", [1, 2**64 - 1]),
        ("FP32", "fp32_contents", [1.5, -2.0]),
        ("FP64", "fp64_contents", [1e300, 0.0]),
    ],
)
def test_typed_contents_are_read(datatype, field, values):
    request = convert.decode(Request(inputs=[tensor(datatype=datatype, **{field: values})]))

    assert values == request.inputs[0].array.tolist()


def test_string_contents_are_decoded():
    message = Request(inputs=[tensor(datatype="BYTES", bytes_contents=[b"a", "ä".encode()])])

    assert convert.decode(message).inputs[0].array.tolist() == ["a", "ä"]


def test_raw_contents_are_read_in_the_order_of_the_inputs():
    raw = [np.array([1, 2], np.float32).tobytes(), np.array([3], np.int8).tobytes()]
    inputs = [tensor(), tensor("n", "INT8", (1,))]

    request = convert.decode(Request(inputs=inputs, raw_input_contents=raw))

    assert [entry.array.tolist() for entry in request.inputs] == [[1, 2], [3]]


def test_empty_fields_mean_not_given():
    request = convert.decode(Request(model_name="m"))

    assert (
        request.model_version,
        request.request_id,
        request.outputs,
    ) == (None, None, ())


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Request(inputs=[tensor()], raw_input_contents=[b"", b""]), "2 entries for 1 inputs"),
        (
            Request(inputs=[tensor(fp32_contents=[1, 2])], raw_input_contents=[b"\0" * 8]),
            "although raw_input_contents",
        ),
        (Request(inputs=[tensor(fp32_contents=[1])]), "needs 2 elements, data has 1"),
        (Request(inputs=[tensor(int_contents=[1, 2])]), "needs 2 elements, data has 0"),
        (Request(inputs=[tensor(datatype="INT8", int_contents=[1, 300])]), "outside the range"),
        (Request(inputs=[tensor(datatype="FP16")]), "FP16 needs raw_input_contents"),
        (Request(inputs=[tensor(shape=(-1,))]), ">= 0, got -1"),
    ],
)
def test_malformed_messages_are_refused(message, words):
    with pytest.raises(ServingError) as caught:
        convert.decode(message)

    assert ErrorKind.INVALID_INPUT is caught.value.kind
    assert words in caught.value.message


def test_an_answer_carries_raw_contents():
    y = Tensor("y", Datatype.FP32, np.array([[1, 2]], np.float32))

    message = convert.encode(InferenceResponse("m", "1.3.0", "7", (y,)))

    assert (message.model_name, message.model_version, message.id) == ("m", "1.3.0", "7")
    assert list(message.outputs[0].shape) == [1, 2]
    assert [y.array.tobytes()] == list(message.raw_output_contents)
