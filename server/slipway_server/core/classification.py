"""The highest values of an output with their indices, instead of the output itself.

As clients of Triton ask for it ("Classification Extension"): BYTES of `value:index`. Labels are
not served: an ONNX file has none.
"""

import math
from typing import Final

import numpy as np

from slipway_server.core.tensors import Array, Datatype, Tensor, invalid

CLASSES_MAX: Final = 2**16  # each is a string, and made while all other requests wait


def top_classes(tensor: Tensor, count: int) -> Tensor:
    """The `count` highest elements of each row (of the whole, if it has one dimension).

    Of equal ones the first comes first; NaN is lower than all. A row that has fewer gives all it
    has. `count` 0 leaves the tensor as it is.

    >>> top_classes(Tensor("y", Datatype.FP32, np.array([1, 5, 10, 4], np.float32)), 2).array
    array(['10.0:2', '5.0:1'], dtype=object)
    """
    if not count:
        return tensor
    if tensor.datatype in (Datatype.BYTES, Datatype.BF16):
        raise invalid(f"output '{tensor.name}' is {tensor.datatype}: it has no highest values")
    array = tensor.array
    row_count = math.prod(array.shape[:1]) if array.ndim > 1 else 1
    if min(count * row_count, array.size) > CLASSES_MAX:
        raise invalid(
            f"output '{tensor.name}': {count} classes of {row_count} rows are too many; "
            f"{CLASSES_MAX} in all are the most, take the output itself"
        )
    rows = (
        array.reshape(array.shape[0], math.prod(array.shape[1:]))
        if array.ndim > 1
        else array.reshape(1, -1)
    )
    chosen = np.argsort(_falling(rows), axis=1, kind="stable")[:, :count]
    strings = np.empty(chosen.shape, dtype=object)
    for place, index in np.ndenumerate(chosen):
        strings[place] = f"{rows[place[0], index]}:{index}"
    shape = chosen.shape if array.ndim > 1 else chosen.shape[1:]
    return Tensor(tensor.name, Datatype.BYTES, strings.reshape(shape))


def _falling(rows: Array) -> Array:
    """Keys that rise where values fall, of any numeric type and without overflow."""
    if rows.dtype.kind == "b":
        return np.logical_not(rows)
    return ~rows if rows.dtype.kind in "iu" else -rows
