"""Expectations: what no CEL can see is refused where they are read, with the place."""

import json

import pytest
from pydantic import ValidationError

from slipway_api.expectations import Expectations
from slipway_api.model_source import EXPECTATIONS_BYTES_MAX, ModelSource
from slipway_api.rules import describe
from tests.samples.contract_objects import FULL_SPEC, SIGNATURE, X, Y, expecting, golden


def complaint(given) -> str:
    with pytest.raises(ValidationError) as refusal:
        Expectations.model_validate(given)
    return describe(refusal.value, at="expectations")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            expecting(golden(x={"shape": [2, 2], "data": [1, 2, 3]})),
            "goldenRequests[0].request.inputs[0].data: shape [2, 2] needs 4 values, data has 3",
        ),
        (
            expecting(golden(x={"data": [[1, 2], [3]]})),
            "inputs[0].data: data is not nested as shape [2, 2] says",
        ),
        (
            expecting(golden(x={"data": [[1, 2], 3, 4]})),
            "inputs[0].data: data is not nested as shape [2, 2] says",
        ),
        (expecting(golden(x={"data": [1, 2, "3", 4]})), "inputs[0].data: value 2 is no FP32"),
        (expecting(golden(x={"data": [1, None, 3, 4]})), "inputs[0].data: value 1 is no FP32"),
        (expecting(golden(x={"data": [[[1]], [2]]})), "data is not nested as shape [2, 2] says"),
        (expecting(golden(y={"data": [1, 2.5]})), "outputs[0].data: value 1 is no INT64"),
        (expecting(golden(y={"data": [True, 1]})), "outputs[0].data: value 0 is no INT64"),
        (expecting(golden(y={"data": [0, 2**63]})), "outputs[0].data: value 1 is no INT64"),
        (expecting(golden(y={"data": [0, None]})), "outputs[0].data: value 1 is no INT64"),
        (expecting(golden(x={"datatype": "BF16"})), "request.inputs[0].datatype: Input should be"),
        (
            expecting(golden(x={"shape": [1, 4]})),
            "goldenRequests[0].request.inputs: 'x' has shape [1, 4], signature declares [-1, 2]",
        ),
        (
            expecting(golden(y={"shape": [1, 2]})),
            "response.outputs: 'y' has shape [1, 2], signature declares [-1]",
        ),
        ({"signature": SIGNATURE | {"inputs": [X, X]}}, "signature.inputs: 'x' is there twice"),
        ({"signature": {"inputs": [X], "outputs": [Y | {"shape": [-2]}]}}, "shape[0]"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(given, words) -> None:
    assert words in complaint(given)


def test_one_mistake_is_one_complaint() -> None:
    one = complaint(expecting(golden(y={"data": [1, 2, 3]})))

    assert one == (
        "expectations.goldenRequests[0].response.outputs[0].data: shape [2] needs 2 values,"
        " data has 3"
    )


def test_what_was_recorded_beside_the_tensors_is_ignored() -> None:
    read = Expectations.model_validate(expecting(golden()))

    assert "model_name" not in read.to_text()
    assert "id" not in json.loads(read.to_text())["goldenRequests"][0]["request"]


def test_null_stands_for_what_is_not_finite_in_answers_and_is_kept() -> None:
    (one,) = FULL_SPEC["model"]["expectations"]["goldenRequests"]

    read = Expectations.model_validate({"goldenRequests": [one]})

    kept = json.loads(read.to_text())["goldenRequests"][0]
    assert kept["response"]["outputs"][0]["data"] == [0.5, None]
    assert kept["tolerance"] == {"relative": 0.001, "absolute": 0.0}


def test_as_text_they_hold_nothing_that_kubernetes_would_expand() -> None:
    text = Expectations.model_validate(FULL_SPEC["model"]["expectations"]).to_text()

    assert "$" not in text
    assert "$(A)" in json.dumps(json.loads(text))


def test_they_are_bounded_in_a_specification_and_told_where_more_can_be() -> None:
    count = EXPECTATIONS_BYTES_MAX // 2
    large = golden(x={"shape": [count // 2, 2], "data": [1] * count})
    model = {**FULL_SPEC["model"], "expectations": {"goldenRequests": [large]}}

    Expectations.model_validate(model["expectations"])
    with pytest.raises(ValidationError) as refusal:
        ModelSource.model_validate(model)

    told = describe(refusal.value, at="spec.model")
    assert "spec.model.expectations: " in told
    assert "put golden requests into expectations.json" in told
