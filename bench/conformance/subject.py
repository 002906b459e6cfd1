"""The server under test: where it is, which models it has, and how it is asked."""

import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import grpc
from tritonclient.grpc import service_pb2_grpc

from bench.conformance.expect import Answer, SkippedError
from bench.conformance.models import Kind


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is there; `versions` are those that its metadata names, perhaps none."""

    name: str
    versions: tuple[str, ...]

    @property
    def path(self) -> str:
        """The beginning of its paths."""
        return f"/v2/models/{quote(self.name, safe='')}"

    def version_path(self) -> str:
        """The beginning of the paths of its newest version; skips for a server without versions."""
        if not self.versions:
            raise SkippedError("the model's metadata names no versions")
        return f"{self.path}/versions/{quote(self.versions[-1], safe='')}"


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself; empty where it does not."""

    name: str = ""
    version: str = ""
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """All that a case may use. `absent` says why a model's cases are skipped."""

    url: str
    session: aiohttp.ClientSession
    server: Server = field(default_factory=Server)
    models: Mapping[Kind, Model] = field(default_factory=dict)
    absent: Mapping[Kind, str] = field(default_factory=dict)
    grpc_address: str | None = None
    channel: "grpc.aio.Channel | None" = None
    admin_url: str | None = None
    admin_grpc: str | None = None

    @property
    def authority(self) -> str:
        """Host and port (and path) as Triton's clients want it."""
        return self.url.partition("://")[2]

    @property
    def stub(self) -> Any:
        """The inference service."""
        return service_pb2_grpc.GRPCInferenceServiceStub(self.open_channel())

    def open_channel(self) -> "grpc.aio.Channel":
        """The channel to it; skips without an address."""
        if self.channel is None:
            raise SkippedError("no --grpc ADDRESS was given")
        return self.channel

    def admin(self) -> "Subject":
        """The same where models are loaded and unloaded; skips if nobody said where."""
        if self.admin_url is None:
            raise SkippedError("no --admin URL was given")
        return replace(self, url=self.admin_url)

    def model(self, kind: Kind) -> Model:
        """A model, or skips with why it is not there."""
        if kind not in self.models:
            raise SkippedError(self.absent.get(kind, f"the model {kind} was not looked for"))
        return self.models[kind]

    def any_model(self) -> Model:
        """The first model that is there, for cases that need no certain one."""
        if not self.models:
            raise SkippedError("none of the models is there")
        return next(iter(self.models.values()))

    def require(self, extension: str) -> None:
        """Skip unless the server says that it has an extension."""
        if extension not in self.server.extensions:
            raise SkippedError(f"the server's metadata does not name the extension {extension}")

    async def get(self, path: str) -> Answer:
        """GET a path."""
        return await self._ask("GET", path)

    async def post(
        self, path: str, body: Any, *, headers: Mapping[str, str] | None = None, **how: Any
    ) -> Answer:
        """POST a body: bytes and streams as they are, all else as JSON.

        `how` is for aiohttp, like `expect100`.
        """
        is_ready = isinstance(body, bytes | AsyncIterable)
        content = body if is_ready else json.dumps(body).encode()
        named = {"Content-Type": "application/json", **(headers or {})}
        return await self._ask("POST", path, data=content, headers=named, **how)

    async def infer(
        self, kind: Kind, body: Any, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST an inference request to a model; skips if it is not there."""
        return await self.post(f"{self.model(kind).path}/infer", body, headers=headers)

    async def _ask(self, method: str, path: str, **how: Any) -> Answer:
        async with self.session.request(
            method, f"{self.url}{path}", allow_redirects=False, **how
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())


UNKNOWN_MODEL: Final = "no_such_model"
UNKNOWN_VERSION: Final = "987654321"
