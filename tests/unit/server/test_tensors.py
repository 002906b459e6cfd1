"""Values and raw bytes become tensors, or a refusal that says what was expected."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slipway_server.core import tensors
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.tensors import DTYPES, Datatype, Header, Tensor

NUMERIC = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]


def header(datatype: str = "FP32", shape: tuple[int, ...] = (2,)) -> Header:
    return tensors.parse_header("x", datatype=datatype, shape=shape)


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(ServingError) as caught:
        call(*arguments, **named)
    assert caught.value.kind is ErrorKind.INVALID_INPUT
    return caught.value.message


@pytest.mark.parametrize(
    ("values", "shape", "expected"),
    [
        ([1, 2.5, 3, 4], (2, 2), [[1, 2.5], [3, 4]]),
        ([[1, 2], [3, 4]], (2, 2), [[1, 2], [3, 4]]),
        ([], (0, 3), np.zeros((0, 3))),
        ([7], (), 7),
    ],
)
def test_flat_and_nested_values_fill_the_shape_row_by_row(values, shape, expected):
    tensor = tensors.from_values(header("FP32", shape), values)

    assert np.array_equal(expected, tensor.array)
    assert shape == tensor.array.shape


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-128, 127]),
        ("UINT8", [0, 255]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("FP16", [1.5, -2]),
        ("FP64", [1e300, 2]),
        ("BYTES", ["", "ä"]),
    ],
)
def test_each_datatype_holds_its_extreme_values(datatype, values):
    tensor = tensors.from_values(header(datatype), values)

    assert values == tensor.array.tolist()
    assert DTYPES[datatype] == tensor.array.dtype


@pytest.mark.parametrize(
    ("datatype", "values", "words"),
    [
        ("INT64", [1.5, 2], "must be values of INT64"),
        ("INT64", [True, False], "must be values of INT64"),
        ("BOOL", [0, 1], "must be values of BOOL"),
        ("FP32", ["1", "2"], "must be values of FP32"),
        ("FP32", [None, 1.0], "must be values of FP32"),
        ("UINT8", [0, 256], "outside the range of UINT8"),
        ("UINT8", [-1, 0], "outside the range of UINT8"),
        ("INT64", [2**63, 2**64 - 1], "outside the range of INT64"),
        ("INT64", [0, 2**64 - 1], "outside the range of INT64"),
        ("UINT64", [-1, 2**64 - 1], "outside the range of UINT64"),
        ("UINT64", [0.5, 2**64 - 1], "must be values of UINT64"),
        ("FP32", [[1], [1, 2]], "not a regular array"),
        ("FP32", [[1], 2], "not a regular array"),
        ("FP32", [1, [2]], "must be values of FP32"),
        ("FP32", [1, {}], "must be values of FP32"),
        ("BYTES", [["a"], "b"], "not a regular array"),
        ("FP32", [[[[[[[[[1, 2]]]]]]]]], "nested more than 8"),
        ("BYTES", ["a", 1], "must be strings"),
        ("FP32", [1, 2, 3], "needs 2 elements, data has 3"),
        ("FP32", [[1, 2]], "nested as [1, 2]"),
    ],
)
def test_values_that_do_not_fit_are_refused(datatype, values, words):
    assert words in refusal(tensors.from_values, header(datatype), values)


@pytest.mark.parametrize(
    ("name", "datatype", "shape", "words"),
    [
        ("", "FP32", [1], "needs a 'name'"),
        (None, "FP32", [1], "needs a 'name'"),
        ("x", "FLOAT", [1], "unknown datatype 'FLOAT'"),
        ("x", None, [1], "unknown datatype None"),
        ("x", "FP32", None, "must be a list"),
        ("x", "FP32", "12", "must be a list"),
        ("x", "FP32", [-1], ">= 0, got -1"),
        ("x", "FP32", [1.0], ">= 0, got 1.0"),
        ("x", "FP32", [True], ">= 0, got True"),
        ("x", "FP32", [1] * 9, "9 dimensions; 8 are the most"),
    ],
)
def test_a_malformed_header_is_refused(name, datatype, shape, words):
    assert words in refusal(tensors.parse_header, name, datatype=datatype, shape=shape)


def test_strings_among_numbers_cost_no_more_memory_than_they_have():
    """numpy makes all elements of a list as long as its longest string: 80 KB became 1.6 GB."""
    values = ["a" * 20_000, *[""] * 20_000]
    calls = [
        (tensors.from_values, header("FP32"), values),
        (tensors.from_nested, "x", Datatype.FP32, values),
        (tensors.from_nested, "x", Datatype.INT8, [[value] for value in values]),
    ]
    tracemalloc.start()
    try:
        for call, *arguments in calls:
            refusal(call, *arguments)
        tensors.from_nested("x", Datatype.BYTES, values)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 10 * 2**20


def test_an_absurd_shape_is_refused_without_allocating():
    assert "needs" in refusal(tensors.from_values, header("FP32", (2**62, 2**62)), [1.0])
    assert "too large" in refusal(tensors.from_values, header("FP32", (0, 2**62, 2**62)), [])


@given(
    st.sampled_from(NUMERIC).flatmap(
        lambda datatype: st.tuples(
            st.just(datatype),
            hnp.arrays(DTYPES[datatype], hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)),
        )
    )
)
def test_raw_contents_survive_the_way_there_and_back(case):
    datatype, array = case
    raw = tensors.to_bytes(Tensor("x", datatype, array))

    back = tensors.from_bytes(header(datatype, array.shape), raw)

    assert raw == tensors.to_bytes(back)
    assert array.shape == back.array.shape


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_raw_strings_survive_the_way_there_and_back(texts):
    array = np.array(texts, dtype=object)
    raw = tensors.to_bytes(Tensor("x", Datatype.BYTES, array))

    back = tensors.from_bytes(header("BYTES", (len(texts),)), raw)

    assert texts == back.array.tolist()


@pytest.mark.parametrize(
    ("datatype", "raw", "words"),
    [
        ("FP32", b"\0" * 7, "needs 8 bytes, got 7"),
        ("FP32", b"\0" * 12, "needs 8 bytes, got 12"),
        ("BYTES", b"\1\0\0", "inside a length"),
        ("BYTES", b"\5\0\0\0abc", "inside an element"),
        ("BYTES", b"\1\0\0\0a", "needs 2 elements, got 1"),
        ("BYTES", b"\1\0\0\0a\1\0\0\0\xff", "must be UTF-8"),
    ],
)
def test_raw_contents_of_the_wrong_length_are_refused(datatype, raw, words):
    assert words in refusal(tensors.from_bytes, header(datatype), raw)
