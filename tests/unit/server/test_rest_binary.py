"""Tensors as raw bytes behind the JSON of a body."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype, InferenceResponse, RequestedOutput, Tensor
from slipway_server.rest import convert

X = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
XS = struct.pack("<ff", 1.5, -2)


def decode(fields, tail=b"", *, length=None):
    header = json.dumps(fields).encode()
    return convert.decode(
        header + tail,
        model_name="m",
        model_version=None,
        header_length=len(header) if length is None else length,
    )


def test_binary_inputs_take_their_parts_in_order_and_others_have_data():
    y = {"name": "y", "datatype": "INT8", "shape": [1], "data": [7]}
    s = {"name": "s", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}}

    request, _ = decode({"inputs": [X, y, s]}, XS + b"\2\0\0\0hi")

    assert [entry.array.tolist() for entry in request.inputs] == [[1.5, -2], [7], ["hi"]]
    assert all(entry.array.flags.aligned for entry in request.inputs)


def test_bits_of_bf16_pass_unchanged():
    y = {"name": "y", "datatype": "BF16", "shape": [2], "parameters": {"binary_data_size": 4}}
    request, wanted = decode({"inputs": [y]}, b"\x80\x3f\x00\x40")

    body, length = convert.encode(InferenceResponse("m", "1", None, request.inputs), wanted)

    assert body[length:] == b"\x80\x3f\x00\x40"


def test_an_output_comes_as_it_was_asked_for_and_the_rest_by_the_default():
    asked = [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}]
    fields = {"inputs": [], "outputs": asked, "parameters": {"binary_data_output": True}}
    request, wanted = decode(fields)
    tensors = [Tensor(name, Datatype.FP32, np.array([1], np.float32)) for name in "ab"]

    body, length = convert.encode(InferenceResponse("m", "1", None, tuple(tensors)), wanted)

    outputs = json.loads(body[:length])["outputs"]
    assert request.outputs == (RequestedOutput("a"), RequestedOutput("b"))
    assert outputs[0]["data"] == [1]
    assert outputs[1]["parameters"] == {"binary_data_size": 4}
    assert body[length:] == struct.pack("<f", 1)


def test_classes_are_asked_for_by_output():
    asked = [{"name": "a", "parameters": {"classification": 3}}]

    request, _ = decode({"inputs": [], "outputs": asked})

    assert request.outputs == (RequestedOutput("a", 3),)


@pytest.mark.parametrize(
    ("fields", "tail", "length", "words"),
    [
        ({"inputs": [X]}, XS[:7], None, "binary_data_size is 8, 7 bytes are left"),
        ({"inputs": [X]}, XS + b"!", None, "1 bytes follow the last binary input"),
        ({"inputs": [X]}, XS, 10_000, "the body has"),
        ({"inputs": [X]}, XS, 5, "not JSON"),
        ({"inputs": [{**X, "data": [1, 2]}]}, XS, None, "both 'data' and"),
        ({"inputs": [{**X, "shape": [3]}]}, XS, None, "needs 12 bytes, got 8"),
        ({"inputs": [{**X, "shape": [2**40, 2**40]}]}, XS, None, "bytes, got 8"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": -8}}]}, XS, None, "integer >= 0"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": "8"}}]}, XS, None, "integer >= 0"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 2**63}}]}, XS, None, "are left"),
        ({"inputs": [{**X, "parameters": [8]}]}, XS, None, "must be an object"),
        ({"inputs": [], "parameters": {"a": []}}, b"", None, "strings, numbers or booleans"),
        ({"inputs": [], "parameters": {"binary_data_output": 1}}, b"", None, "true or false"),
        (
            {"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
            b"",
            None,
            "'classification' must be",
        ),
    ],
)
def test_lies_about_lengths_are_refused(fields, tail, length, words):
    with pytest.raises(ServingError) as caught:
        decode(fields, tail, length=length)

    assert caught.value.kind is ErrorKind.INVALID_INPUT
    assert words in caught.value.message


@given(st.binary(max_size=64), st.integers(0, 64), st.sampled_from(list(Datatype)))
def test_whatever_follows_is_read_or_refused(tail, size, datatype):
    entry = {
        "name": "x",
        "datatype": datatype,
        "shape": [2],
        "parameters": {"binary_data_size": size},
    }
    try:
        request, _ = decode({"inputs": [entry]}, tail)
        kind, shape = None, request.inputs[0].array.shape
    except ServingError as err:
        kind, shape = err.kind, None
    assert (kind, shape) in [(None, (2,)), (ErrorKind.INVALID_INPUT, None)]


def signature(*shape, datatype=Datatype.FP32):
    return Signature((TensorSpec("x", datatype, shape),), ())


def raw(body, made):
    request, wanted = convert.decode_raw(body, model_name="m", model_version="1", signature=made)
    assert wanted.wants_bytes("any")
    return request.inputs[0].array


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2,), (2,)), ((1, 2), (1, 2)), ((-1, 2), (1, 2)), ((-1, 1, -1), (1, 1, 2))],
)
def test_a_raw_body_fills_the_last_size_that_may_vary(shape, expected):
    assert raw(XS, signature(*shape)).shape == expected


def test_a_raw_body_of_text_is_one_element():
    made = raw("ä".encode(), signature(-1, datatype=Datatype.BYTES))

    assert made.tolist() == ["ä"]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (signature(3), "needs 12 bytes, got 4"),
        (signature(-1, 3), "needs 0 bytes, got 4"),
        (signature(2, datatype=Datatype.BYTES), "needs 2 elements"),
        (Signature((), ()), "takes 0"),
    ],
)
def test_a_raw_body_that_does_not_fit_is_refused(made, words):
    with pytest.raises(ServingError, match=words) as caught:
        raw(b"text", made)

    assert caught.value.kind is ErrorKind.INVALID_INPUT
