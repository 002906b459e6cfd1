"""Inference requests in JSON that are wrong: each is the client's fault and is told so."""

from typing import Any, Final

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.models import WIDTH, Kind
from bench.conformance.subject import UNKNOWN_MODEL, UNKNOWN_VERSION, Subject

_ERRORS: Final = Group(
    "refusals in JSON",
    section="OIP inference_rest.md, Inference Response JSON Error Object",
    model=Kind.SIMPLE,
)
_DEEP: Final = 500  # within what parsers of JSON read
_TOO_DEEP: Final = 100_000


def _changed(**fields: Any) -> dict[str, Any]:
    """A good request, but for some fields of its first input."""
    body = bodies.in_json(bodies.pair())
    body["inputs"][0] |= fields
    return body


def _without(field: str) -> dict[str, Any]:
    body = bodies.in_json(bodies.pair())
    del body["inputs"][0][field]
    return body


def _nest(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _deep() -> bytes:
    head = b'{"inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [1, 16], "data": '
    return head + _nest(_DEEP) + b"}]}"


def _wrong_bodies() -> dict[str, Any]:
    good = bodies.in_json(bodies.pair())
    first, second = good["inputs"]
    numbers = first["data"]
    return {
        "an output that the model lacks": good | {"outputs": [{"name": "OUTPUT7"}]},
        "an output that is no object": good | {"outputs": ["OUTPUT0"]},
        "outputs that are no list": good | {"outputs": {"name": "OUTPUT0"}},
        "a missing input": {"inputs": [first]},
        "no inputs": {"inputs": []},
        "no field 'inputs'": {"outputs": [{"name": "OUTPUT0"}]},
        "inputs that are no list": {"inputs": {"INPUT0": numbers}},
        "an input that is no object": {"inputs": [first, 7]},
        "an input that the model lacks": {"inputs": [first, second, first | {"name": "INPUT7"}]},
        "an input given twice": {"inputs": [first, second, first]},
        "an input without a name": _without("name"),
        "an input without a datatype": _without("datatype"),
        "an input without a shape": _without("shape"),
        "an input without data": _without("data"),
        "a datatype other than the model's": _changed(datatype="FP32"),
        "a datatype that does not exist": _changed(datatype="INT33"),
        "a datatype that is no string": _changed(datatype=32),
        "a shape of other dimensions": _changed(shape=[WIDTH]),
        "a shape of another size": _changed(shape=[2, WIDTH // 2]),
        "a shape with a negative size": _changed(shape=[-1, WIDTH]),
        "a shape of strings": _changed(shape=["1", "16"]),
        "a shape of fractions": _changed(shape=[1.5, WIDTH]),
        "a shape that is no list": _changed(shape=WIDTH),
        "a shape of more elements than memory has": _changed(shape=[2**59, WIDTH]),
        "a shape whose product overflows 64 bits": _changed(shape=[2**60, WIDTH]),
        "too few elements": _changed(data=numbers[1:]),
        "too many elements": _changed(data=[*numbers, 1]),
        "data that is an object": _changed(data={"0": 1}),
        "data that is a string": _changed(data="0123456789abcdef"),
        "data that is null": _changed(data=None),
        "an element that is null": _changed(data=[None, *numbers[1:]]),
        "an element that is text": _changed(data=["one", *numbers[1:]]),
        "an element that is an object": _changed(data=[{}, *numbers[1:]]),
        "an element beyond the datatype's range": _changed(data=[2**40, *numbers[1:]]),
        "ragged data": _changed(shape=[2, WIDTH], data=[numbers, numbers[1:]]),
        "parameters that are no object": good | {"parameters": [1]},
        "a body that is a list": [good],
        "a body that is a number": 7,
        "a body that is null": None,
        "a body that is no JSON": b"inputs: none",
        "half a body": b'{"inputs": [{"name": "INPUT0", "sha',
        "a body that is no text": b"\xff\xfe\x00\x01",
        "an empty body": b"",
        "deeply nested data": _deep(),
        "a body nested deeper than any reader goes": _nest(_TOO_DEEP),
    }


@_ERRORS.each(tuple(_wrong_bodies()), name=lambda name: name)
async def wrong(subject: Subject, name: str) -> None:
    expect.refused(await subject.infer(Kind.SIMPLE, _wrong_bodies()[name]))


@_ERRORS.case("an unknown model")
async def unknown_model(subject: Subject) -> None:
    body = bodies.in_json(bodies.pair())
    expect.refused(await subject.post(f"/v2/models/{UNKNOWN_MODEL}/infer", body))


@_ERRORS.case("an unknown version")
async def unknown_version(subject: Subject) -> None:
    path = f"{subject.model(Kind.SIMPLE).path}/versions/{UNKNOWN_VERSION}/infer"
    expect.refused(await subject.post(path, bodies.in_json(bodies.pair())))


@_ERRORS.case("GET instead of POST", section="OIP inference_rest.md, HTTP/REST")
async def wrong_method(subject: Subject) -> None:
    answer = await subject.get(f"{subject.model(Kind.SIMPLE).path}/infer")
    expect.true(400 <= answer.status < 500, what="status 4xx", got=answer.status)


@_ERRORS.case("after all of these a good request is answered")
async def still_there(subject: Subject) -> None:
    inputs = bodies.pair()
    found = expect.inferred(await subject.infer(Kind.SIMPLE, bodies.in_json(inputs)))
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(inputs)[0])
