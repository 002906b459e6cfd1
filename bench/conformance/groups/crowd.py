"""Many requests at once: whatever a server puts together, each gets the answer that is its own."""

import asyncio
from typing import Any, Final

from tritonclient.grpc import service_pb2

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.models import WIDTH, Kind
from bench.conformance.subject import Subject
from bench.conformance.tensors import Tensor, from_raw

_CROWD: Final = Group("many at once", section="OIP inference_rest.md, Inference", model=Kind.SIMPLE)
_TYPED: Final = Group("many at once", section="OIP inference_rest.md, Inference", model=Kind.TYPED)
_GRPC: Final = Group(
    "many at once", section="OIP inference_grpc.md, Inference", model=Kind.SIMPLE, needs_grpc=True
)
_COUNT: Final = 48
_ROWS: Final = 4  # 0 to 3 of each request


def _inputs(index: int, *, rows: int) -> tuple[Tensor, Tensor]:
    """Values that no other request has."""
    shape, count = (rows, WIDTH), rows * WIDTH
    first = tuple(1000 * index + place for place in range(count))
    return (
        Tensor("INPUT0", "INT32", shape, first),
        Tensor("INPUT1", "INT32", shape, tuple(7 * value for value in first)),
    )


async def _one(subject: Subject, index: int, *, rows: int) -> None:
    inputs = _inputs(index, rows=rows)
    body = bodies.in_json(inputs, id=str(index))
    found = expect.inferred(await subject.infer(Kind.SIMPLE, body))
    expect.equal(found.fields.get("id"), str(index), what="'id'")
    for tensor in bodies.results(inputs):
        expect.same(found.outputs.get(tensor.name), tensor)


@_CROWD.case("requests of one row")
async def rows(subject: Subject) -> None:
    await asyncio.gather(*(_one(subject, index, rows=1) for index in range(_COUNT)))


@_CROWD.case("requests of none, one, two and three rows")
async def other_rows(subject: Subject) -> None:
    await asyncio.gather(*(_one(subject, index, rows=index % _ROWS) for index in range(_COUNT)))


@_CROWD.case("good requests among bad ones")
async def among_bad(subject: Subject) -> None:
    async def bad(index: int) -> None:
        body = bodies.in_json(_inputs(index, rows=1))
        body["inputs"][0]["datatype"] = "FP32"
        expect.refused(await subject.infer(Kind.SIMPLE, body))

    ask = [bad(i) if i % 3 == 0 else _one(subject, i, rows=1) for i in range(_COUNT)]
    await asyncio.gather(*ask)


@_CROWD.case("requests that ask for different outputs")
async def other_outputs(subject: Subject) -> None:
    async def ask(index: int) -> None:
        inputs = _inputs(index, rows=1)
        expected = bodies.results(inputs)[index % 2]
        body = bodies.in_json(inputs, outputs=[{"name": expected.name}])
        found = expect.inferred(await subject.infer(Kind.SIMPLE, body))
        expect.equal(list(found.outputs), [expected.name], what="outputs")
        expect.same(found.outputs[expected.name], expected)

    await asyncio.gather(*(ask(index) for index in range(_COUNT)))


@_TYPED.case("requests whose inputs differ in length")
async def lengths(subject: Subject) -> None:
    """One input may have more elements than another: they are no rows of one batch."""

    async def ask(index: int) -> None:
        values = tuple(range(index % 5))
        inputs = [
            Tensor(each.name, "INT64", (len(values),), values) if each.datatype == "INT64" else each
            for each in bodies.copies(Kind.TYPED)
        ]
        found = expect.inferred(await subject.infer(Kind.TYPED, bodies.in_json(inputs)))
        for tensor in inputs:
            name = tensor.name.replace("in_", "out_", 1)
            expected = Tensor(name, tensor.datatype, tensor.shape, tensor.values)
            expect.same(found.outputs.get(name), expected)

    await asyncio.gather(*(ask(index) for index in range(_COUNT)))


@_GRPC.case("requests over gRPC")
async def over_grpc(subject: Subject) -> None:
    async def ask(index: int) -> None:
        inputs = _inputs(index, rows=index % _ROWS)
        request: Any = service_pb2.ModelInferRequest(model_name=subject.model(Kind.SIMPLE).name)
        for tensor in inputs:
            request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            request.raw_input_contents.append(tensor.raw)
        request.outputs.add(name="OUTPUT1")
        response = await subject.stub.ModelInfer(request)
        values = from_raw("INT32", response.raw_output_contents[0])
        expect.same_values(values, bodies.results(inputs)[1])

    await asyncio.gather(*(ask(index) for index in range(_COUNT)))
