"""Requests to the API server and its answers: connections, credentials, time limits, errors.

Knows no kinds and no verbs of the Kubernetes API; `kube` does. Retries nothing.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter

from slipway_operator.adapters.kube_errors import Unreachable, error_of
from slipway_operator.adapters.kube_trace import Told, tracing
from slipway_operator.adapters.kubeconfig import ClusterAccess, KubeconfigError

Object = dict[str, Any]
Fence = Callable[[], None]  # raises `WindowClosed` if nothing may be written now

JSON: Final = "application/json"
CONNECT_TIMEOUT_S: Final = 2.0
REQUEST_TIMEOUT_S: Final = 10.0
WRITE_TIMEOUT_S: Final = 3.5  # a write that was sent at a window's end is over with the Lease
# Each holds a third of a MiB for TLS, and a start with many deployments would open them all.
CONNECTION_COUNT_MAX: Final = 24
LINE_BYTES_MAX: Final = 8 * 1024 * 1024  # etcd takes 1.5 MiB; a watch event wraps one object


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as a value.

    `timeout_s` limits the whole request, `silence_s_max` the time between two parts of its answer.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    timeout_s: float = REQUEST_TIMEOUT_S
    silence_s_max: float | None = None

    @property
    def what(self) -> str:
        """Name the request for people; paths hold no secrets."""
        return f"{self.method} {self.path}"

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, unread; `warnings` are the server's Warning headers."""

    status: int
    body: bytes
    warnings: tuple[str, ...]


class Transport:
    """A connection pool to one API server; belongs to the event loop that first uses it."""

    def __init__(self, access: ClusterAccess, *, fence: Fence, told: Told | None = None) -> None:
        """`told` is told of every request that was sent."""
        self._access = access
        self._fence = fence
        self._traces = [] if told is None else [tracing(told)]
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections; running requests fail with `Unreachable`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answer(self, request: Request) -> Answer:
        """Send a request and read its whole answer; raises `ApiError`."""
        try:
            async with self._send(request) as response:
                await _raise_for(response, request.what)
                body = await response.read()
                return Answer(response.status, body, tuple(response.headers.getall("Warning", ())))
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(request.what, error) from error

    async def lines(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Send a request and yield the lines of its answer as they come; raises `ApiError`."""
        try:
            async with self._send(request) as response:
                await _raise_for(response, request.what)
                async for line in _lines(response):
                    yield line
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(request.what, error) from error

    def _send(self, request: Request) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Accept": request.accept}
        body: aiohttp.Payload | None = None
        if request.data is not None:
            body = _FencedBody(request.data, self._fence, content_type=request.content_type)
        if request.is_write:
            assert body is not None, f"{request.what} has no body to be fenced"
            self._fence()
        try:
            token = self._access.bearer_token()
        except KubeconfigError as error:
            raise unreachable(request.what, error) from error
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._pool().request(
            request.method,
            self._access.server + request.path,
            params=request.query,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=request.timeout_s,
                sock_connect=CONNECT_TIMEOUT_S,
                sock_read=request.silence_s_max,
            ),
            allow_redirects=False,
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTION_COUNT_MAX, ssl=self._access.ssl_context()
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=self._traces,
            )
        return self._session


class _FencedBody(aiohttp.BytesPayload):
    """A body that asks the fence when its connection is there, as the last thing before it leaves.

    Headers wait for the body, so a refusal sends nothing.
    """

    def __init__(self, value: bytes, fence: Fence, *, content_type: str) -> None:
        super().__init__(value, content_type=content_type)
        self._fence = fence

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._fence()
        await super().write_with_length(writer, content_length)


def unfenced() -> None:
    """Let every write pass: for clients that write nothing, or the Lease itself."""


def parsed(body: bytes, what: str) -> Object:
    """Read a JSON object; anything else came from something between us and the API server."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise unreachable(what, error) from error
    if not isinstance(value, dict):
        raise unreachable(what, TypeError("the answer is no JSON object"))
    return value


def unreachable(what: str, cause: Exception) -> Unreachable:
    """Make the error for a request that got no usable answer."""
    message = f"{what}: {type(cause).__name__} {cause}".rstrip()
    return Unreachable(0, reason="Unreachable", message=message)


async def _raise_for(response: aiohttp.ClientResponse, what: str) -> None:
    if response.status < 300:
        return
    text = await response.read()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    body = value if isinstance(value, dict) else {"message": text[:200].decode(errors="replace")}
    wait = response.headers.get("Retry-After", "")
    raise error_of(
        response.status,
        body=body,
        what=what,
        retry_after_s=float(wait) if wait.isdecimal() else None,
    )


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Split a stream at newlines; aiohttp's own line reader refuses lines above 64 KiB."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LINE_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"a line is longer than {LINE_BYTES_MAX} bytes")
