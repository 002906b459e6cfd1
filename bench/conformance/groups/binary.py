"""Tensors as raw bytes after the JSON, and bodies that are nothing but a tensor."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.conformance import bodies, expect
from bench.conformance.bodies import Binary
from bench.conformance.cases import Group
from bench.conformance.expect import HEADER_LENGTH, Answer, Inferred
from bench.conformance.models import Kind, kind_of
from bench.conformance.subject import Subject
from bench.conformance.tensors import DATATYPES, Tensor

_EXTENSION: Final = "binary_tensor_data"
_SECTION: Final = "Triton extension_binary_data.md"
_TYPES: Final = Group("binary datatypes", section=_SECTION, extension=_EXTENSION)
_TYPED: Final = Group("binary datatypes", section=_SECTION, extension=_EXTENSION, model=Kind.TYPED)
_BINARY: Final = Group("binary tensors", section=_SECTION, extension=_EXTENSION, model=Kind.SIMPLE)
_RAW: Final = Group(
    "raw bodies",
    section=f"{_SECTION}, Raw Binary Request",
    extension=_EXTENSION,
    model=Kind.IDENTITY,
)
_ALL_BINARY: Final = {"binary_data_output": True}


async def _send(subject: Subject, request: Binary, *, kind: Kind = Kind.SIMPLE) -> Answer:
    return await subject.infer(kind, request.body, headers=request.headers)


async def _right(subject: Subject, request: Binary) -> Inferred:
    """Ask `simple` with one row and look at the results that came."""
    found = expect.inferred(await _send(subject, request))
    known = {tensor.name: tensor for tensor in bodies.results(bodies.pair())}
    for name, output in found.outputs.items():
        expect.true(name in known, what="a known output", got=name)
        expect.same(output, known[name])
    return found


def _how(found: Inferred) -> dict[str, bool]:
    return {name: output.is_binary for name, output in found.outputs.items()}


@_TYPES.each(tuple(DATATYPES), name=lambda name: f"{name} comes back as it went")
async def datatype(subject: Subject, name: str) -> None:
    asked = [{"name": f"out_{name}", "parameters": {"binary_data": True}}]
    kind = kind_of(name)
    request = bodies.in_binary(bodies.copies(kind), outputs=asked)
    found = expect.inferred(await _send(subject, request, kind=kind))
    expect.equal(_how(found), {f"out_{name}": True}, what="binary outputs")
    expect.same(found.outputs[f"out_{name}"], bodies.copy_of(name))


@_TYPED.case("BYTES that are no UTF-8 are served or refused")
async def no_text(subject: Subject) -> None:
    raw = b"\1\0\0\0\xff"
    inputs = [each for each in bodies.copies(Kind.TYPED) if each.datatype != "BYTES"]
    last = {
        "name": "in_BYTES",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(raw)},
    }
    fields = {
        "inputs": [*(each.as_json() for each in inputs), last],
        "outputs": [{"name": "out_BYTES", "parameters": {"binary_data": True}}],
    }
    answer = await _send(subject, bodies.assembled(fields, raw), kind=Kind.TYPED)
    if answer.status != 200:  # an answer of such bytes cannot be read as text
        expect.refused(answer)


@_RAW.case("NaN and infinities keep a JSON answer JSON", section=_SECTION)
async def not_a_number(subject: Subject) -> None:
    values = (float("nan"), float("inf"), float("-inf"), 1.0)
    sent = Tensor("INPUT0", "FP32", (1, 4), values)
    answer = await _send(subject, bodies.in_binary([sent]), kind=Kind.IDENTITY)
    if answer.status != 200:
        expect.refused(answer)
    else:
        expect.equal(len(expect.inferred(answer).outputs["OUTPUT0"].values), 4, what="values")


@_RAW.case("NaN and infinities come back in bytes", section=_SECTION)
async def not_a_number_in_bytes(subject: Subject) -> None:
    values = (float("nan"), float("inf"), float("-inf"), 1.0)
    sent = Tensor("INPUT0", "FP32", (1, 4), values)
    request = bodies.in_binary([sent], parameters=_ALL_BINARY)
    answer = await _send(subject, request, kind=Kind.IDENTITY)
    found = expect.inferred(answer).outputs["OUTPUT0"].values
    expect.equal(repr(list(found)), repr(list(values)), what="values")


def _mixed(binary: Sequence[str]) -> Binary:
    inputs = bodies.pair()
    entries = [each.as_binary() if each.name in binary else each.as_json() for each in inputs]
    tail = b"".join(each.raw for each in inputs if each.name in binary)
    return bodies.assembled({"inputs": entries}, tail)


@_BINARY.each(["INPUT0", "INPUT1"], name=lambda name: f"{name} in binary, the other in JSON")
async def mixed_inputs(subject: Subject, name: str) -> None:
    found = await _right(subject, _mixed([name]))
    expect.equal(_how(found), {"OUTPUT0": False, "OUTPUT1": False}, what="binary outputs")


@_BINARY.case("binary inputs, and outputs in JSON as nothing else is asked")
async def json_outputs(subject: Subject) -> None:
    answer = await _send(subject, bodies.in_binary(bodies.pair()))
    expect.equal(answer.headers.get(HEADER_LENGTH.lower()), None, what=HEADER_LENGTH)
    found = await _right(subject, bodies.in_binary(bodies.pair()))
    expect.equal(_how(found), {"OUTPUT0": False, "OUTPUT1": False}, what="binary outputs")


@_BINARY.case("inputs in JSON, and outputs in binary")
async def json_inputs(subject: Subject) -> None:
    inputs = bodies.pair()
    body = bodies.in_json(inputs, parameters=_ALL_BINARY)
    found = expect.inferred(await subject.infer(Kind.SIMPLE, body))
    expect.equal(_how(found), {"OUTPUT0": True, "OUTPUT1": True}, what="binary outputs")
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)


@_BINARY.case("a header length that is all of the body")
async def whole_length(subject: Subject) -> None:
    await _right(subject, _mixed([]))


def _asked(**binary: bool) -> dict[str, Any]:
    return {
        "outputs": [
            {"name": name, "parameters": {"binary_data": value}} for name, value in binary.items()
        ]
    }


_OUTPUTS: Final[Mapping[str, tuple[dict[str, Any], dict[str, bool]]]] = {
    "binary_data of one output": (
        _asked(OUTPUT0=True, OUTPUT1=False),
        {"OUTPUT0": True, "OUTPUT1": False},
    ),
    "binary_data of the second output": (
        _asked(OUTPUT0=False, OUTPUT1=True),
        {"OUTPUT0": False, "OUTPUT1": True},
    ),
    "bytes in the order in which outputs are asked for": (
        _asked(OUTPUT1=True, OUTPUT0=True),
        {"OUTPUT1": True, "OUTPUT0": True},
    ),
    "binary_data_output of the request": (
        {"parameters": _ALL_BINARY},
        {"OUTPUT0": True, "OUTPUT1": True},
    ),
    "binary_data_output, and not for one output": (
        {"parameters": _ALL_BINARY, **_asked(OUTPUT0=True, OUTPUT1=False)},
        {"OUTPUT0": True, "OUTPUT1": False},
    ),
    "binary_data_output, which an output does not mention": (
        {"parameters": _ALL_BINARY, "outputs": [{"name": "OUTPUT1"}]},
        {"OUTPUT1": True},
    ),
    "binary_data_output that is false": (
        {"parameters": {"binary_data_output": False}},
        {"OUTPUT0": False, "OUTPUT1": False},
    ),
}


@_BINARY.each(tuple(_OUTPUTS), name=lambda name: name)
async def asked_outputs(subject: Subject, name: str) -> None:
    more, expected = _OUTPUTS[name]
    found = await _right(subject, bodies.in_binary(bodies.pair(), **more))
    expect.equal(list(_how(found).items()), list(expected.items()), what="binary outputs")


@_BINARY.case("the content type of a binary answer is not JSON's")
async def content_type(subject: Subject) -> None:
    answer = await _send(subject, bodies.in_binary(bodies.pair(), parameters=_ALL_BINARY))
    expect.inferred(answer)
    found = answer.headers.get("content-type", "")
    expect.true(found.startswith("application/octet-stream"), what="octet-stream", got=found)


@_BINARY.case("a hundred thousand elements")
async def large(subject: Subject) -> None:
    inputs = bodies.pair(6250)
    request = bodies.in_binary(inputs, parameters=_ALL_BINARY)
    found = expect.inferred(await _send(subject, request))
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)


@_BINARY.case("the id is echoed in a binary answer")
async def echoed(subject: Subject) -> None:
    request = bodies.in_binary(bodies.pair(), id="42", parameters=_ALL_BINARY)
    found = await _right(subject, request)
    expect.equal(found.fields.get("id"), "42", what="'id'")


@_RAW.case("the body is the one input")
async def raw(subject: Subject) -> None:
    sent = bodies.row()
    answer = await _send(subject, Binary(sent.raw, {HEADER_LENGTH: "0"}), kind=Kind.IDENTITY)
    expected = Tensor("OUTPUT0", sent.datatype, sent.shape, sent.values)
    expect.same(expect.inferred(answer).outputs.get("OUTPUT0"), expected)


@_RAW.case("a body that no shape fits is refused")
async def raw_too_short(subject: Subject) -> None:
    sent = bodies.row().raw[:-1]
    request = Binary(sent, {HEADER_LENGTH: "0"})
    expect.refused(await _send(subject, request, kind=Kind.IDENTITY))
