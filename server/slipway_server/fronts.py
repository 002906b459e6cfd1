"""The two listeners: uvicorn for REST and grpc.aio, on one event loop.

They are open from the first moment, so that liveness is answered while the model loads.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Final, cast

import grpc
import uvicorn
from grpc_health.v1 import health as health_service
from grpc_reflection.v1alpha import reflection

from slipway_server.access.gate import Gate
from slipway_server.rest.connection import Connection
from slipway_server.rest.front import Front
from slipway_server.rpc.gate import GateInterceptor
from slipway_server.rpc.health import Health
from slipway_server.rpc.service import SERVICE, InferenceService
from slipway_server.switchboard import cannot_listen
from slipway_server.tls import Certificates

_BACKLOG: Final = 2048
_POLL_S: Final = 0.02
_LOOK_S: Final = 1.0
_STREAMS_MAX: Final = 1024  # requests at once on one gRPC connection
_IDLE_MS_MAX: Final = 3_700_000  # without a request; as over HTTP, longer than Envoy keeps one
_PING_MS_MIN: Final = 10_000  # the least that gRPC's own clients may be set to


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: signals are the life cycle's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpListener:
    """REST, health and metrics."""

    def __init__(
        self,
        app: Front,
        connection: Callable[..., Connection],
        *,
        host: str,
        port: int,
        drain_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`connection` makes the protocol of each connection, given what uvicorn gives it.

        Without `tls` it speaks plain text.
        """
        try:
            self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        except OSError as err:
            raise cannot_listen(host, port, err) from err
        config = uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]  # a class, or what makes its objects
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who the client is changes nothing here
            backlog=_BACKLOG,
            # Its own last resort; `close` is bounded by the life cycle as well.
            timeout_graceful_shutdown=int(drain_s) + 1,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        self._server = _Uvicorn(config)
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use, also where 0 was asked for."""
        number: int = self._socket.getsockname()[1]
        return number

    async def start(self) -> None:
        """Accept connections."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(_POLL_S)
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Accept nothing more and finish what is in flight."""
        assert self._serving is not None
        assert self._watching is not None
        self._server.should_exit = True
        await self._serving
        self._watching.cancel()

    async def _watch(self) -> None:
        """Have connections keep to their limits of time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = loop.time()
            for connection in list(self._server.server_state.connections):
                cast(Connection, connection).look(now_s)


class GrpcListener:
    """The same over gRPC."""

    def __init__(
        self,
        service: InferenceService,
        health: Health,
        *,
        host: str,
        port: int,
        message_bytes_max: int,
        connection_count_max: int,
        gate: Gate | None,
        certificates: Certificates | None,
    ) -> None:
        """Without `gate` everybody may ask; without `certificates` in plain text."""
        self._server = grpc.aio.server(
            interceptors=() if gate is None else (GateInterceptor(gate),),
            options=[
                ("grpc.max_receive_message_length", message_bytes_max),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", _STREAMS_MAX),
                ("grpc.max_allowed_incoming_connections", connection_count_max),
                ("grpc.max_connection_idle_ms", _IDLE_MS_MAX),
                # Clients that look whether a connection lives may do so, also between requests,
                # and the third ping too many ends the connection.
                ("grpc.http2.min_ping_interval_without_data_ms", _PING_MS_MIN),
                ("grpc.http2.max_ping_strikes", 2),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self._server.add_generic_rpc_handlers((service.handler(), health.handler()))
        named = (SERVICE, health_service.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(named, self._server)
        try:
            self.port: Final[int] = self._open(f"{host}:{port}", certificates)
        except RuntimeError as err:
            raise cannot_listen(host, port, err) from err

    def _open(self, address: str, certificates: Certificates | None) -> int:
        if certificates is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, certificates.rpc_credentials())

    async def start(self) -> None:
        """Accept connections."""
        await self._server.start()

    async def close(self, drain_s: float) -> None:
        """Accept nothing more and finish what is in flight, at most so long."""
        await self._server.stop(drain_s)
