"""Binary requests that lie about lengths: refused, and never read beyond what was sent."""

from collections.abc import Mapping
from typing import Any, Final

from bench.conformance import bodies, expect
from bench.conformance.bodies import Binary
from bench.conformance.cases import Group
from bench.conformance.models import Kind
from bench.conformance.subject import Subject

_LIES: Final = Group(
    "binary refusals",
    section="Triton extension_binary_data.md",
    extension="binary_tensor_data",
    model=Kind.SIMPLE,
)
_BYTES: Final = Group(
    "binary refusals",
    section="Triton extension_binary_data.md",
    extension="binary_tensor_data",
    model=Kind.TYPED,
)


def _sized(size: Any, *, extra: bytes = b"") -> Binary:
    """Two binary inputs, of which the second claims a size."""
    first, second = bodies.pair()
    fields = {"inputs": [first.as_binary(), second.as_binary(size=size)]}
    return bodies.assembled(fields, first.raw + second.raw + extra)


def _headed(length: str) -> Binary:
    inputs = bodies.pair()
    fields = {"inputs": [each.as_binary() for each in inputs]}
    tail = b"".join(each.raw for each in inputs)
    return bodies.assembled(fields, tail, header_length=length)


def _without_header() -> Binary:
    return Binary(bodies.in_binary(bodies.pair()).body, {})


def _uneven() -> Binary:
    """Sizes whose sum is right and which do not fit the shapes."""
    first, second = bodies.pair()
    entries = [
        first.as_binary(size=len(first.raw) - 4),
        second.as_binary(size=len(second.raw) + 4),
    ]
    return bodies.assembled({"inputs": entries}, first.raw + second.raw)


_REQUESTS: Final[Mapping[str, Binary]] = {
    "a header length beyond the body": _headed("1000000"),
    "a header length beyond 64 bits": _headed("9" * 30),
    "a negative header length": _headed("-1"),
    "a header length that is no number": _headed("many"),
    "a header length that is empty": _headed(""),
    "a header length that cuts the JSON": _headed("20"),
    "no header length at all": _without_header(),
    "a size beyond the body": _sized(1_000_000),
    "a size beyond 64 bits": _sized(2**70),
    "a negative size": _sized(-64),
    "a size that is a string": _sized("64"),
    "a size that is a fraction": _sized(63.5),
    "a size that is smaller than the shape": _sized(60),
    "bytes that belong to no input": _sized(None, extra=b"\0" * 8),
    "a larger size than the shape, and the bytes for it": _sized(72, extra=b"\0" * 8),
    "sizes that fit together but not the shapes": _uneven(),
}


@_LIES.each(tuple(_REQUESTS), name=lambda name: name)
async def lie(subject: Subject, name: str) -> None:
    request = _REQUESTS[name]
    expect.refused(await subject.infer(Kind.SIMPLE, request.body, headers=request.headers))


# Three elements of BYTES, as the shape says, each after its length.
_ELEMENTS: Final[Mapping[str, bytes]] = {
    "an element longer than the bytes": b"\1\0\0\0a\1\0\0\0b\xff\xff\xff\x7fc",
    "bytes that end inside a length": b"\1\0\0\0a\1\0\0\0b\1\0",
    "fewer elements than the shape has": b"\1\0\0\0a\1\0\0\0b",
    "more elements than the shape has": b"\1\0\0\0a" * 4,
}


@_BYTES.each(tuple(_ELEMENTS), name=lambda name: f"BYTES: {name}")
async def elements(subject: Subject, name: str) -> None:
    raw = _ELEMENTS[name]
    inputs = bodies.copies(Kind.TYPED)
    entries = [each.as_json() for each in inputs if each.datatype != "BYTES"]
    lying = {
        "name": "in_BYTES",
        "datatype": "BYTES",
        "shape": [3],
        "parameters": {"binary_data_size": len(raw)},
    }
    request = bodies.assembled({"inputs": [*entries, lying]}, raw)
    expect.refused(await subject.infer(Kind.TYPED, request.body, headers=request.headers))


@_LIES.case("after all of these a good request is answered")
async def still_there(subject: Subject) -> None:
    request = bodies.in_binary(bodies.pair())
    answer = await subject.infer(Kind.SIMPLE, request.body, headers=request.headers)
    expect.same(expect.inferred(answer).outputs.get("OUTPUT0"), bodies.results(bodies.pair())[0])
