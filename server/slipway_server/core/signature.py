"""A model's signature: which tensors it takes and gives, and whether a request fits.

Only a violation of the signature is the client's fault; everything later is the model's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from slipway_server.core.tensors import DTYPES, Array, Datatype, Tensor, invalid

DYNAMIC: Final = -1  # a dimension of any size


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A declared input or output; dynamic dimensions are -1."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits.

        >>> TensorSpec("x", Datatype.FP32, (-1, 4)).accepts((9, 4))
        True
        """
        if len(shape) != len(self.shape):
            return False
        for wanted, size in zip(self.shape, shape, strict=True):
            if wanted not in (DYNAMIC, size):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """All inputs (each is required) and outputs of a model, in its own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    # Found once: every request asks for both.
    is_batchable: bool = field(init=False)  # the first size of all may vary: rows, it seems
    _specs: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        specs = (*self.inputs, *self.outputs)
        has_rows = bool(self.inputs) and all(spec.shape[:1] == (DYNAMIC,) for spec in specs)
        object.__setattr__(self, "is_batchable", has_rows)
        object.__setattr__(self, "_specs", {spec.name: spec for spec in self.inputs})

    def feed(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Arrays by input name, or INVALID_INPUT that says what was expected."""
        specs = self._specs
        feed: dict[str, Array] = {}
        for tensor in tensors:
            spec = specs.get(tensor.name)
            if spec is None:
                raise invalid(f"unknown input '{tensor.name}'; this model takes {_names(specs)}")
            if tensor.name in feed:
                raise invalid(f"input '{tensor.name}' is given twice")
            if tensor.datatype is not spec.datatype:
                raise invalid(
                    f"input '{spec.name}': expected datatype {spec.datatype}, got {tensor.datatype}"
                )
            array = tensor.array
            if not spec.accepts(array.shape):
                raise invalid(
                    f"input '{spec.name}': expected shape {list(spec.shape)} (-1 is any size), "
                    f"got {list(array.shape)}"
                )
            feed[spec.name] = array
        if len(feed) != len(specs):
            missing = _names(name for name in specs if name not in feed)
            raise invalid(f"missing input {missing}; this model takes {_names(specs)}")
        return feed

    def select(self, names: Sequence[str]) -> tuple[TensorSpec, ...]:
        """The outputs asked for, in that order; none means all."""
        if not names:
            return self.outputs
        specs = {spec.name: spec for spec in self.outputs}
        unknown = [name for name in names if name not in specs]
        if unknown:
            raise invalid(f"unknown output '{unknown[0]}'; this model gives {_names(specs)}")
        if len(set(names)) != len(names):
            raise invalid("an output is asked for twice")
        return tuple(specs[name] for name in names)

    def probes(self, count: int) -> list[Mapping[str, Array]]:
        """Feeds of one row each, which differ; other dynamic dimensions are 1."""
        return [{spec.name: _probe(spec, index) for spec in self.inputs} for index in range(count)]

    def zeros(self, shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, Array]:
        """A feed of zeros (empty strings for BYTES) of these shapes by input.

        Inputs that are not named there have dynamic dimensions of 1. INVALID_INPUT for a shape that
        does not fit.
        """
        specs = {spec.name: spec for spec in self.inputs}
        unknown = next((name for name in shapes if name not in specs), None)
        if unknown is not None:
            raise invalid(f"unknown input '{unknown}'; this model takes {_names(specs)}")
        return self.feed(
            [
                Tensor(spec.name, spec.datatype, _zeros(spec, shapes.get(spec.name)))
                for spec in self.inputs
            ]
        )


def _zeros(spec: TensorSpec, shape: tuple[int, ...] | None = None) -> Array:
    if shape is None:
        shape = tuple(1 if size == DYNAMIC else size for size in spec.shape)
    if spec.datatype is Datatype.BYTES:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=DTYPES[spec.datatype])


def _probe(spec: TensorSpec, index: int) -> Array:
    """Values from 0 to 1 that are others in each probe; of integers 0 and 1 in turn."""
    zeros = _zeros(spec)
    if spec.datatype is Datatype.BYTES:
        return zeros
    places = np.arange(zeros.size).reshape(zeros.shape)
    if zeros.dtype.kind == "f":
        return ((places * 7 + index * 3) % 11 / 11).astype(zeros.dtype)
    return ((places + index) % 2).astype(zeros.dtype)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
