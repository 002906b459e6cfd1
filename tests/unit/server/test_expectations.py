"""Expectations as people write them become what the core checks, or one line says why not."""

import json

import numpy as np
import pytest

from slipway_server import expectations
from slipway_server.core.errors import LoadError
from slipway_server.core.readiness import Expectations
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from tests.samples.contract_objects import FULL_SPEC, expecting, golden


def test_none_are_asked_for_by_an_empty_text() -> None:
    assert Expectations() == expectations.read("")
    assert Expectations() == expectations.read("{}")


def test_what_is_written_is_what_is_checked() -> None:
    text = json.dumps(expecting(golden(tolerance={"relative": 0.5}), warmUp=[{"x": [8, 2]}]))

    read = expectations.read(text, source="expectations.json")

    x, y = TensorSpec("x", Datatype.FP32, (-1, 2)), TensorSpec("y", Datatype.INT64, (-1,))
    assert read.signatures == (Signature((x,), (y,)),)
    assert read.warm_ups == ({"x": (8, 2)},)
    (one,) = read.golden
    assert (one.name, one.relative, one.absolute) == (
        "expectations.json: goldenRequests[0]",
        0.5,
        None,
    )
    assert one.inputs[0].array.tolist() == [[1, 2.5], [np.float32(-3e-7), 0]]
    assert one.expected[0].array.dtype == np.int64


def test_null_and_nested_values_are_read() -> None:
    read = expectations.read(json.dumps(FULL_SPEC["model"]["expectations"]))

    (one,) = read.golden
    assert one.inputs[0].array.shape == (2, 3)
    assert one.inputs[1].array.tolist() == "$(A)"
    assert np.isnan(one.expected[0].array).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expectations.json is not JSON"),
        ("[]", "expectations.json: Input should be"),
        (
            '{"golden": []}',
            "expectations.json: unknown field 'golden'; there are signature, warmUp, gol",
        ),
        (
            json.dumps(expecting(golden(x={"data": [1]}))),
            "expectations.json.goldenRequests[0].request.",
        ),
    ],
)
def test_what_makes_no_sense_is_named_with_its_file(text, words) -> None:
    with pytest.raises(LoadError) as caught:
        expectations.read(text, source="expectations.json")

    assert words in caught.value.message
    assert caught.value.is_permanent
