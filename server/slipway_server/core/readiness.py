"""Readiness: what a loaded model must show before it answers anybody.

Its signature is the one that was declared, it survives its warm-up, and it answers golden requests.
Knows no form that these were written in. Each check raises LoadError with one line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from slipway_server.backends.base import Backend
from slipway_server.core.errors import LoadError, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import DTYPES, Array, Datatype, Tensor

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A float may be off by `absolute + relative * |expected|`."""

    relative: float
    absolute: float


# Between machines and versions of an engine, sums are made in other orders: about as many digits
# agree as a type has, less what a few layers lose. FP32 as in `batching`.
TOLERANCES: Final[Mapping[Datatype, Tolerance]] = {
    Datatype.FP16: Tolerance(1e-2, 1e-3),
    Datatype.FP32: Tolerance(1e-3, 1e-5),
    Datatype.FP64: Tolerance(1e-6, 1e-8),
}


@dataclass(frozen=True, slots=True)
class Golden:
    """A request and the outputs expected, of which NaN stands for anything that is not finite.

    `name` is what people look it up by. `relative` and `absolute` None: the datatype's own.
    """

    name: str
    inputs: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]
    relative: float | None = None
    absolute: float | None = None


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is asked of a model. No `signatures`: any will do; no `warm_ups`: one of sizes 1."""

    signatures: tuple[Signature, ...] = ()
    warm_ups: tuple[Shapes, ...] = ()
    golden: tuple[Golden, ...] = ()

    def and_also(self, other: "Expectations") -> "Expectations":
        """Ask for both."""
        return Expectations(
            self.signatures + other.signatures,
            self.warm_ups + other.warm_ups,
            self.golden + other.golden,
        )


def check_signature(declared: Signature, found: Signature) -> None:
    """Hold inputs and outputs against what was declared; their order does not matter."""
    for kind, wanted, there in (
        ("input", declared.inputs, found.inputs),
        ("output", declared.outputs, found.outputs),
    ):
        difference = _difference(kind, wanted, there)
        if difference is not None:
            raise LoadError(f"{difference}; correct the declared signature or the model")


def _difference(kind: str, wanted: Iterable[TensorSpec], found: Iterable[TensorSpec]) -> str | None:
    there = {spec.name: spec for spec in found}
    declared = {spec.name: spec for spec in wanted}
    for name, spec in declared.items():
        if name not in there:
            known = ", ".join(f"'{other}'" for other in there)
            return f"{kind} '{name}' is declared, the model has {known}"
        if there[name] != spec:
            return f"{kind} '{name}' is {_form(there[name])}, declared is {_form(spec)}"
    unknown = next((name for name in there if name not in declared), None)
    if unknown is not None:
        return f"the model has {kind} '{unknown}', {_form(there[unknown])}, which is not declared"
    return None


def _form(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"


def warm_up(backend: Backend, warm_ups: Iterable[Shapes]) -> None:
    """Run the model on zeros of these shapes, each by input; without any, on one row."""
    signature = backend.signature
    for shapes in tuple(warm_ups) or ({},):
        said = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        try:
            feed = signature.zeros(shapes)
        except ServingError as err:
            raise LoadError(f"warmUp of {said}: {err.message}") from err
        except MemoryError as err:
            raise LoadError(f"warmUp of {said} is larger than the memory here") from err
        try:
            arrays = backend.infer(feed, [spec.name for spec in signature.outputs])
        except ServingError as err:
            raise LoadError(
                f"the model fails on zeros, {said or 'dynamic sizes 1'}: {err.message}; "
                "correct the model, or declare warmUp with shapes that it takes"
            ) from err
        for spec, array in zip(signature.outputs, arrays, strict=True):
            assert isinstance(array, np.ndarray)
            assert array.dtype == DTYPES[spec.datatype]


def check_golden(backend: Backend, golden: Golden) -> None:
    """Ask the model a golden request and compare."""
    try:
        feed = backend.signature.feed(golden.inputs)
        specs = backend.signature.select([tensor.name for tensor in golden.expected])
        arrays = backend.infer(feed, [spec.name for spec in specs])
    except ServingError as err:
        raise LoadError(f"{golden.name}: {err.message}") from err
    for expected, spec, array in zip(golden.expected, specs, arrays, strict=True):
        difference = _answer_difference(
            expected, Tensor(spec.name, spec.datatype, array), _tolerance(golden, spec.datatype)
        )
        if difference is not None:
            raise LoadError(f"{golden.name}: output '{spec.name}' {difference}")


def _tolerance(golden: Golden, datatype: Datatype) -> Tolerance | None:
    """None where values must be equal."""
    usual = TOLERANCES.get(datatype)
    if usual is None:
        return None
    relative = usual.relative if golden.relative is None else golden.relative
    absolute = usual.absolute if golden.absolute is None else golden.absolute
    return Tolerance(relative, absolute)


def _answer_difference(expected: Tensor, found: Tensor, tolerance: Tolerance | None) -> str | None:
    """The first difference in words, None if there is none."""
    if found.datatype is not expected.datatype:
        return f"is {found.datatype}, expected {expected.datatype}"
    if found.array.shape != expected.array.shape:
        return f"has shape {list(found.array.shape)}, expected {list(expected.array.shape)}"
    is_off = _off(expected.array, found.array, tolerance)
    count = int(np.count_nonzero(is_off))
    if not count:
        return None
    place = np.unravel_index(int(np.argmax(is_off)), is_off.shape)
    wanted, got = expected.array[place], found.array[place]
    said = f"at {[int(index) for index in place]} is {_shown(got)}, expected {_shown(wanted)}"
    if tolerance is not None and np.isfinite(wanted):
        said += f" within {tolerance.absolute + tolerance.relative * abs(float(wanted)):.2g}"
    return f"{said} ({count} of {is_off.size} differ)"


def _off(expected: Array, found: Array, tolerance: Tolerance | None) -> Array:
    """Where values are farther off than they may be."""
    if tolerance is None:
        return np.asarray(expected != found)
    wanted, got = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore"):  # not finite on both sides is as expected
        is_near = np.abs(got - wanted) <= tolerance.absolute + tolerance.relative * np.abs(wanted)
    return np.where(np.isfinite(wanted), ~is_near, np.isfinite(got))


_SHOWN_LENGTH_MAX: Final = 40


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = repr(value)
        return text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}…"
    if isinstance(value, np.floating):
        return f"{float(value):.7g}" if np.isfinite(value) else "not finite"
    return str(value)
