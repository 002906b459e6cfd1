"""Tensors: named arrays with a datatype of the Open Inference Protocol.

Both front ends build tensors here, so both refuse the same things with the same words.
Arrays are row-major. BYTES tensors are arrays of `str`, because ONNX strings are UTF-8.
"""

import array as arrays
import itertools
import math
import struct
from collections.abc import Container, Mapping, Sequence, Sized
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

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
_DATATYPES: Final[Mapping[str, Datatype]] = {datatype.value: datatype for datatype in Datatype}
# How the standard library's arrays call the same numbers. They take no strings and no None, and
# integer ones take no floats. numpy would widen all of a list to its longest string first.
_TYPECODES: Final[Mapping[Datatype, str]] = {
    Datatype.INT8: "b",
    Datatype.INT16: "h",
    Datatype.INT32: "i",
    Datatype.INT64: "q",
    Datatype.UINT8: "B",
    Datatype.UINT16: "H",
    Datatype.UINT32: "I",
    Datatype.UINT64: "Q",
    Datatype.FP16: "f",  # and then narrowed
    Datatype.FP32: "f",
    Datatype.FP64: "d",
}
# With what numpy reads those, and what it has to make of them, if anything.
_NUMBERS: Final[Mapping[str, tuple[str, np.dtype[Any], np.dtype[Any] | None]]] = {
    datatype: (code, DTYPES[datatype], None)
    if np.dtype(code) == DTYPES[datatype]
    else (code, np.dtype(code), DTYPES[datatype])
    for datatype, code in _TYPECODES.items()
}
# Tensors of one request: far more than models have, far fewer than would hold others up.
TENSORS_MAX: Final = 1024
DIMENSIONS_MAX: Final = 8
_SHARED_MEMORY: Final = "shared_memory_region"
_BYTES_LENGTH: Final = struct.Struct("<I")


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
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


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
class InferenceRequest:
    """What a client asks for; None means not given. No `outputs` means all."""

    model_name: str
    model_version: str | None
    request_id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()


@dataclass(slots=True)  # as above
class Times:
    """When a request came to the queue, began to run and had run, by `time.perf_counter_ns`."""

    queued_ns: int
    began_ns: int
    ended_ns: int


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
class InferenceResponse:
    """What the model computed, in the order of the outputs asked for."""

    model_name: str
    model_version: str
    request_id: str | None
    outputs: tuple[Tensor, ...]
    times: Times | None = None


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
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


def check_count(tensors: Sized, what: str) -> None:
    """Refuse more tensors than any model has, before each is looked at."""
    if len(tensors) > TENSORS_MAX:
        raise invalid(f"the request has {len(tensors)} {what}; {TENSORS_MAX} are the most")


def refuse_shared_memory(parameters: Container[str]) -> None:
    """Say so to clients that pass tensors in memory of this machine: it is not read."""
    if _SHARED_MEMORY in parameters:
        raise ServingError(
            ErrorKind.UNSUPPORTED,
            "this server has no shared memory extension; send the data, as JSON or as raw bytes",
        )


def parse_header(name: object, *, datatype: object, shape: object) -> Header:
    """Check name, datatype and shape of an input as they came from the wire."""
    if not isinstance(name, str) or not name:
        raise invalid("each input needs a 'name', a non-empty string")
    known = _DATATYPES.get(datatype) if isinstance(datatype, str) else None
    if known is None:
        names = ", ".join(Datatype)
        raise invalid(f"input '{name}': unknown datatype {datatype!r}; one of {names}")
    if not isinstance(shape, list | tuple):
        raise invalid(f"input '{name}': 'shape' must be a list of integers")
    if len(shape) > DIMENSIONS_MAX:
        raise invalid(
            f"input '{name}': 'shape' has {len(shape)} dimensions; {DIMENSIONS_MAX} are the most"
        )
    for size in shape:
        if type(size) is not int or size < 0:
            raise invalid(f"input '{name}': shape sizes must be integers >= 0, got {size!r}")
    return Header(name, known, tuple(shape))


def from_values(header: Header, values: Sequence[object]) -> Tensor:
    """Make a tensor from nested or flat values of JSON.

    Integers are range-checked and never made from floats; floats may be written as integers.
    """
    shape, flat = _flattened(header.name, values)
    if shape != header.shape:
        _check_shape(header, shape, len(flat))
    return Tensor(header.name, header.datatype, _array(header, flat))


def from_array(header: Header, array: Array) -> Tensor:
    """Make a tensor from a flat array whose numbers may be wider than the datatype."""
    wanted = DTYPES[header.datatype]
    _check_shape(header, array.shape, array.size)
    narrowed = array.astype(wanted, copy=False)  # of floats, what is too large becomes infinite
    if wanted.kind in "iu" and not np.array_equal(narrowed, array):
        raise _out_of_range(header)
    return Tensor(header.name, header.datatype, _reshaped(header, narrowed))


def from_nested(name: str, datatype: Datatype, values: Sequence[object]) -> Tensor:
    """Make a tensor whose shape is that of its nested values."""
    shape, flat = _flattened(name, values)
    header = Header(name, datatype, shape)
    return Tensor(name, datatype, _array(header, flat))


def _flattened(name: str, values: Sequence[Any]) -> tuple[tuple[int, ...], Sequence[Any]]:
    """The shape of nested lists, and what is in them, row by row."""
    shape = [len(values)]
    while values and type(values[0]) is list:
        if len(shape) == DIMENSIONS_MAX:
            raise invalid(f"input '{name}': data is nested more than {DIMENSIONS_MAX} lists deep")
        shape.append(len(values[0]))
        if len(values) == 1:  # most requests have one row
            values = values[0]
            continue
        if set(map(type, values)) != {list} or set(map(len, values)) != {shape[-1]}:
            raise invalid(f"input '{name}': data is not a regular array")
        values = list(itertools.chain.from_iterable(values))
    return tuple(shape), values


def _check_shape(header: Header, nested: tuple[int, ...], count: int) -> None:
    """Flat values fill any shape of as many elements; nested ones have a shape already."""
    if count != header.element_count:
        raise invalid(
            f"input '{header.name}': shape {list(header.shape)} needs {header.element_count} "
            f"elements, data has {count}"
        )
    # Nothing in lists does not say how large it would be.
    if len(nested) > 1 and (count or nested != header.shape[: len(nested)]):
        raise invalid(
            f"input '{header.name}': data is nested as {list(nested)}, "
            f"but 'shape' says {list(header.shape)}"
        )


def _array(header: Header, values: Sequence[Any]) -> Array:
    """As many values as the shape says; a boolean among numbers is noticed if it comes first."""
    found = _NUMBERS.get(header.datatype)
    if found is None:
        return _reshaped(header, _no_numbers(header, values))
    if values and type(values[0]) is bool:
        raise _wrong_type(header)
    typecode, dtype, wanted = found
    try:
        numbers = arrays.array(typecode, values)
    except TypeError as err:
        raise _wrong_type(header) from err
    except OverflowError as err:
        raise _out_of_range(header) from err
    try:
        array: Array = np.ndarray(header.shape, dtype, numbers)
    except ValueError as err:
        raise _too_large(header) from err
    # Of FP16, what is beyond the range becomes infinite, as it does in the array of FP32.
    return array if wanted is None else array.astype(wanted)


def _no_numbers(header: Header, values: Sequence[Any]) -> Array:
    if header.datatype is Datatype.BF16:
        raise invalid(f"input '{header.name}': BF16 values can only be given as raw bytes")
    return _of_type(header, values, bool if header.datatype is Datatype.BOOL else str)


def _of_type(header: Header, values: Sequence[Any], wanted: type) -> Array:
    if set(map(type, values)) - {wanted}:
        raise _wrong_type(header)
    return np.array(values, dtype=DTYPES[header.datatype])


def _out_of_range(header: Header) -> ServingError:
    return invalid(f"input '{header.name}': a value lies outside the range of {header.datatype}")


def _wrong_type(header: Header) -> ServingError:
    what = "strings" if header.datatype is Datatype.BYTES else f"values of {header.datatype}"
    return invalid(f"input '{header.name}': data must be {what}, nested or flat")


def _reshaped(header: Header, array: Array) -> Array:
    if array.shape == header.shape:
        return array
    try:
        return array.reshape(header.shape)
    except ValueError as err:
        raise _too_large(header) from err


def _too_large(header: Header) -> ServingError:
    """Sizes beyond numpy's integers, beside one of 0."""
    return invalid(f"input '{header.name}': shape {list(header.shape)} is too large")


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
    header = Header(name, Datatype.BYTES, shape)
    _check_shape(header, (len(elements),), len(elements))
    return _reshaped(header, strings(name, elements))


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
