"""A request that a model answers, made from its signature: for people who try it first.

Small inputs are written out. Large ones would fill the screen: they are zeros in a raw body.
"""

import json
import math
import shlex
from typing import Any, Final

from slipway_server.core.signature import DYNAMIC, Signature, TensorSpec
from slipway_server.core.tensors import DTYPES, Datatype

ELEMENTS_MAX: Final = 64  # of all inputs, in what a person is to read
_RAW_ONLY: Final = frozenset({Datatype.BF16})


def body(signature: Signature) -> dict[str, Any]:
    """A request of one row; dynamic sizes are 1."""
    (row,) = signature.probes(1)
    return {
        "inputs": [
            {
                "name": spec.name,
                "datatype": str(spec.datatype),
                "shape": list(row[spec.name].shape),
                "data": _readable(row[spec.name].ravel().tolist()),
            }
            for spec in signature.inputs
        ]
    }


def _readable(values: list[Any]) -> list[Any]:
    """Floats as a person would write them."""
    return [round(value, 2) if isinstance(value, float) else value for value in values]


def is_short(signature: Signature) -> bool:
    """Whether a request of one row may be written out."""
    is_written = not any(spec.datatype in _RAW_ONLY for spec in signature.inputs)
    return is_written and sum(map(_count, signature.inputs)) <= ELEMENTS_MAX


def curl(signature: Signature, *, url: str, model: str) -> str | None:
    """A command that works as it stands; None where no short one does."""
    path = f"{url}/v2/models/{model}/infer"
    if is_short(signature):
        return f"curl {path} --json {shlex.quote(json.dumps(body(signature)))}"
    if len(signature.inputs) != 1 or signature.inputs[0].datatype is Datatype.BYTES:
        return None
    only = signature.inputs[0]
    byte_count = _count(only) * DTYPES[only.datatype].itemsize
    return (
        f"head --bytes {byte_count} /dev/zero | curl {path} --data-binary @- "
        "-H 'Inference-Header-Content-Length: 0' --output -"
    )


def _count(spec: TensorSpec) -> int:
    """Elements of one row."""
    return math.prod(1 if size == DYNAMIC else size for size in spec.shape)
