"""Tensors as the protocol carries them: JSON, raw bytes, fields of gRPC messages. No transport."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Scalar = bool | int | float | str

_LENGTH: Final = struct.Struct("<I")  # before each element of BYTES


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype, values that try its limits, and its field of InferTensorContents if any.

    The values of floats are exact in their type, so that every way back is compared for equality.
    """

    name: str
    dtype: np.dtype[Any]
    values: tuple[Scalar, ...]
    contents: str | None


def _integer(name: str, contents: str) -> Datatype:
    dtype = np.dtype(name.lower())
    limits = np.iinfo(dtype)
    return Datatype(name, dtype, (int(limits.min), 1, int(limits.max)), contents)


# Open Inference Protocol, "Tensor Data Types". BF16 is Triton's.
_ALL: Final = (
    Datatype("BOOL", np.dtype(np.bool_), (True, False, True), "bool_contents"),
    *(_integer(f"INT{bits}", "int_contents") for bits in (8, 16, 32)),
    _integer("INT64", "int64_contents"),
    *(_integer(f"UINT{bits}", "uint_contents") for bits in (8, 16, 32)),
    _integer("UINT64", "uint64_contents"),
    Datatype("FP16", np.dtype(np.float16), (0.5, -2.25, 65504.0), None),
    Datatype("BF16", np.dtype(ml_dtypes.bfloat16), (0.5, -2.25, 2.0**100), None),
    Datatype("FP32", np.dtype(np.float32), (0.5, -2.25, 2.0**100), "fp32_contents"),
    Datatype("FP64", np.dtype(np.float64), (0.1, -2.25, 1e300), "fp64_contents"),
    Datatype("BYTES", np.dtype(np.object_), ("grün", "", 'a\n"b"', "日本"), "bytes_contents"),
)
DATATYPES: Final[Mapping[str, Datatype]] = {each.name: each for each in _ALL}
# Those that JSON carries; Triton's clients refuse 16-bit floats there.
JSON_NAMES: Final = tuple(each.name for each in _ALL if each.contents is not None)


def to_raw(datatype: str, values: Iterable[Scalar]) -> bytes:
    """Write values little-endian and row-major; BYTES each after its length."""
    if datatype == "BYTES":
        encoded = [str(value).encode() for value in values]
        return b"".join(_LENGTH.pack(len(each)) + each for each in encoded)
    dtype = DATATYPES[datatype].dtype
    return np.array(list(values), dtype=dtype).tobytes()  # every machine that runs this is little


def from_raw(datatype: str, raw: bytes) -> list[Scalar]:
    """Read what `to_raw` wrote. Raises ValueError."""
    if datatype != "BYTES":
        found: list[Scalar] = np.frombuffer(raw, dtype=DATATYPES[datatype].dtype).tolist()
        return found
    elements: list[Scalar] = []
    offset = 0
    while offset < len(raw):
        start = offset + _LENGTH.size
        if start > len(raw):
            raise ValueError("raw BYTES end inside a length")
        offset = start + int(_LENGTH.unpack_from(raw, start - _LENGTH.size)[0])
        if offset > len(raw):
            raise ValueError("raw BYTES end inside an element")
        elements.append(raw[start:offset].decode())
    return elements


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor with flat values."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: tuple[Scalar, ...]

    @classmethod
    def of(cls, name: str, datatype: str) -> "Tensor":
        """One dimension, with the values that try the datatype's limits."""
        values = DATATYPES[datatype].values
        return cls(name, datatype, (len(values),), values)

    @property
    def header(self) -> dict[str, Any]:
        """Name, datatype and shape."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    @property
    def raw(self) -> bytes:
        """The values as raw bytes."""
        return to_raw(self.datatype, self.values)

    @property
    def array(self) -> Array:
        """The values as Triton's clients take them."""
        return np.array(self.values, dtype=DATATYPES[self.datatype].dtype).reshape(self.shape)

    def as_json(self, *, is_nested: bool = False) -> dict[str, Any]:
        """An input with its data in JSON, flat or nested like its shape."""
        data = _nested(list(self.values), self.shape) if is_nested else list(self.values)
        return self.header | {"data": data}

    def as_binary(self, *, size: Any = None) -> dict[str, Any]:
        """An input whose data follows the JSON; `size` is what it claims, None for the truth."""
        claimed = len(self.raw) if size is None else size
        return self.header | {"parameters": {"binary_data_size": claimed}}


def _nested(values: Sequence[Scalar], shape: Sequence[int]) -> list[Any]:
    if len(shape) <= 1:
        return list(values)
    step = math.prod(shape[1:])
    return [_nested(values[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def flat(data: Any) -> list[Any]:
    """All elements of nested lists, in order.

    >>> flat([[1, 2], [3]])
    [1, 2, 3]
    """
    if not isinstance(data, list):
        return [data]
    return [element for entry in data for element in flat(entry)]
