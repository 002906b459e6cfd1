"""What a feature's values are counted in, and as what numbers they are compared."""

from typing import Final

import numpy as np

from slipway_server.core.tensors import DTYPES, Array, Datatype

BINS_MAX: Final = 24  # of a feature
BELOW, ABOVE, OTHER, MISSING = "(below)", "(above)", "(other)", "(missing)"


def values_dtype(datatype: Datatype) -> np.dtype[np.floating]:
    """The type that numbers of a datatype are compared in."""
    is_narrow = datatype in (Datatype.FP32, Datatype.FP16, Datatype.BF16)
    dtype: np.dtype[np.floating] = np.dtype(np.float32 if is_narrow else np.float64)
    return dtype


def numbers(array: Array, datatype: Datatype) -> Array:
    """Values of a tensor in the type of `values_dtype`."""
    assert array.dtype == DTYPES[datatype]
    if datatype is Datatype.BF16:  # the upper half of a float of 32 bits
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(values_dtype(datatype), copy=False)
