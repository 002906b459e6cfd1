"""Answers are read strictly: what the protocol does not allow is a violation."""

import json
from typing import Any

import pytest

from bench.conformance import expect
from bench.conformance.expect import Answer, ViolationError
from bench.conformance.tensors import DATATYPES, Tensor, flat, from_raw, to_raw

JSON = {"content-type": "application/json"}
OUTPUT = {"name": "y", "datatype": "INT32", "shape": [2], "data": [1, 2]}


def answered(fields: Any, *, status: int = 200, tail: bytes = b"", **headers: str) -> Answer:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {**JSON, **named}, body + tail)


def test_an_error_object_with_a_status_of_4xx_is_a_refusal() -> None:
    expect.refused(answered({"error": "no such model"}, status=404))


@pytest.mark.parametrize(
    "answer",
    [
        answered({"error": "broken"}, status=500),
        answered({"error": "fine"}),
        answered({"detail": "no such model"}, status=404),
        answered({"error": "no such model", "detail": []}, status=404),
        answered({"error": {"message": "no such model"}}, status=400),
        answered(["no such model"], status=400),
        answered(b"no such model", status=400),
        answered({"error": "x"}, status=400, content_type="text/plain"),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()}",
)
def test_anything_else_is_no_refusal(answer: Answer) -> None:
    with pytest.raises(ViolationError):
        expect.refused(answer)


def test_outputs_are_read_from_json() -> None:
    found = expect.inferred(answered({"outputs": [OUTPUT]}))

    expect.same(found.outputs["y"], Tensor("y", "INT32", (2,), (1, 2)))
    assert not found.outputs["y"].is_binary


def test_outputs_are_read_from_bytes_behind_the_json() -> None:
    binary = {**OUTPUT, "parameters": {"binary_data_size": 8}}
    del binary["data"]
    fields = {"outputs": [binary, {**OUTPUT, "name": "z"}]}
    length = str(len(json.dumps(fields)))

    found = expect.inferred(
        answered(
            fields, tail=to_raw("INT32", [1, 2]), **{"inference-header-content-length": length}
        )
    )

    assert {name: output.is_binary for name, output in found.outputs.items()} == {
        "y": True,
        "z": False,
    }
    expect.same(found.outputs["y"], Tensor("y", "INT32", (2,), (1, 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"datatype": "int32"},
        {"shape": [3]},
        {"shape": ["2"]},
        {"data": {"0": 1}},
        {"data": [1]},
        {"parameters": {"binary_data_size": 8}},
    ],
    ids=str,
)
def test_an_output_that_contradicts_itself_is_a_violation(change: dict[str, Any]) -> None:
    with pytest.raises(ViolationError):
        expect.inferred(answered({"outputs": [OUTPUT | change]}))


def test_numbers_that_are_not_json_are_a_violation() -> None:
    with pytest.raises(ViolationError, match="NaN"):
        expect.parsed(b'{"a": NaN}')


@pytest.mark.parametrize(
    ("datatype", "values"),
    [("INT32", (1, 3)), ("BOOL", (1, 0)), ("BYTES", ("a", "c")), ("FP32", ("a", "b"))],
)
def test_other_values_are_a_violation(datatype: str, values: tuple[Any, ...]) -> None:
    wanted = {"INT32": (1, 2), "BOOL": (True, False), "BYTES": ("a", "b"), "FP32": (1.0, 2.0)}

    with pytest.raises(ViolationError, match="expected"):
        expect.same_values(values, Tensor("y", datatype, (2,), wanted[datatype]))


@pytest.mark.parametrize("name", DATATYPES)
def test_values_come_back_from_raw_bytes(name: str) -> None:
    values = DATATYPES[name].values

    assert tuple(from_raw(name, to_raw(name, values))) == values


@pytest.mark.parametrize("raw", [b"\1\0", b"\5\0\0\0a"])
def test_raw_bytes_that_end_too_early_are_told(raw: bytes) -> None:
    with pytest.raises(ValueError, match="end inside"):
        from_raw("BYTES", raw)


def test_nested_data_has_the_order_of_flat_data() -> None:
    tensor = Tensor("x", "INT32", (2, 1, 2), (1, 2, 3, 4))

    nested = tensor.as_json(is_nested=True)["data"]

    assert nested == [[[1, 2]], [[3, 4]]]
    assert flat(nested) == [1, 2, 3, 4]
