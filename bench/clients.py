"""Clients of the load: they send as ordinary ones do, and tell which router had each request.

A request is lost for a reason: its router died, it never reached one, or a router that lives on
dropped it. Only the client sees which, by the connection that it used and by what earlier answers
on it said. Nothing here judges answers or keeps a schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import grpc
import orjson
from tritonclient.grpc import service_pb2

from bench import samples
from slipway_api import names

FRESH_REST_EVERY: Final = 20  # every n-th REST request opens a connection of its own
FRESH_GRPC_EVERY: Final = 100
GRPC_CHANNELS: Final = 2
IDLE_S: Final = 15.0  # until an unused connection is closed; aiohttp's default
LANES_KEPT: Final = 100  # connections that wait for requests; as aiohttp keeps by default
# gRPC makes up a status where none came: then there are no headers, or its details begin like this.
BROKEN_STREAM: Final = "Stream removed"
NOT_CONNECTED: Final = "failed to connect to all addresses"
INFER_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # channels with equal targets would share a connection
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go; `rest` and `grpc` are HOST:PORT.

    `answer_timeout_s`: who has no answer by then gives up, and a request is lost. A connection to
    a peer that fell silent is noticed after `keepalive_s` (gRPC) or not used again (REST); None:
    as libraries do by default, which is never for gRPC.
    """

    rest: str
    grpc: str
    model: str
    answer_timeout_s: float
    keepalive_s: float | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came off the wire; None in `status`: none came.

    `router` is the one at the other end of the connection, as far as answers on it said (None:
    unknown). `is_connected` False: there was no connection, so no router had the request.
    """

    status: int | str | None
    headers: Mapping[str, str]
    answer: samples.Answer | None
    error: str | None
    router: str | None = None
    is_connected: bool = True


class Client(Protocol):
    """One way to send row `index`; never raises for anything that a server or a network does.

    `marks` are headers, or gRPC's metadata, by which this request is told from others.
    """

    protocol: str

    async def send(self, index: int, *, marks: Mapping[str, str], is_fresh: bool) -> Reply: ...


class RestClient:
    """V2 inference over HTTP/1.1, on connections that are kept alive or used once."""

    protocol = "rest"

    def __init__(self, to: Destination, prepared: samples.Samples) -> None:
        self._bodies = prepared.rest
        self._to = to
        self._idle: list[_Lane] = []

    async def send(self, index: int, *, marks: Mapping[str, str], is_fresh: bool) -> Reply:
        lane = self._idle.pop() if self._idle and not is_fresh else _Lane(self._to)
        try:
            return await lane.post(self._bodies[index], marks)
        finally:
            if is_fresh or len(self._idle) >= LANES_KEPT:
                await lane.close()
            else:
                self._idle.append(lane)

    async def close(self) -> None:
        for lane in self._idle:
            await lane.close()


class _Lane:
    """One connection at a time, whose router is known from the first answer on it."""

    def __init__(self, to: Destination) -> None:
        self._url = f"http://{to.rest}/v2/models/{to.model}/infer"
        self._router: str | None = None
        self._is_connected = False
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(self._connects)
        trace.on_connection_create_end.append(self._connected)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=to.answer_timeout_s),
            connector=aiohttp.TCPConnector(
                limit=1, ttl_dns_cache=5, keepalive_timeout=to.keepalive_s or IDLE_S
            ),
            trace_configs=[trace],
        )

    async def post(self, body: bytes, marks: Mapping[str, str]) -> Reply:
        headers = {"content-type": "application/json", **marks}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as got:
                self._router = got.headers.get(names.HEADER_ROUTER)
                return _rest_reply(got.status, got.headers, await got.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = f"{type(error).__name__}: {error}"
            return Reply(None, {}, None, said, self._router, self._is_connected)

    async def close(self) -> None:
        await self._session.close()

    async def _connects(self, *_: object) -> None:
        self._router, self._is_connected = None, False

    async def _connected(self, *_: object) -> None:
        self._is_connected = True


def _rest_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    router = headers.get(names.HEADER_ROUTER)
    if status != 200:
        return Reply(status, headers, None, body[:200].decode(errors="replace"), router)
    try:
        answer = samples.rest_answer(orjson.loads(body))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        return Reply(status, headers, None, f"unreadable answer: {error!r}", router)
    return Reply(status, headers, answer, None, router)


class GrpcClient:
    """V2 inference over gRPC, messages prepared as bytes."""

    protocol = "grpc"

    def __init__(self, to: Destination, prepared: samples.Samples) -> None:
        self._messages = prepared.rpc
        self._to = to
        self._channels = [_Channel(to) for _ in range(GRPC_CHANNELS)]

    async def send(self, index: int, *, marks: Mapping[str, str], is_fresh: bool) -> Reply:
        message = self._messages[index]
        if not is_fresh:
            return await self._channels[index % GRPC_CHANNELS].infer(message, marks)
        channel = _Channel(self._to)
        try:
            return await channel.infer(message, marks)
        finally:
            await channel.close()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


class _Channel:
    """One connection at a time, whose router is known from the first answer on it."""

    def __init__(self, to: Destination) -> None:
        options: list[tuple[str, int]] = list(_CHANNEL_OPTIONS)
        if to.keepalive_s is not None:
            options += [
                ("grpc.keepalive_time_ms", int(to.keepalive_s * 500)),
                ("grpc.keepalive_timeout_ms", int(to.keepalive_s * 500)),
                ("grpc.min_reconnect_backoff_ms", 1000),  # also the limit for connecting
                ("grpc.max_reconnect_backoff_ms", 1000),
            ]
        self._timeout_s = to.answer_timeout_s
        self._channel = grpc.aio.insecure_channel(f"dns:///{to.grpc}", options=options)
        self._infer: Any = self._channel.unary_unary(
            INFER_METHOD,
            request_serializer=None,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        self._router: str | None = None

    async def infer(self, message: bytes, marks: Mapping[str, str]) -> Reply:
        if self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            self._router = None  # what comes next goes over another connection
        router = self._router
        metadata = tuple(marks.items())
        call = self._infer(message, timeout=self._timeout_s, metadata=metadata)
        try:
            response = await call
            headers = _text_metadata(await call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            return self._failed(error, router)
        self._router = headers.get(names.HEADER_ROUTER)
        try:
            answer = samples.rpc_answer(response)
        except (KeyError, ValueError, IndexError) as error:
            return Reply("OK", headers, None, f"unreadable answer: {error!r}", self._router)
        return Reply("OK", headers, answer, None, self._router)

    async def close(self) -> None:
        await self._channel.close(None)

    def _failed(self, error: grpc.aio.AioRpcError, router: str | None) -> Reply:
        headers = _text_metadata((*error.initial_metadata(), *error.trailing_metadata()))
        details = error.details() or ""
        said = f"{error.code().name}: {details}"
        if headers and not details.startswith(BROKEN_STREAM):
            named = headers.get(names.HEADER_ROUTER)
            return Reply(error.code().name, headers, None, said, named)
        return Reply(None, headers, None, said, router, NOT_CONNECTED not in details)


def _text_metadata(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}
