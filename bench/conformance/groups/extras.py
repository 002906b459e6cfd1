"""What servers offer beside the protocol: Triton's extensions over gRPC, health, V1. Else skipped.

Nothing here is owed: a server that does not have it is not at fault, one that has it wrong is.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import SkippedError
from bench.conformance.models import Kind
from bench.conformance.subject import Subject

_REFLECTION_S_MAX: Final = 5.0
_SERVICE: Final = "inference.GRPCInferenceService"
_TRITON: Final = Group("extra", section="Triton's extensions over gRPC", needs_grpc=True)
_HEALTH: Final = Group("extra", section="gRPC Health Checking Protocol", needs_grpc=True)
_REFLECTION: Final = Group("extra", section="gRPC Server Reflection Protocol", needs_grpc=True)
_V1: Final = Group("extra", section="KServe V1 protocol", model=Kind.IDENTITY)


async def _offered(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise SkippedError("the server does not offer it (UNIMPLEMENTED)") from error
        raise


@_HEALTH.case("grpc.health.v1 tells that the server is serving")
async def health(subject: Subject) -> None:
    stub = health_pb2_grpc.HealthStub(subject.open_channel())
    found = await _offered(stub.Check(health_pb2.HealthCheckRequest()))
    expect.equal(found.status, health_pb2.HealthCheckResponse.SERVING, what="status")


@_HEALTH.case("grpc.health.v1 does not know an unknown service")
async def unknown_health(subject: Subject) -> None:
    stub = health_pb2_grpc.HealthStub(subject.open_channel())
    await _offered(stub.Check(health_pb2.HealthCheckRequest()))
    try:
        found = await stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    except grpc.aio.AioRpcError as error:
        expect.equal(error.code(), grpc.StatusCode.NOT_FOUND, what="code")
    else:
        raise expect.ViolationError(f"expected NOT_FOUND, got OK {found.status}")


@_REFLECTION.case("reflection names the inference service")
async def reflection(subject: Subject) -> None:
    assert subject.grpc_address is not None, "the group needs gRPC"
    names = await _offered(asyncio.to_thread(_services, subject.grpc_address))
    expect.true(_SERVICE in names, what=_SERVICE, got=names)


def _services(address: str) -> list[str]:
    """Not through asyncio, whose stream of requests tells an early refusal as INTERNAL."""
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        found = next(stub.ServerReflectionInfo(iter([asked]), timeout=_REFLECTION_S_MAX))
        return [each.name for each in found.list_services_response.service]


@_TRITON.case("ModelConfig describes the model")
async def configuration(subject: Subject) -> None:
    subject.require("model_configuration")
    name = subject.any_model().name
    found = await subject.stub.ModelConfig(service_pb2.ModelConfigRequest(name=name))
    expect.equal(found.config.name, name, what="name")


@_TRITON.case("ModelStatistics names the model")
async def statistics(subject: Subject) -> None:
    subject.require("statistics")
    name = subject.any_model().name
    found = await subject.stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=name))
    names = {each.name for each in found.model_stats}
    expect.equal(names, {name}, what="models")


@_TRITON.case("RepositoryIndex names the model")
async def index(subject: Subject) -> None:
    found = await _offered(subject.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()))
    names = [each.name for each in found.models]
    expected = subject.any_model().name
    expect.true(expected in names, what=f"{expected} in the index", got=names)


@_TRITON.case("classes instead of an output")
async def classes(subject: Subject) -> None:
    subject.require("classification")
    request = service_pb2.ModelInferRequest(model_name=subject.model(Kind.SIMPLE).name)
    for tensor in bodies.pair():
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(tensor.raw)
    asked = request.outputs.add(name="OUTPUT0")
    asked.parameters["classification"].int64_param = 1
    response = await subject.stub.ModelInfer(request)
    expect.equal(response.outputs[0].datatype, "BYTES", what="datatype")


async def _v1_path(subject: Subject) -> str:
    path = f"/v1/models/{subject.model(Kind.IDENTITY).name}"
    status = (await subject.get(path)).status
    if status in (404, 405, 501):
        raise SkippedError(f"the server has no V1 protocol: GET /v1/models/NAME is {status}")
    expect.equal(status, 200, what=f"status of GET {path}")
    return path


@_V1.case("V1: rows go to :predict and come back")
async def predict(subject: Subject) -> None:
    path = await _v1_path(subject)
    rows = [[0.5, 1.5, 2.5, 3.5], [4.5, 5.5, 6.5, 7.5]]
    found = expect.fields(await subject.post(f"{path}:predict", {"instances": rows}))
    expect.equal(found.get("predictions"), rows, what="'predictions'")


_WRONG: Final[tuple[dict[str, Any], ...]] = ({}, {"instances": 7}, {"instances": [["a"]]})


@_V1.each(_WRONG, name=lambda body: f"V1: {body} is refused")
async def wrong_predict(subject: Subject, body: dict[str, Any]) -> None:
    path = await _v1_path(subject)
    expect.refused(await subject.post(f"{path}:predict", body))
