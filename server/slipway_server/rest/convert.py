"""Bodies of the Open Inference Protocol to core values and back; no pydantic, no lists of floats.

A body is JSON, or JSON followed by tensors as raw bytes (Triton, "Binary Tensor Data Extension").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from slipway_server.core import tensors
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import DYNAMIC, Signature
from slipway_server.core.tensors import (
    DTYPES,
    Datatype,
    Header,
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    Tensor,
    invalid,
)
from slipway_server.rest import numbers

_JSON: Final = orjson.OPT_SERIALIZE_NUMPY
VALUES_MAX: Final = 2**23  # of JSON: half a gigabyte in lists, if they are small
_PRIMITIVES: Final = (str, int, float, bool)
# Looked up once: every look into an enumeration costs as much as a call.
_BF16: Final = Datatype.BF16
_BYTES: Final = Datatype.BYTES


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which outputs are to come back as raw bytes: all, or as the client said for each."""

    is_binary: bool = False
    by_output: Mapping[str, bool] = field(default_factory=dict)

    def wants_bytes(self, output: str) -> bool:
        """Whether this output is to come as raw bytes."""
        return self.by_output.get(output, self.is_binary)


def decode(
    body: bytes, *, model_name: str, model_version: str | None, header_length: int | None = None
) -> tuple[InferenceRequest, Wanted]:
    """Parse an inference request; INVALID_INPUT says what is wrong with it.

    `header_length` is how many bytes of the body are JSON, None if all are.
    """
    if header_length is not None and header_length > len(body):
        raise invalid(
            f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes"
        )
    fields = _parse(body if header_length is None else body[:header_length])
    inputs = fields.get("inputs")
    if not isinstance(inputs, list):
        raise invalid("'inputs' must be a list of tensors")
    tensors.check_count(inputs, "inputs")
    tail = _NO_TAIL if header_length is None else _Tail(memoryview(body)[header_length:])
    request_inputs = tuple([_tensor(entry, tail) for entry in inputs])
    tail.close()
    request_id = _request_id(fields.get("id"))
    if len(fields) == 1 or fields.keys() <= _PLAIN:  # as most are
        return InferenceRequest(model_name, model_version, request_id, request_inputs), ALL_JSON
    outputs, by_output = _outputs(fields.get("outputs"))
    request = InferenceRequest(model_name, model_version, request_id, request_inputs, outputs)
    parameters = _parameters(fields.get("parameters"), "the request")
    is_binary = _flag(parameters, "binary_data_output", "the request")
    return request, Wanted(bool(is_binary), by_output)


def decode_raw(
    body: bytes, *, model_name: str, model_version: str | None, signature: Signature
) -> tuple[InferenceRequest, Wanted]:
    """Make a request of a body that is nothing but the one input of the model.

    The last size that may vary is what the number of bytes makes it, others are 1 (a batch of
    one). All of the body of BYTES is one element. Outputs come back as raw bytes, too.
    """
    if len(signature.inputs) != 1:
        raise invalid(
            f"a raw request holds one input, this model takes {len(signature.inputs)}; "
            "send JSON, or JSON followed by binary tensors"
        )
    spec = signature.inputs[0]
    if spec.datatype is Datatype.BYTES:
        shape = tuple(1 if size == DYNAMIC else size for size in spec.shape)
        tensor = Tensor(
            spec.name, spec.datatype, tensors.shaped_strings(spec.name, shape, elements=[body])
        )
    else:
        shape = _fitting(spec.shape, len(body) // DTYPES[spec.datatype].itemsize)
        tensor = tensors.from_bytes(Header(spec.name, spec.datatype, shape), body)
    return InferenceRequest(model_name, model_version, None, (tensor,)), Wanted(is_binary=True)


def _fitting(declared: tuple[int, ...], element_count: int) -> tuple[int, ...]:
    """The shape that so many elements fill, or one that does not fit, which is told as such."""
    shape = [1 if size == DYNAMIC else size for size in declared]
    if DYNAMIC in declared:
        last = max(index for index, size in enumerate(declared) if size == DYNAMIC)
        others = math.prod(shape)
        shape[last] = element_count // others if others else 0
    return tuple(shape)


class _Tail:
    """What follows the JSON; each binary input takes its part, in order."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._offset = 0

    def take(self, name: str, size: object) -> memoryview:
        if type(size) is not int or size < 0:
            raise invalid(f"input '{name}': binary_data_size must be an integer >= 0")
        part = self._content[self._offset : self._offset + size]
        if len(part) != size:
            raise invalid(f"input '{name}': binary_data_size is {size}, {len(part)} bytes are left")
        self._offset += size
        return part

    def close(self) -> None:
        left = len(self._content) - self._offset
        if left:
            raise invalid(f"{left} bytes follow the last binary input")


_PLAIN: Final = {"id", "inputs"}  # of a request that asks for all outputs, in JSON
_NO_TAIL: Final = _Tail(memoryview(b""))
ALL_JSON: Final = Wanted()


def _parse(body: bytes) -> dict[str, Any]:
    if len(body) < numbers.BYTES_MIN:
        return _object(body)
    _check_values(body)
    fields = numbers.parse(body)
    return _object(body) if fields is None else fields


def _check_values(body: bytes) -> None:
    """Refuse what would take many times its size in memory: two bytes may become seventy."""
    if len(body) <= VALUES_MAX:
        return
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise ServingError(
            ErrorKind.TOO_LARGE,
            f"the request body has more than {VALUES_MAX} values in JSON; send binary tensors",
        )


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object.

    The parser goes 1024 lists and objects deep, without recursion; `data` may be nested as deep as
    a tensor, parameters not at all, and what else there is nobody looks at.
    """
    _check_values(body)
    return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise invalid(f"the request body is not JSON: {err}") from err
    if not isinstance(fields, dict):
        raise invalid("the request body must be a JSON object")
    return fields


def _request_id(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid("'id' must be a string")


def _parameters(value: object, whose: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, _PRIMITIVES) for v in value.values()):
        raise invalid(f"'parameters' of {whose} must be an object of strings, numbers or booleans")
    return value


def _flag(parameters: Mapping[str, Any], name: str, whose: str) -> bool | None:
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise invalid(f"'{name}' of {whose} must be true or false")


def _tensor(entry: Any, tail: _Tail) -> Tensor:
    if not isinstance(entry, dict):
        raise invalid("each input must be an object with name, shape, datatype and data")
    header = tensors.parse_header(
        entry.get("name"), datatype=entry.get("datatype"), shape=entry.get("shape")
    )
    data = entry.get("data")
    if "parameters" in entry:
        parameters = _parameters(entry["parameters"], f"input '{header.name}'")
        tensors.refuse_shared_memory(parameters)
        if "binary_data_size" in parameters:
            if data is not None:
                raise invalid(f"input '{header.name}' has both 'data' and a binary_data_size")
            raw = tail.take(header.name, parameters["binary_data_size"])
            return tensors.from_bytes(header, raw)
    if isinstance(data, np.ndarray):
        return tensors.from_array(header, data)
    if not isinstance(data, list):
        raise invalid(f"input '{header.name}': 'data' must be a list")
    return tensors.from_values(header, data)


def _outputs(value: object) -> tuple[tuple[RequestedOutput, ...], dict[str, bool]]:
    if value is None:
        return (), {}
    if not isinstance(value, list):
        raise invalid("'outputs' must be a list")
    tensors.check_count(value, "outputs")
    outputs: list[RequestedOutput] = []
    by_output: dict[str, bool] = {}
    for entry in value:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise invalid("each of 'outputs' must be an object with a 'name'")
        parameters = _parameters(entry.get("parameters"), f"output '{name}'")
        tensors.refuse_shared_memory(parameters)
        is_binary = _flag(parameters, "binary_data", f"output '{name}'")
        if is_binary is not None:
            by_output[name] = is_binary
        class_count = parameters.get("classification", 0)
        outputs.append(tensors.requested(name, class_count=class_count))
    return tuple(outputs), by_output


def encode(response: InferenceResponse, wanted: Wanted | None = None) -> tuple[bytes, int | None]:
    """Write an inference response, and how many bytes of it are JSON (None: all).

    Data in JSON is flat; NaN and infinities become null.
    """
    fields: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
    }
    if response.request_id is not None:  # a null id breaks strict clients
        fields["id"] = response.request_id
    parts: list[bytes] = []
    wanted = wanted or ALL_JSON
    fields["outputs"] = [_output(tensor, wanted, parts) for tensor in response.outputs]
    header = orjson.dumps(fields, option=_JSON)
    if not parts:
        return header, None
    return b"".join((header, *parts)), len(header)


def _output(tensor: Tensor, wanted: Wanted, parts: list[bytes]) -> dict[str, Any]:
    datatype, array = tensor.datatype, tensor.array
    fields: dict[str, Any] = {"name": tensor.name, "datatype": datatype, "shape": array.shape}
    if datatype is _BF16 or (wanted is not ALL_JSON and wanted.wants_bytes(tensor.name)):
        raw = tensors.to_bytes(tensor)
        parts.append(raw)
        fields["parameters"] = {"binary_data_size": len(raw)}
    else:
        flat = array.ravel()  # C-contiguous, as orjson wants it
        fields["data"] = flat.tolist() if datatype is _BYTES else flat
    return fields
