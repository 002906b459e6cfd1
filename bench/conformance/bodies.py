"""Inference requests for the models: tensors in, bodies out, and what must come back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import service_pb2

from bench.conformance.expect import HEADER_LENGTH
from bench.conformance.models import IDENTITY_WIDTH, SIGNATURES, WIDTH, Kind
from bench.conformance.tensors import DATATYPES, Tensor


def pair(rows: int = 1) -> tuple[Tensor, Tensor]:
    """The two inputs of `simple`."""
    count = rows * WIDTH
    first, second = tuple(range(count)), tuple(3 * value + 1 for value in range(count))
    shape = (rows, WIDTH)
    return Tensor("INPUT0", "INT32", shape, first), Tensor("INPUT1", "INT32", shape, second)


def results(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """What `simple` makes of them: sum and difference."""
    first, second = inputs
    both = list(zip(map(int, first.values), map(int, second.values), strict=True))
    return (
        Tensor("OUTPUT0", "INT32", first.shape, tuple(a + b for a, b in both)),
        Tensor("OUTPUT1", "INT32", first.shape, tuple(a - b for a, b in both)),
    )


def copies(kind: Kind) -> tuple[Tensor, ...]:
    """The inputs of a model that copies, each with values of its datatype."""
    return tuple(Tensor.of(spec.name, spec.datatype) for spec in SIGNATURES[kind].inputs)


def copy_of(datatype: str) -> Tensor:
    """What must come back for an input of `copies`."""
    return Tensor.of(f"out_{datatype}", datatype)


def row(rows: int = 1) -> Tensor:
    """The input of `identity`."""
    values = tuple(index + 0.5 for index in range(rows * IDENTITY_WIDTH))
    return Tensor("INPUT0", "FP32", (rows, IDENTITY_WIDTH), values)


def inputs_of(kind: Kind) -> tuple[Tensor, ...]:
    """All inputs of a model, with values that it serves."""
    match kind:
        case Kind.SIMPLE:
            return pair()
        case Kind.IDENTITY:
            return (row(),)
        case _:
            return copies(kind)


def message(name: str, inputs: Sequence[Tensor], *, is_raw: bool, **more: Any) -> Any:
    """A request over gRPC, its data in raw or in typed contents."""
    request = service_pb2.ModelInferRequest(model_name=name, **more)
    for tensor in inputs:
        entry = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if is_raw:
            request.raw_input_contents.append(tensor.raw)
        else:
            fill(entry, tensor)
    return request


def fill(entry: Any, tensor: Tensor) -> None:
    """Put a tensor's values into the typed contents of an input."""
    field = DATATYPES[tensor.datatype].contents
    assert field is not None, f"{tensor.datatype} has no typed contents"
    values = [str(v).encode() for v in tensor.values] if tensor.datatype == "BYTES" else None
    getattr(entry.contents, field).extend(tensor.values if values is None else values)


def in_json(tensors: Sequence[Tensor], *, is_nested: bool = False, **more: Any) -> dict[str, Any]:
    """A request with all data in JSON."""
    return {"inputs": [tensor.as_json(is_nested=is_nested) for tensor in tensors], **more}


@dataclass(frozen=True, slots=True)
class Binary:
    """A body of JSON and raw bytes, and its headers."""

    body: bytes
    headers: Mapping[str, str]


def assembled(
    fields: Mapping[str, Any], tail: bytes, *, header_length: str | None = None
) -> Binary:
    """JSON and what follows it; `header_length` is what is claimed, None for the truth."""
    head = json.dumps(fields).encode()
    claimed = str(len(head)) if header_length is None else header_length
    headers = {HEADER_LENGTH: claimed, "Content-Type": "application/octet-stream"}
    return Binary(head + tail, headers)


def in_binary(tensors: Sequence[Tensor], **more: Any) -> Binary:
    """A request with all data after the JSON."""
    fields = {"inputs": [tensor.as_binary() for tensor in tensors], **more}
    return assembled(fields, b"".join(tensor.raw for tensor in tensors))
