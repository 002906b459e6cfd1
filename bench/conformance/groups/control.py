"""Triton's model repository extension: load and unload, where `--admin` says that they are.

Last of all, because a model that does not come back is missed by what is tried after it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import SkippedError, ViolationError
from bench.conformance.models import Kind
from bench.conformance.subject import UNKNOWN_MODEL, Subject

_SECTION: Final = "Triton extension_model_repository.md, Load and Unload"
_REST: Final = Group("load and unload", section=_SECTION)
_GRPC: Final = Group("load and unload", section=_SECTION)
_REQUESTS: Final = 48
_UNLOADED_S_MAX: Final = 5.0  # Triton answers before it has unloaded
_PAUSE_S: Final = 0.02


async def _change(subject: Subject, name: str, verb: str) -> None:
    answer = await subject.admin().post(f"/v2/repository/models/{name}/{verb}", {})
    expect.equal(answer.status, 200, what=f"status of {verb}")


async def _is_ready(subject: Subject, path: str) -> bool:
    return (await subject.get(f"{path}/ready")).status == 200


async def _until_gone(subject: Subject, path: str) -> None:
    try:
        async with asyncio.timeout(_UNLOADED_S_MAX):
            while await _is_ready(subject, path):
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError as err:
        raise ViolationError("expected the model not to be ready once unloaded, it is") from err


async def _states(subject: Subject, name: str) -> set[str]:
    answer = await subject.admin().post("/v2/repository/index", b"")
    entries = expect.parsed(answer.body) if answer.status == 200 else None
    if not isinstance(entries, list):
        raise ViolationError(f"expected a list, got status {answer.status}")
    return {entry.get("state", "") for entry in entries if entry.get("name") == name}


@_REST.case("a model that is unloaded is gone, and back when it is loaded")
async def comes_back(subject: Subject) -> None:
    model = subject.any_model()
    await _change(subject, model.name, "unload")
    try:
        await _until_gone(subject, model.path)
        states = await _states(subject, model.name)
        expect.true("READY" not in states, what="no READY in the index", got=states)
    finally:
        await _change(subject, model.name, "load")
    expect.true(await _is_ready(subject, model.path), what="ready after the load", got=False)
    states = await _states(subject, model.name)
    expect.true("READY" in states, what="READY in the index", got=states)


@_REST.case("nobody notices when a model is loaded that is there")
async def reloaded(subject: Subject) -> None:
    name = subject.model(Kind.SIMPLE).name
    body = bodies.in_json(bodies.pair())
    answers, _ = await asyncio.gather(
        asyncio.gather(*(subject.infer(Kind.SIMPLE, body) for _ in range(_REQUESTS))),
        _change(subject, name, "load"),
    )
    statuses = {answer.status for answer in answers}
    expect.equal(statuses, {200}, what="statuses")


@_REST.each(["load", "unload"], name=lambda verb: f"{verb} of an unknown model is refused")
async def unknown(subject: Subject, verb: str) -> None:
    answer = await subject.admin().post(f"/v2/repository/models/{UNKNOWN_MODEL}/{verb}", {})
    if verb == "unload" and answer.status == 200:
        raise SkippedError("the server takes what is not there for unloaded")
    expect.refused(answer)


@_REST.case("a name that leads out of the repository is refused")
async def path_as_name(subject: Subject) -> None:
    for name in ("..", "%2e%2e", "..%2f..%2fetc", "%2fetc"):
        expect.refused(await subject.admin().post(f"/v2/repository/models/{name}/load", {}))


@asynccontextmanager
async def _admin_stub(subject: Subject) -> AsyncIterator[Any]:
    if subject.admin_grpc is None:
        raise SkippedError("no --admin-grpc ADDRESS was given")
    async with grpc.aio.insecure_channel(subject.admin_grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@_GRPC.case("gRPC: a model that is unloaded is gone, and back when it is loaded")
async def comes_back_over_grpc(subject: Subject) -> None:
    model = subject.any_model()
    async with _admin_stub(subject) as stub:
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model.name)
        await stub.RepositoryModelUnload(request)
        try:
            await _until_gone(subject, model.path)
        finally:
            again = service_pb2.RepositoryModelLoadRequest(model_name=model.name)
            await stub.RepositoryModelLoad(again)
    expect.true(await _is_ready(subject, model.path), what="ready after the load", got=False)


@_GRPC.case("gRPC: load of an unknown model is refused")
async def unknown_over_grpc(subject: Subject) -> None:
    async with _admin_stub(subject) as stub:
        try:
            await stub.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name=UNKNOWN_MODEL)
            )
        except grpc.aio.AioRpcError as error:
            expect.true(bool(error.details()), what="a message", got=error.details())
        else:
            raise ViolationError("expected a refusal, got OK")
