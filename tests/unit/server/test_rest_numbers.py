"""Large bodies: what the fast parser reads is what the other one reads, or it says nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_server.core.errors import ServingError
from slipway_server.rest import convert, numbers


def body(data, datatype="FP32", shape=None, **more) -> bytes:
    tensor = {"name": "x", "datatype": datatype, "shape": shape or [len(data)], "data": data}
    return json.dumps({"inputs": [tensor], **more}).encode()


def decode(content: bytes):
    return convert.decode(content, model_name="m", model_version=None)[0]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT8", "UINT64"])
def test_flat_lists_of_every_kind_of_number_become_arrays(datatype):
    found = numbers.parse(body([0, 1, 100], datatype, id="a", parameters={"k": 1}))

    assert found["inputs"][0]["data"].tolist() == [0, 1, 100]
    assert (found["id"], found["parameters"]) == ("a", {"k": 1})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"{not json",
        b'{"inputs": [1]}',
        b'{"inputs": {"name": "x"}}',
        b'{"inputs": [], "inputs": []}',
        body([1, True]),
        body([1, None]),
        body([1, "1"]),
        body([1, [2, 3]]),
        body([[1, 2], [3, 4]]),
        body([1.5], "INT32"),
        body([-1], "UINT8"),
        body([2**64], "UINT64"),
        body([10**400], "FP64"),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_other_parser(content):
    assert numbers.parse(content) is None


@pytest.mark.parametrize(("datatype", "data"), [("BYTES", ["a", "b"]), ("BOOL", [True, False])])
def test_what_are_no_numbers_stays_a_list(datatype, data):
    assert numbers.parse(body(data, datatype))["inputs"][0]["data"] == data


def test_brackets_inside_strings_change_nothing():
    large = body([1.0] * 4096, shape=[4096], id="[[[")

    assert decode(large).inputs[0].array.sum() == 4096


def test_bf16_cannot_be_given_as_numbers_however_many_there_are():
    with pytest.raises(ServingError, match="only be given as raw bytes"):
        decode(body([1] * 4096, "BF16"))


def test_integers_out_of_range_are_refused_in_a_large_body_too():
    with pytest.raises(ServingError, match="outside the range of INT8"):
        decode(body([300] * 4096, "INT8"))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9), min_size=1))
def test_both_parsers_read_the_same_numbers(data):
    content = body(data, "FP64")

    fast = numbers.parse(content)["inputs"][0]["data"]

    assert np.array_equal(fast, np.array(json.loads(content)["inputs"][0]["data"], np.float64))
