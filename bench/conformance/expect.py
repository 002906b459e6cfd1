"""What an answer must be, and the words for what it is instead."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.conformance.tensors import DATATYPES, Scalar, Tensor, flat, from_raw

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_SHOWN_MAX: Final = 120  # characters of a value in a message


class ViolationError(Exception):
    """The server under test did not do what the protocol says."""


class SkippedError(Exception):
    """A case that cannot be tried on this server, and why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Output:
    """An output of an answer, with flat values."""

    datatype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...]
    is_binary: bool


@dataclass(frozen=True, slots=True)
class Inferred:
    """A good answer to an inference: its JSON, and the outputs in their order."""

    fields: Mapping[str, Any]
    outputs: Mapping[str, Output]


def equal(got: object, expected: object, *, what: str) -> None:
    """Raise ViolationError unless both are equal."""
    if got != expected:
        raise ViolationError(f"{what}: expected {_shown(expected)}, got {_shown(got)}")


def true(claim: object, *, what: str, got: object) -> None:
    """Raise ViolationError unless the claim holds; `what` says what was expected."""
    if not claim:
        raise ViolationError(f"expected {what}, got {_shown(got)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def parsed(content: bytes) -> Any:
    """Read strict JSON, without NaN and infinities."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ViolationError(f"expected JSON, got {_shown(content)}: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def fields(answer: Answer) -> Mapping[str, Any]:
    """The object of a good JSON answer."""
    _good(answer)
    _is_json(answer)
    found = parsed(answer.body)
    true(isinstance(found, dict), what="a JSON object", got=found)
    return dict(found)


def _good(answer: Answer) -> None:
    if answer.status != 200:
        raise ViolationError(f"expected status 200, got {answer.status} {_shown(answer.body)}")


def _is_json(answer: Answer) -> None:
    content_type = answer.headers.get("content-type", "")
    true(content_type.startswith("application/json"), what="JSON's content type", got=content_type)


def refused(answer: Answer) -> None:
    """The client's fault, told by an error object: `{"error": "…"}` with a status of 4xx."""
    if not 400 <= answer.status < 500:
        raise ViolationError(f"expected status 4xx, got {answer.status} {_shown(answer.body)}")
    _is_json(answer)
    found = parsed(answer.body)
    is_error = isinstance(found, dict) and isinstance(found.get("error"), str)
    true(is_error and found["error"], what='{"error": "…"}', got=found)
    true("detail" not in found, what="no 'detail'", got=found)


def served_or_refused(answer: Answer) -> None:
    """What servers may differ in: a whole answer or an error object, but never a failure."""
    if answer.status == 200:
        inferred(answer)
    else:
        refused(answer)


def inferred(answer: Answer) -> Inferred:
    """Read a good answer to an inference, JSON or JSON and bytes."""
    _good(answer)
    length = answer.headers.get(HEADER_LENGTH.lower())
    if length is None:
        _is_json(answer)
        found, tail = parsed(answer.body), b""
    else:
        true(length.isdigit(), what=f"a number in {HEADER_LENGTH}", got=length)
        found, tail = parsed(answer.body[: int(length)]), answer.body[int(length) :]
    outputs = found.get("outputs") if isinstance(found, dict) else None
    if not isinstance(outputs, list):
        raise ViolationError(f"expected an object with a list of 'outputs', got {_shown(found)}")
    read: dict[str, Output] = {}
    for entry in outputs:
        name, output, tail = _output(entry, tail)
        read[name] = output
    equal(len(tail), 0, what="bytes after the last binary output")
    return Inferred(found, read)


def _output(entry: Any, tail: bytes) -> tuple[str, Output, bytes]:
    """Name, output, and what is left of the bytes."""
    true(isinstance(entry, dict), what="an object for each output", got=entry)
    name, datatype, shape = (entry.get(key) for key in ("name", "datatype", "shape"))
    true(isinstance(name, str), what="a 'name' of each output", got=entry)
    true(datatype in DATATYPES, what="a known 'datatype' of each output", got=entry)
    is_shape = isinstance(shape, list) and all(type(size) is int for size in shape)
    true(is_shape, what="a 'shape' of integers of each output", got=entry)
    size = (entry.get("parameters") or {}).get("binary_data_size")
    is_binary = size is not None
    true(is_binary != ("data" in entry), what="either 'data' or a binary_data_size", got=entry)
    if is_binary:
        true(type(size) is int and 0 <= size <= len(tail), what="as many bytes as said", got=size)
        values, tail = _read_raw(datatype, tail[:size]), tail[size:]
    else:
        true(isinstance(entry["data"], list), what="a list in 'data'", got=entry["data"])
        values = flat(entry["data"])
    equal(len(values), math.prod(shape), what=f"elements of {name} of shape {shape}")
    return name, Output(datatype, tuple(shape), tuple(values), is_binary), tail


def _read_raw(datatype: str, raw: bytes) -> list[Scalar]:
    try:
        return from_raw(datatype, raw)
    except ValueError as error:  # also bytes that are no UTF-8
        raise ViolationError(f"expected raw {datatype}, got {_shown(raw)}: {error}") from error


def same(output: Output | None, tensor: Tensor) -> None:
    """The output holds exactly the tensor's values."""
    if output is None:
        raise ViolationError(f"expected an output {tensor.name}, got none of that name")
    equal(output.datatype, tensor.datatype, what=f"datatype of {tensor.name}")
    equal(output.shape, tensor.shape, what=f"shape of {tensor.name}")
    same_values(output.values, tensor)


def same_values(values: Any, tensor: Tensor) -> None:
    """Compare flat values in the tensor's type; truth is no number and text no bytes."""
    if tensor.datatype == "BYTES":
        found = [each.decode() if isinstance(each, bytes) else each for each in values]
    elif tensor.datatype == "BOOL":
        found = list(values)
        true(all(type(each) is bool for each in found), what="true or false", got=found)
    else:
        found = _narrowed(values, tensor)
    equal(found, list(tensor.values), what=f"values of {tensor.name} ({tensor.datatype})")


def _narrowed(values: Any, tensor: Tensor) -> list[Any]:
    try:
        array = np.array(values, dtype=DATATYPES[tensor.datatype].dtype)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"values of {tensor.name}: expected {tensor.datatype}, got {_shown(values)}"
        raise ViolationError(message) from error
    return list(array.tolist())
