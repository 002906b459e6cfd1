"""Triton's own Python clients against the server: what people really write their programs with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import ViolationError
from bench.conformance.models import SIGNATURES, Kind, kind_of
from bench.conformance.subject import UNKNOWN_MODEL, Subject
from bench.conformance.tensors import DATATYPES, JSON_NAMES, Tensor

# Below a case's limit: a thread that waits for a socket cannot be interrupted.
_CLIENT_S_MAX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Library:
    """One of the four: over REST or gRPC, blocking or not."""

    name: str
    module: Any
    is_http: bool
    is_blocking: bool

    def limits(self) -> dict[str, float]:
        """Options of each call that bound it."""
        return {} if self.is_http else {"client_timeout": _CLIENT_S_MAX}

    def client(self, subject: Subject) -> Any:
        """A new client of this library."""
        if not self.is_http:
            subject.open_channel()  # skips where gRPC is not known
            return self.module.InferenceServerClient(subject.grpc_address)
        address = subject.authority
        if not self.is_blocking:
            return self.module.InferenceServerClient(address, conn_timeout=_CLIENT_S_MAX)
        return self.module.InferenceServerClient(
            address, connection_timeout=_CLIENT_S_MAX, network_timeout=_CLIENT_S_MAX
        )

    async def ask(self, subject: Subject, method: str, *arguments: Any, **more: Any) -> Any:
        """Call a method; a blocking client lives and dies in a thread of its own."""
        options = {**self.limits(), **more}
        if self.is_blocking:

            def call() -> Any:
                with self.client(subject) as client:
                    return getattr(client, method)(*arguments, **options)

            return await asyncio.to_thread(call)
        async with self.client(subject) as client:
            return await getattr(client, method)(*arguments, **options)

    async def fields(self, subject: Subject, method: str, *arguments: Any) -> Any:
        """Call a method that answers with fields."""
        more = {} if self.is_http else {"as_json": True}
        return await self.ask(subject, method, *arguments, **more)

    def input(self, tensor: Tensor, *, is_binary: bool = True) -> Any:
        """An input; gRPC has binary ones only."""
        made = self.module.InferInput(tensor.name, list(tensor.shape), tensor.datatype)
        more = {"binary_data": is_binary} if self.is_http else {}
        made.set_data_from_numpy(tensor.array, **more)
        return made

    def output(self, name: str, *, is_binary: bool = True) -> Any:
        """An output that is asked for."""
        more = {"binary_data": is_binary} if self.is_http else {}
        return self.module.InferRequestedOutput(name, **more)


_LIBRARIES: Final = (
    Library("tritonclient.http", tritonclient.http, is_http=True, is_blocking=True),
    Library("tritonclient.http.aio", tritonclient.http.aio, is_http=True, is_blocking=False),
    Library("tritonclient.grpc", tritonclient.grpc, is_http=False, is_blocking=True),
    Library("tritonclient.grpc.aio", tritonclient.grpc.aio, is_http=False, is_blocking=False),
)
_OVER_HTTP: Final = _LIBRARIES[:2]

_CLIENTS: Final = Group("Triton's clients", section="OIP, as tritonclient speaks it")
_BINARY: Final = "Triton extension_binary_data.md, as tritonclient speaks it"
_JSON: Final = "OIP inference_rest.md, as tritonclient speaks it"


def _with_names(
    libraries: tuple[Library, ...], names: tuple[str, ...]
) -> tuple[tuple[Library, str], ...]:
    return tuple((library, name) for library in libraries for name in names)


def _called(words: str) -> Callable[[tuple[Library, str]], str]:
    return lambda pair: f"{pair[0].name}: {pair[1]} {words}"


async def _copied(subject: Subject, given: tuple[Library, str], *, is_binary: bool) -> None:
    library, name = given
    kind = kind_of(name)
    inputs = [library.input(each, is_binary=is_binary) for each in bodies.copies(kind)]
    outputs = [library.output(f"out_{name}", is_binary=is_binary)]
    model = subject.model(kind).name
    result = await library.ask(subject, "infer", model, inputs, outputs=outputs)
    _same(result, bodies.copy_of(name))


def _same(result: Any, tensor: Tensor) -> None:
    array = result.as_numpy(tensor.name)
    if array is None:
        raise ViolationError(f"expected an output {tensor.name}, got none of that name")
    expect.equal(array.shape, tensor.shape, what=f"shape of {tensor.name}")
    expect.same_values(array.ravel().tolist(), tensor)


def _needs_binary(subject: Subject, library: Library) -> None:
    if library.is_http:
        subject.require("binary_tensor_data")


@_CLIENTS.each(
    _with_names(_LIBRARIES, tuple(DATATYPES)), name=_called("in binary"), section=_BINARY
)
async def binary(subject: Subject, given: tuple[Library, str]) -> None:
    _needs_binary(subject, given[0])
    await _copied(subject, given, is_binary=True)


@_CLIENTS.each(_with_names(_OVER_HTTP, JSON_NAMES), name=_called("in JSON"), section=_JSON)
async def in_json(subject: Subject, given: tuple[Library, str]) -> None:
    await _copied(subject, given, is_binary=False)


@_CLIENTS.each(_LIBRARIES, name=lambda library: f"{library.name}: no outputs named, all come")
async def all_outputs(subject: Subject, library: Library) -> None:
    _needs_binary(subject, library)
    model = subject.model(Kind.SIMPLE)
    inputs = bodies.pair(2)
    made = [library.input(each) for each in inputs]
    result = await library.ask(subject, "infer", model.name, made, request_id="42")
    for tensor in bodies.results(inputs):
        _same(result, tensor)
    response = result.get_response()
    got = response.get("id") if library.is_http else response.id
    expect.equal(got, "42", what="id")


@_CLIENTS.each(_LIBRARIES, name=lambda library: f"{library.name}: health")
async def health(subject: Subject, library: Library) -> None:
    model = subject.any_model()
    for method in ("is_server_live", "is_server_ready"):
        expect.equal(await library.ask(subject, method), True, what=method)
    found = await library.ask(subject, "is_model_ready", model.name)
    expect.equal(found, True, what="is_model_ready")
    for version in model.versions[-1:]:
        found = await library.ask(subject, "is_model_ready", model.name, version)
        expect.equal(found, True, what=f"is_model_ready of version {version}")


@_CLIENTS.each(_LIBRARIES, name=lambda library: f"{library.name}: metadata")
async def metadata(subject: Subject, library: Library) -> None:
    server = await library.fields(subject, "get_server_metadata")
    expect.equal(server.get("name"), subject.server.name, what="name of the server")
    kind, model = next(iter(subject.models.items()), (None, subject.any_model()))
    found = await library.fields(subject, "get_model_metadata", model.name)
    expect.equal(found.get("name"), model.name, what="name of the model")
    if kind is not None:
        declared = [spec.name for spec in SIGNATURES[kind].inputs]
        expect.equal([each["name"] for each in found["inputs"]], declared, what="inputs")


@_CLIENTS.each(_LIBRARIES, name=lambda library: f"{library.name}: an unknown model is an error")
async def unknown(subject: Subject, library: Library) -> None:
    made = [library.input(each) for each in bodies.pair()]
    try:
        await library.ask(subject, "infer", UNKNOWN_MODEL, made)
    except InferenceServerException as error:
        # A client that cannot read the error's object tells the whole body, or nothing.
        message = error.message()
        expect.true(message and "{" not in message, what="the server's words", got=message)
    else:
        raise ViolationError("expected an InferenceServerException, got an answer")


@_CLIENTS.each(["gzip", "deflate"], name=lambda coding: f"tritonclient.http: bodies in {coding}")
async def compressed(subject: Subject, coding: str) -> None:
    library = _OVER_HTTP[0]
    _needs_binary(subject, library)
    model, inputs = subject.model(Kind.SIMPLE), bodies.pair()
    result = await library.ask(
        subject,
        "infer",
        model.name,
        [library.input(each) for each in inputs],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    for tensor in bodies.results(inputs):
        _same(result, tensor)


@_CLIENTS.each(["gzip", "deflate"], name=lambda coding: f"tritonclient.grpc: messages in {coding}")
async def compressed_messages(subject: Subject, coding: str) -> None:
    library = _LIBRARIES[2]
    model, inputs = subject.model(Kind.SIMPLE), bodies.pair(100)
    made = [library.input(each) for each in inputs]
    result = await library.ask(subject, "infer", model.name, made, compression_algorithm=coding)
    for tensor in bodies.results(inputs):
        _same(result, tensor)
