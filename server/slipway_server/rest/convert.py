"""JSON of the Open Inference Protocol to core values and back; no pydantic, no lists of floats."""

from typing import Any, Final

import orjson

from slipway_server.core import tensors
from slipway_server.core.tensors import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Tensor,
    invalid,
)

_JSON: Final = orjson.OPT_SERIALIZE_NUMPY


def decode(body: bytes, *, model_name: str, model_version: str | None) -> InferenceRequest:
    """Parse an inference request; INVALID_INPUT says what is wrong with it."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise invalid(f"the request body is not JSON: {err}") from err
    if not isinstance(fields, dict):
        raise invalid("the request body must be a JSON object")
    inputs = fields.get("inputs")
    if not isinstance(inputs, list):
        raise invalid("'inputs' must be a list of tensors")
    return InferenceRequest(
        model_name=model_name,
        model_version=model_version,
        request_id=_request_id(fields.get("id")),
        inputs=tuple(_tensor(entry) for entry in inputs),
        output_names=_output_names(fields.get("outputs")),
    )


def _request_id(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid("'id' must be a string")


def _tensor(entry: Any) -> Tensor:
    if not isinstance(entry, dict):
        raise invalid("each input must be an object with name, shape, datatype and data")
    header = tensors.parse_header(
        entry.get("name"), datatype=entry.get("datatype"), shape=entry.get("shape")
    )
    data = entry.get("data")
    if not isinstance(data, list):
        raise invalid(f"input '{header.name}': 'data' must be a list")
    return tensors.from_values(header, data)


def _output_names(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid("'outputs' must be a list")
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in value]
    if not all(isinstance(name, str) for name in names):
        raise invalid("each of 'outputs' must be an object with a 'name'")
    return tuple(str(name) for name in names)


def encode(response: InferenceResponse) -> bytes:
    """Write an inference response; data is flat, NaN and infinities become null."""
    fields: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
    }
    if response.request_id is not None:  # a null id breaks strict clients
        fields["id"] = response.request_id
    fields["outputs"] = [_output(tensor) for tensor in response.outputs]
    return orjson.dumps(fields, option=_JSON)


def _output(tensor: Tensor) -> dict[str, Any]:
    flat = tensor.array.ravel()  # C-contiguous, as orjson wants it
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.array.shape,
        "data": flat.tolist() if tensor.datatype is Datatype.BYTES else flat,
    }
