"""Tensors: named arrays with a datatype of the Open Inference Protocol.

Both front ends build tensors here, so both refuse the same things with the same words.
Arrays are row-major. BYTES tensors are arrays of `str`, because ONNX strings are UTF-8.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from slipway_server.core.errors import ErrorKind, ServingError

Array = npt.NDArray[Any]


class Datatype(StrEnum):
    """Tensor element types (Open Inference Protocol, section "Tensor Data Types")."""

    BOOL = "BOOL"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


# Little-endian, as raw contents are on the wire. numpy has no BF16: arrays hold its 16 bits.
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.INT8: np.dtype("<i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.UINT8: np.dtype("<u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.BF16: np.dtype("<u2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
    Datatype.BYTES: np.dtype(np.object_),
}
# Kinds of array that plain values of a datatype may have before they are narrowed to it.
_KINDS: Final[Mapping[str, str]] = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}
_BYTES_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array; its shape is the array's."""

    name: str
    datatype: Datatype
    array: Array


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a client wants; `class_count` 0 is the tensor itself, else its top classes."""

    name: str
    class_count: int = 0


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What a client asks for; None means not given. No `outputs` means all."""

    model_name: str
    model_version: str | None
    request_id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()


class Times(NamedTuple):
    """When a request came to the queue, began to run and had run, by `time.perf_counter_ns`."""

    queued_ns: int
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """What the model computed, in the order of the outputs asked for."""

    model_name: str
    model_version: str
    request_id: str | None
    outputs: tuple[Tensor, ...]
    times: Times | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a request says about a tensor before its data; parsed, not yet trusted."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]

    @property
    def element_count(self) -> int:
        """The product of the shape; 1 for a scalar."""
        return math.prod(self.shape)


def invalid(message: str) -> ServingError:
    """Make the error for a request that violates protocol or signature."""
    return ServingError(ErrorKind.INVALID_INPUT, message)


def requested(name: str, *, class_count: object) -> RequestedOutput:
    """Check how an output is asked for, as it came from the wire."""
    if type(class_count) is not int or class_count < 0:
        raise invalid(f"output '{name}': 'classification' must be an integer >= 1")
    return RequestedOutput(name, class_count)


def parse_header(name: object, *, datatype: object, shape: object) -> Header:
    """Check name, datatype and shape of an input as they came from the wire."""
    if not isinstance(name, str) or not name:
        raise invalid("each input needs a 'name', a non-empty string")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        known = ", ".join(Datatype)
        raise invalid(f"input '{name}': unknown datatype {datatype!r}; one of {known}")
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise invalid(f"input '{name}': 'shape' must be a list of integers")
    for size in shape:
        if type(size) is not int or size < 0:
            raise invalid(f"input '{name}': shape sizes must be integers >= 0, got {size!r}")
    return Header(name, Datatype(datatype), tuple(shape))


def from_values(header: Header, values: Sequence[object]) -> Tensor:
    """Make a tensor from nested or flat values (JSON data, or typed gRPC contents).

    Integers are range-checked and never made from floats; floats may be written as integers.
    """
    if header.datatype is Datatype.BF16:
        raise invalid(f"input '{header.name}': BF16 values can only be given as raw bytes")
    wanted = DTYPES[header.datatype]
    try:
        # Inferring the dtype first is what tells 1.5 from "1.5" and from true.
        array = np.array(values, dtype=object if wanted.kind == "O" else None)
    except (ValueError, TypeError, OverflowError) as err:
        raise invalid(f"input '{header.name}': data is not a regular array") from err
    if wanted.kind == "O":
        array = _checked_strings(header, array)
    elif array.size and array.dtype.kind not in _KINDS[wanted.kind]:
        array = _wide_integers(header, values)
    else:
        array = _narrowed(header, array, wanted)
    return Tensor(header.name, header.datatype, _shaped(header, array))


def _wide_integers(header: Header, values: Sequence[object]) -> Array:
    """Integers of which some need all 64 bits: numpy infers floats for such a mixture."""
    array = np.array(values, dtype=object)
    if header.datatype is not Datatype.UINT64 or {type(value) for value in array.flat} != {int}:
        raise invalid(
            f"input '{header.name}': data does not hold values of datatype {header.datatype}"
        )
    try:
        return array.astype(DTYPES[Datatype.UINT64])
    except OverflowError as err:
        raise _out_of_range(header) from err


def _out_of_range(header: Header) -> ServingError:
    return invalid(f"input '{header.name}': a value lies outside the range of {header.datatype}")


def _narrowed(header: Header, array: Array, wanted: np.dtype[Any]) -> Array:
    narrowed = array.astype(wanted)  # of floats, what is beyond the range becomes infinite
    if wanted.kind in "iu" and array.size and not np.array_equal(narrowed, array):
        raise _out_of_range(header)
    return narrowed


def _checked_strings(header: Header, array: Array) -> Array:
    for value in array.flat:
        if type(value) is not str:
            raise invalid(f"input '{header.name}': BYTES data must be strings")
    return array


def _shaped(header: Header, array: Array) -> Array:
    if array.shape == header.shape:
        return array
    if array.size != header.element_count:
        raise invalid(
            f"input '{header.name}': shape {list(header.shape)} needs {header.element_count} "
            f"elements, data has {array.size}"
        )
    if array.ndim > 1:
        raise invalid(
            f"input '{header.name}': data is nested as {list(array.shape)}, "
            f"but 'shape' says {list(header.shape)}"
        )
    return _reshaped(header, array)


def _reshaped(header: Header, array: Array) -> Array:
    try:
        return array.reshape(header.shape)
    except ValueError as err:  # more dimensions than numpy has, or sizes beyond its integers
        raise invalid(f"input '{header.name}': shape {list(header.shape)} is too large") from err


def from_nested(name: str, datatype: Datatype, values: Sequence[object]) -> Tensor:
    """Make a tensor whose shape is that of its nested values."""
    try:
        shape = np.shape(values)  # type: ignore[arg-type]  # whatever it is, this finds out
    except ValueError as err:
        raise invalid(f"input '{name}': data is not a regular array") from err
    return from_values(Header(name, datatype, shape), values)


def from_bytes(header: Header, raw: bytes | memoryview) -> Tensor:
    """Make a tensor from raw contents: little-endian, row-major; read-only, without a copy.

    BYTES elements are each preceded by their length as a 4-byte unsigned integer (Triton,
    "Binary Tensor Data Extension").
    """
    if header.datatype is Datatype.BYTES:
        array = _strings_from_bytes(header, bytes(raw))
    else:
        dtype = DTYPES[header.datatype]
        if len(raw) != header.element_count * dtype.itemsize:
            raise invalid(
                f"input '{header.name}': {header.datatype} of shape {list(header.shape)} needs "
                f"{header.element_count * dtype.itemsize} bytes, got {len(raw)}"
            )
        # What follows a JSON header may begin anywhere; engines want numbers where they belong.
        array = np.require(np.frombuffer(raw, dtype=dtype), requirements="A")
    return Tensor(header.name, header.datatype, _reshaped(header, array))


def _strings_from_bytes(header: Header, raw: bytes) -> Array:
    elements: list[bytes] = []
    offset = 0
    while offset < len(raw):
        start = offset + _BYTES_LENGTH.size
        if start > len(raw):
            raise invalid(f"input '{header.name}': raw BYTES end inside a length")
        (length,) = _BYTES_LENGTH.unpack_from(raw, offset)
        offset = start + length
        if offset > len(raw):
            raise invalid(f"input '{header.name}': raw BYTES end inside an element")
        elements.append(raw[start:offset])
    if len(elements) != header.element_count:
        raise invalid(
            f"input '{header.name}': shape {list(header.shape)} needs {header.element_count} "
            f"elements, got {len(elements)}"
        )
    return strings(header.name, elements)


def shaped_strings(name: str, shape: tuple[int, ...], *, elements: Sequence[bytes]) -> Array:
    """Decode UTF-8 elements to an array of `str` of this shape."""
    return _shaped(Header(name, Datatype.BYTES, shape), strings(name, elements))


def strings(name: str, elements: Sequence[bytes]) -> Array:
    """Decode UTF-8 elements to a flat array of `str`."""
    array = np.empty(len(elements), dtype=object)
    try:
        for index, element in enumerate(elements):
            array[index] = element.decode()
    except UnicodeDecodeError as err:
        raise invalid(f"input '{name}': BYTES elements must be UTF-8 for an ONNX model") from err
    return array


def to_bytes(tensor: Tensor) -> bytes:
    """Write a tensor as raw contents, the inverse of `from_bytes`."""
    if tensor.datatype is not Datatype.BYTES:
        return tensor.array.tobytes()
    parts: list[bytes] = []
    for value in tensor.array.flat:
        element = value.encode()
        parts.append(_BYTES_LENGTH.pack(len(element)))
        parts.append(element)
    return b"".join(parts)
