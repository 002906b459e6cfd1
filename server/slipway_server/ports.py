"""The ports of a server: those for clients, and one for those who may change what is served.

Both answer alike; only the admin port loads and unloads. It is one port for both protocols.
"""

import asyncio
import ipaddress
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from slipway_api import names
from slipway_server.attempts import Attempts
from slipway_server.control import Control
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import LoadError
from slipway_server.fronts import GrpcListener, HttpListener
from slipway_server.protection import Protection
from slipway_server.rest.asgi import App
from slipway_server.rest.connection import Connection, HttpLimits
from slipway_server.rest.front import Front
from slipway_server.rest.infer import InferPath
from slipway_server.rest.later import LaterApp
from slipway_server.rpc.health import Health
from slipway_server.rpc.service import InferenceService
from slipway_server.settings import Settings
from slipway_server.switchboard import Switchboard

LOOPBACK: Final = "127.0.0.1"


class AdminPort:
    """REST and gRPC behind one port, with control."""

    def __init__(
        self, http: HttpListener, grpc: GrpcListener, either: Switchboard, *, drain_s: float
    ) -> None:
        self._http, self._grpc, self._either, self._drain_s = http, grpc, either, drain_s

    @property
    def number(self) -> int:
        """The port in use, also where 0 was asked for."""
        return self._either.port

    async def start(self) -> None:
        """Accept connections."""
        for each in (self._http, self._grpc, self._either):
            await each.start()

    async def close(self) -> None:
        """Accept nothing more and finish what is in flight."""
        await asyncio.gather(
            self._either.close(), self._http.close(), self._grpc.close(self._drain_s)
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Ports:
    """Opens them."""

    def __init__(
        self,
        settings: Settings,
        dataplane: Dataplane,
        attempts: Attempts,
        *,
        collectors: CollectorRegistry,
        guarded: Protection,
    ) -> None:
        self._guarded = guarded
        self._settings, self._dataplane, self._attempts = settings, dataplane, attempts
        self._collectors = collectors
        self._later: list[LaterApp] = []
        self._connection = partial(
            Connection,
            infer=InferPath(
                dataplane, attempts, body_bytes_max=settings.body_bytes_max, gate=guarded.gate
            ),
            limits=HttpLimits(connection_count_max=settings.connections_max),
            stamp=(names.HEADER_REVISION.encode(), settings.revision.encode()),
        )

    def http(self, host: str, port: int, *, control: Control | None = None) -> HttpListener:
        """REST; LoadError where nobody can listen."""
        settings = self._settings

        def build() -> App:
            from slipway_server.rest import app  # see LaterApp

            return app.build(self._dataplane, self._collectors, control)

        api = LaterApp(build)
        self._later.append(api)
        gate, certificates = self._guarded.gate, self._guarded.certificates
        return HttpListener(
            Front(self._dataplane, api=api, revision=settings.revision, gate=gate),
            self._connection,
            host=host,
            port=port,
            drain_s=settings.drain_s,
            tls=None if certificates is None else certificates.context(),
        )

    async def prepare(self) -> None:
        """Make what was put off until the models are loaded."""
        for each in self._later:
            await each.prepare()

    def grpc(self, host: str, port: int, *, control: Control | None = None) -> GrpcListener:
        """The same over gRPC."""
        service = InferenceService(
            self._dataplane, self._attempts, control=control, revision=self._settings.revision
        )
        return GrpcListener(
            service,
            Health(self._dataplane),
            host=host,
            port=port,
            message_bytes_max=self._settings.body_bytes_max,
            connection_count_max=self._settings.connections_max,
            gate=self._guarded.gate,
            certificates=self._guarded.certificates,
        )

    def admin(self, control: Control | None) -> AdminPort | None:
        """The admin port, if the settings have one and there is something to control."""
        settings = self._settings
        if settings.admin_port is None or control is None:
            return None
        if self._guarded.gate is None and not _is_loopback(settings.admin_host):
            raise LoadError(
                f"the admin port on {settings.admin_host} would be open to everybody; set "
                "SLIPWAY_SERVER_AUTH_KEYS_FILE, or leave it on 127.0.0.1"
            )
        http = self.http(LOOPBACK, 0, control=control)
        grpc = self.grpc(LOOPBACK, 0, control=control)
        either = Switchboard(
            host=settings.admin_host,
            port=settings.admin_port,
            http_port=http.port,
            grpc_port=grpc.port,
        )
        return AdminPort(http, grpc, either, drain_s=settings.drain_s)
