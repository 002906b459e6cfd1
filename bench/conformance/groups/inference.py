"""Inference in JSON that must be answered."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import Inferred
from bench.conformance.models import WIDTH, Kind, kind_of
from bench.conformance.subject import Subject
from bench.conformance.tensors import JSON_NAMES, Scalar, Tensor

_REQUEST: Final = "OIP inference_rest.md, Inference Request JSON Object"
_RESPONSE: Final = "OIP inference_rest.md, Inference Response JSON Object"
_INPUT: Final = "OIP inference_rest.md, Request Input"
_OUTPUT: Final = "OIP inference_rest.md, Request Output"
_PARAMETERS: Final = "OIP inference_rest.md, Parameters"

_JSON: Final = Group("inference in JSON", section=_REQUEST, model=Kind.SIMPLE)
_TYPES: Final = Group(
    "datatypes in JSON", section="OIP inference_rest.md, Tensor Data", model=Kind.TYPED
)
_HALVES: Final = Group("datatypes in JSON", section="OIP inference_rest.md, Tensor Data")

_ROWS_LARGE: Final = 6250  # 100,000 elements


async def _infer(subject: Subject, body: Any, *, kind: Kind = Kind.SIMPLE) -> Inferred:
    return expect.inferred(await subject.infer(kind, body))


async def _right(subject: Subject, inputs: tuple[Tensor, Tensor], **more: Any) -> Inferred:
    """Ask `simple` and look at both results."""
    found = await _infer(subject, bodies.in_json(inputs, **more))
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)
    return found


@_TYPES.each(JSON_NAMES, name=lambda name: f"{name} comes back as it went")
async def datatype(subject: Subject, name: str) -> None:
    body = bodies.in_json(bodies.copies(Kind.TYPED), outputs=[{"name": f"out_{name}"}])
    found = await _infer(subject, body, kind=Kind.TYPED)
    expect.same(found.outputs.get(f"out_{name}"), bodies.copy_of(name))


@_JSON.case("flat data", section="OIP inference_rest.md, Tensor Data")
async def flat(subject: Subject) -> None:
    await _right(subject, bodies.pair(2))


@_JSON.case("nested data", section="OIP inference_rest.md, Tensor Data")
async def nested(subject: Subject) -> None:
    inputs = bodies.pair(2)
    found = await _infer(subject, bodies.in_json(inputs, is_nested=True))
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)


@_JSON.case("inputs in another order")
async def reordered(subject: Subject) -> None:
    inputs = bodies.pair()
    found = await _infer(subject, bodies.in_json(inputs[::-1]))
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)


@_JSON.case("all outputs come where none is asked for")
async def all_outputs(subject: Subject) -> None:
    found = await _right(subject, bodies.pair())
    expect.equal(set(found.outputs), {"OUTPUT0", "OUTPUT1"}, what="outputs")


@_JSON.case("one output comes where one is asked for", section=_OUTPUT)
async def one_output(subject: Subject) -> None:
    body = bodies.in_json(bodies.pair(), outputs=[{"name": "OUTPUT1"}])
    found = await _infer(subject, body)
    expect.equal(list(found.outputs), ["OUTPUT1"], what="outputs")
    expect.same(found.outputs["OUTPUT1"], bodies.results(bodies.pair())[1])


@_JSON.case("outputs come in the order asked for", section=_OUTPUT)
async def output_order(subject: Subject) -> None:
    asked = [{"name": "OUTPUT1"}, {"name": "OUTPUT0"}]
    found = await _infer(subject, bodies.in_json(bodies.pair(), outputs=asked))
    expect.equal(list(found.outputs), ["OUTPUT1", "OUTPUT0"], what="outputs")


@_JSON.each(["42", "grün-日本", "x" * 200], name=lambda given: f"the id {given[:8]} is echoed")
async def echoed(subject: Subject, given: str) -> None:
    found = await _right(subject, bodies.pair(), id=given)
    expect.equal(found.fields.get("id"), given, what="'id'")


@_JSON.case("an id that was not given is not null", section=_RESPONSE)
async def no_id(subject: Subject) -> None:
    found = await _right(subject, bodies.pair())
    value = found.fields.get("id", "")
    expect.true(isinstance(value, str), what="no 'id', or a string", got=value)


@_JSON.case("the answer names the model", section=_RESPONSE)
async def model_name(subject: Subject) -> None:
    found = await _right(subject, bodies.pair())
    expected = subject.model(Kind.SIMPLE).name
    expect.equal(found.fields.get("model_name"), expected, what="'model_name'")


@_JSON.case("the answer's version is one of the metadata's", section=_RESPONSE)
async def model_version(subject: Subject) -> None:
    """Optional, and absent without versions."""
    found = await _right(subject, bodies.pair())
    version, known = found.fields.get("model_version"), subject.model(Kind.SIMPLE).versions
    is_known = version is None or (isinstance(version, str) and version in known)
    expect.true(is_known or not known, what=f"a 'model_version' of {known}", got=version)


@_JSON.case("a version's own path answers", section="OIP inference_rest.md, HTTP/REST")
async def version_path(subject: Subject) -> None:
    inputs = bodies.pair()
    path = f"{subject.model(Kind.SIMPLE).version_path()}/infer"
    found = expect.inferred(await subject.post(path, bodies.in_json(inputs)))
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(inputs)[0])


@_JSON.case("a batch of no rows", section=_INPUT)
async def no_rows(subject: Subject) -> None:
    empty = tuple(Tensor(f"INPUT{index}", "INT32", (0, WIDTH), ()) for index in (0, 1))
    found = await _infer(subject, bodies.in_json(empty))
    for tensor in bodies.results(empty):
        expect.same(found.outputs.get(tensor.name), tensor)


@_JSON.case("a hundred thousand elements", section=_INPUT)
async def large(subject: Subject) -> None:
    await _right(subject, bodies.pair(_ROWS_LARGE))


@_JSON.case("parameters of the request that nobody knows are tolerated", section=_PARAMETERS)
async def request_parameters(subject: Subject) -> None:
    known_to_nobody = {"x_text": "a", "x_number": 1, "x_float": 0.5, "x_flag": True}
    await _right(subject, bodies.pair(), parameters=known_to_nobody)


@_JSON.case("parameters of an input that nobody knows are tolerated", section=_PARAMETERS)
async def input_parameters(subject: Subject) -> None:
    body = bodies.in_json(bodies.pair())
    body["inputs"][0]["parameters"] = {"x_text": "a"}
    await _infer(subject, body)


@_JSON.case("parameters of an output that nobody knows are tolerated", section=_PARAMETERS)
async def output_parameters(subject: Subject) -> None:
    asked = [{"name": "OUTPUT0", "parameters": {"x_text": "a"}}]
    await _infer(subject, bodies.in_json(bodies.pair(), outputs=asked))


@_JSON.case("fields that nobody knows are tolerated")
async def unknown_fields(subject: Subject) -> None:
    await _right(subject, bodies.pair(), x_field={"a": [1]})


@_JSON.case("a body of a general content type is read")
async def general_content_type(subject: Subject) -> None:
    inputs = bodies.pair()
    headers = {"Content-Type": "application/octet-stream"}
    answer = await subject.infer(Kind.SIMPLE, bodies.in_json(inputs), headers=headers)
    expect.same(expect.inferred(answer).outputs.get("OUTPUT0"), bodies.results(inputs)[0])


@_JSON.case("a query that nobody knows is tolerated", section="OIP inference_rest.md, HTTP/REST")
async def query(subject: Subject) -> None:
    path = f"{subject.model(Kind.SIMPLE).path}/infer?x=1"
    expect.inferred(await subject.post(path, bodies.in_json(bodies.pair())))


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), 100):
        yield content[begin : begin + 100]


@_JSON.case("a body in chunks", section="RFC 9112, Chunked Transfer Coding")
async def chunked(subject: Subject) -> None:
    inputs = bodies.pair()
    content = json.dumps(bodies.in_json(inputs)).encode()
    found = expect.inferred(await subject.infer(Kind.SIMPLE, _chunks(content)))
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(inputs)[0])


@_JSON.case("a body that waits to be asked for", section="RFC 9110, Expect: 100-continue")
async def expected(subject: Subject) -> None:
    path = f"{subject.model(Kind.SIMPLE).path}/infer"
    inputs = bodies.pair()
    found = expect.inferred(await subject.post(path, bodies.in_json(inputs), expect100=True))
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(inputs)[0])


def _only(datatype: str, values: tuple[Scalar, ...]) -> dict[str, Any]:
    """A request to `typed` with other values of one datatype."""
    name = f"in_{datatype}"
    inputs = [
        Tensor(name, datatype, (len(values),), values) if each.name == name else each
        for each in bodies.copies(Kind.TYPED)
    ]
    return bodies.in_json(inputs, outputs=[{"name": f"out_{datatype}"}])


@_TYPES.each(["FP32", "FP64"], name=lambda name: f"{name} may be written as integers")
async def integers(subject: Subject, name: str) -> None:
    found = await _infer(subject, _only(name, (1, -2, 0)), kind=Kind.TYPED)
    values = [float(value) for value in found.outputs[f"out_{name}"].values]
    expect.equal(values, [1.0, -2.0, 0.0], what="values")


_OTHER_VALUES: Final[tuple[tuple[str, str, tuple[Scalar, ...]], ...]] = (
    ("an FP32 beyond its range", "FP32", (1e300,)),
    ("half a surrogate pair in BYTES", "BYTES", ("\ud800",)),
    ("BOOL as a number", "BOOL", (1, 0)),
    ("an INT32 written as a float", "INT32", (1.0, 2.0)),
    ("an INT64 beyond 64 bits", "INT64", (2**70,)),
    ("a UINT8 below zero", "UINT8", (-1,)),
)


@_TYPES.each(_OTHER_VALUES, name=lambda given: f"{given[0]} is served or refused")
async def other_values(subject: Subject, given: tuple[str, str, tuple[Scalar, ...]]) -> None:
    _, name, values = given
    expect.served_or_refused(await subject.infer(Kind.TYPED, _only(name, values)))


@_HALVES.each(["FP16", "BF16"], name=lambda name: f"{name} in JSON is served or refused")
async def sixteen_bits(subject: Subject, name: str) -> None:
    body = bodies.in_json(bodies.copies(kind_of(name)))
    expect.served_or_refused(await subject.infer(kind_of(name), body))
