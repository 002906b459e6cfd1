"""The protocol over gRPC, message by message: typed and raw contents, and codes of refusals."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import ViolationError
from bench.conformance.models import SIGNATURES, Kind, kind_of
from bench.conformance.subject import UNKNOWN_MODEL, UNKNOWN_VERSION, Subject
from bench.conformance.tensors import DATATYPES, JSON_NAMES, Tensor, from_raw

_PAGE: Final = "OIP inference_grpc.md"
_CALLS: Final = Group("gRPC", section=f"{_PAGE}, Inference", needs_grpc=True)
_HEALTH: Final = Group("gRPC", section=f"{_PAGE}, Health", needs_grpc=True)
_METADATA: Final = Group("gRPC", section=f"{_PAGE}, Metadata", needs_grpc=True)
# The protocol says that the code is not OK; which one it is follows from what gRPC means by each.
_ERRORS: Final = Group(
    "gRPC refusals", section=f"{_PAGE}, Inference; gRPC, Status Codes", needs_grpc=True
)


def _simple(subject: Subject, *, is_raw: bool = True, **more: Any) -> Any:
    return bodies.message(subject.model(Kind.SIMPLE).name, bodies.pair(), is_raw=is_raw, **more)


def _same(response: Any, tensor: Tensor) -> None:
    """Look at an output, raw or typed, as the server chose."""
    names = [output.name for output in response.outputs]
    expect.true(tensor.name in names, what=f"an output {tensor.name}", got=names)
    index = names.index(tensor.name)
    output = response.outputs[index]
    expect.equal(output.datatype, tensor.datatype, what=f"datatype of {tensor.name}")
    expect.equal(tuple(output.shape), tensor.shape, what=f"shape of {tensor.name}")
    if response.raw_output_contents:
        count = len(response.raw_output_contents)
        expect.equal(count, len(names), what="number of raw_output_contents")
        values = from_raw(tensor.datatype, response.raw_output_contents[index])
    else:
        field = DATATYPES[tensor.datatype].contents or "fp32_contents"
        values = list(getattr(output.contents, field))
    expect.same_values(values, tensor)


@_CALLS.each(JSON_NAMES, name=lambda name: f"{name} in typed contents")
async def typed(subject: Subject, name: str) -> None:
    model = subject.model(Kind.TYPED).name
    request = bodies.message(model, bodies.copies(Kind.TYPED), is_raw=False)
    request.outputs.add(name=f"out_{name}")
    _same(await subject.stub.ModelInfer(request), bodies.copy_of(name))


@_CALLS.each(tuple(DATATYPES), name=lambda name: f"{name} in raw_input_contents")
async def raw(subject: Subject, name: str) -> None:
    kind = kind_of(name)
    request = bodies.message(subject.model(kind).name, bodies.copies(kind), is_raw=True)
    request.outputs.add(name=f"out_{name}")
    _same(await subject.stub.ModelInfer(request), bodies.copy_of(name))


@_CALLS.case("all outputs come where none is asked for, with id and name")
async def all_outputs(subject: Subject) -> None:
    response = await subject.stub.ModelInfer(_simple(subject, id="42"))
    expect.equal(response.id, "42", what="id")
    expect.equal(response.model_name, subject.model(Kind.SIMPLE).name, what="model_name")
    expect.equal(len(response.outputs), 2, what="number of outputs")
    for tensor in bodies.results(bodies.pair()):
        _same(response, tensor)


@_CALLS.case("outputs come in the order asked for")
async def output_order(subject: Subject) -> None:
    request = _simple(subject)
    for name in ("OUTPUT1", "OUTPUT0"):
        request.outputs.add(name=name)
    response = await subject.stub.ModelInfer(request)
    names = [output.name for output in response.outputs]
    expect.equal(names, ["OUTPUT1", "OUTPUT0"], what="outputs")
    for tensor in bodies.results(bodies.pair()):
        _same(response, tensor)


@_CALLS.case("a version answers")
async def version(subject: Subject) -> None:
    model = subject.model(Kind.SIMPLE)
    model.version_path()  # skips for a model without versions
    response = await subject.stub.ModelInfer(_simple(subject, model_version=model.versions[-1]))
    expect.equal(response.model_version, model.versions[-1], what="model_version")


@_CALLS.case("parameters that nobody knows are tolerated", section=f"{_PAGE}, Parameters")
async def parameters(subject: Subject) -> None:
    request = _simple(subject)
    request.parameters["x_text"].string_param = "a"
    request.inputs[0].parameters["x_number"].int64_param = 1
    _same(await subject.stub.ModelInfer(request), bodies.results(bodies.pair())[0])


@_HEALTH.case("server and model are live and ready")
async def health(subject: Subject) -> None:
    live = await subject.stub.ServerLive(service_pb2.ServerLiveRequest())
    expect.equal(live.live, True, what="ServerLive")
    ready = await subject.stub.ServerReady(service_pb2.ServerReadyRequest())
    expect.equal(ready.ready, True, what="ServerReady")
    name = subject.any_model().name
    found = await subject.stub.ModelReady(service_pb2.ModelReadyRequest(name=name))
    expect.equal(found.ready, True, what="ModelReady")


@_METADATA.case("the server tells name, version and extensions as over REST")
async def server_metadata(subject: Subject) -> None:
    found = await subject.stub.ServerMetadata(service_pb2.ServerMetadataRequest())
    expect.equal(found.name, subject.server.name, what="name")
    expect.equal(found.version, subject.server.version, what="version")
    extensions = tuple(found.extensions)
    expect.equal(extensions, subject.server.extensions, what="extensions")


@_METADATA.each(Kind, name=lambda kind: f"the model {kind} is described as it is")
async def model_metadata(subject: Subject, kind: Kind) -> None:
    name = subject.model(kind).name
    found = await subject.stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name))
    expect.equal(found.name, name, what="name")
    signature = SIGNATURES[kind]
    for got, specs in ((found.inputs, signature.inputs), (found.outputs, signature.outputs)):
        shown = {each.name: (each.datatype, tuple(each.shape)) for each in got}
        declared = {spec.name: (spec.datatype, spec.shape) for spec in specs}
        expect.equal(shown, declared, what="tensors")


async def _refused(call: Awaitable[Any], code: grpc.StatusCode) -> None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        found = f"{error.code().name}: {error.details()}"
        expect.true(error.code() is code, what=code.name, got=found)
    else:
        raise ViolationError(f"expected {code.name}, got OK")


@_ERRORS.case("ModelInfer of an unknown model is NOT_FOUND")
async def unknown_model(subject: Subject) -> None:
    request = bodies.message(UNKNOWN_MODEL, bodies.pair(), is_raw=True)
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.NOT_FOUND)


@_ERRORS.case("ModelInfer of an unknown version is NOT_FOUND")
async def unknown_version(subject: Subject) -> None:
    request = _simple(subject, model_version=UNKNOWN_VERSION)
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.NOT_FOUND)


@_ERRORS.case(
    "ModelMetadata of an unknown model is NOT_FOUND",
    section=f"{_PAGE}, Model Metadata; gRPC, Status Codes",
)
async def unknown_metadata(subject: Subject) -> None:
    request = service_pb2.ModelMetadataRequest(name=UNKNOWN_MODEL)
    await _refused(subject.stub.ModelMetadata(request), grpc.StatusCode.NOT_FOUND)


def _both_contents(request: Any) -> None:
    bodies.fill(request.inputs[0], bodies.pair()[0])


def _too_few(request: Any) -> None:
    del request.raw_input_contents[1]


def _too_many(request: Any) -> None:
    request.raw_input_contents.append(b"\0" * 64)


def _short(request: Any) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-4]


def _other_datatype(request: Any) -> None:
    request.inputs[0].datatype = "FP32"


def _no_datatype(request: Any) -> None:
    request.inputs[0].datatype = "INT33"


def _other_shape(request: Any) -> None:
    request.inputs[0].shape[:] = [16]


def _negative_shape(request: Any) -> None:
    request.inputs[0].shape[:] = [-1, -16]


def _huge_shape(request: Any) -> None:
    request.inputs[0].shape[:] = [2**60, 16]


def _other_input(request: Any) -> None:
    request.inputs[0].name = "INPUT7"


def _other_output(request: Any) -> None:
    request.outputs.add(name="OUTPUT7")


def _missing_input(request: Any) -> None:
    del request.inputs[1]
    del request.raw_input_contents[1]


_CHANGES: Final[dict[str, Callable[[Any], None]]] = {
    "raw and typed contents at once": _both_contents,
    "fewer raw contents than inputs": _too_few,
    "more raw contents than inputs": _too_many,
    "raw contents shorter than the shape": _short,
    "a datatype other than the model's": _other_datatype,
    "a datatype that does not exist": _no_datatype,
    "a shape of other dimensions": _other_shape,
    "a shape of negative sizes": _negative_shape,
    "a shape whose product overflows": _huge_shape,
    "an input that the model lacks": _other_input,
    "an output that the model lacks": _other_output,
    "a missing input": _missing_input,
}


@_ERRORS.each(tuple(_CHANGES), name=lambda name: f"{name} is INVALID_ARGUMENT")
async def invalid(subject: Subject, name: str) -> None:
    request = _simple(subject)
    _CHANGES[name](request)
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.INVALID_ARGUMENT)


@_ERRORS.case("typed contents shorter than the shape are INVALID_ARGUMENT")
async def short_contents(subject: Subject) -> None:
    request = _simple(subject, is_raw=False)
    del request.inputs[0].contents.int_contents[0]
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.INVALID_ARGUMENT)


@_ERRORS.case("contents in another datatype's field are INVALID_ARGUMENT")
async def wrong_contents(subject: Subject) -> None:
    request = _simple(subject, is_raw=False)
    contents = request.inputs[0].contents
    contents.fp32_contents.extend(float(value) for value in contents.int_contents)
    contents.ClearField("int_contents")
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.INVALID_ARGUMENT)


@_ERRORS.case("typed contents beyond their datatype's range are INVALID_ARGUMENT")
async def out_of_range(subject: Subject) -> None:
    model = subject.model(Kind.TYPED).name
    request = bodies.message(model, bodies.copies(Kind.TYPED), is_raw=False)
    for entry in request.inputs:
        if entry.datatype == "INT8":
            entry.contents.int_contents[0] = 300
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.INVALID_ARGUMENT)


@_ERRORS.case("16-bit floats in typed contents are INVALID_ARGUMENT")
async def sixteen_bits(subject: Subject) -> None:
    """They have no field of their own (open_inference_grpc.proto, InferTensorContents)."""
    request = bodies.message(subject.model(Kind.FP16).name, bodies.copies(Kind.FP16), is_raw=True)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend([0.5, -2.25, 1.0])
    await _refused(subject.stub.ModelInfer(request), grpc.StatusCode.INVALID_ARGUMENT)
