"""A played router: delta ADS, access logs and `/.slipway/config`, as a router pod has them.

It takes everything in at once and answers no request of any client; what it reports is what it is
told to report, of the pods that it knows.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf.message import Message

from slipway_api import names
from slipway_operator.adapters import certificates
from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_listener import LOG_ATTEMPTS
from slipway_operator.render.envoy_wire import CLUSTER, ENDPOINTS, LISTENER, ROUTES, RUNTIME
from tests.writes import ways
from tests.writes.ways import Shares
from tests.writes.writes import Fault

KINDS: Final = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINTS: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    ROUTES: route_pb2.RouteConfiguration,
    RUNTIME: rtds_pb2.Runtime,
}
AGAIN_S: Final = 0.05
REPORT_S: Final = 0.25
REPORTED: Final = 50  # attempts on each way in one report
_OPTIONS: Final = (
    ("grpc.ssl_target_name_override", names.XDS_SERVER_NAME),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
)
_DISCOVER: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_LOG: Final = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A message to a router, in words."""

    router: str
    kind: str
    words: tuple[str, ...]


@dataclass
class Told:
    """What a router reports of a deployment's pods."""

    bad_revisions: set[str] = field(default_factory=set)


class PlayedRouter:
    """One router; it keeps what it was given while no operator is there."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        secret: Callable[[], Mapping[str, bytes] | None],
        meet: Callable[[Pushed], Fault | None],
        crash: Callable[[], None],
        told: Told,
    ) -> None:
        self.name, self.address = name, address
        self._secret, self._meet, self._crash, self._told = secret, meet, crash, told
        self._have: dict[str, dict[str, tuple[str, Message]]] = {kind: {} for kind in KINDS}
        self._servers: dict[int, asyncio.Server] = {}
        self._task: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self.history: list[Shares] = []
        self.violations: set[str] = set()
        self.is_connected = False

    def attach(self, operator: str) -> None:
        """Keep a stream to the operator at this address open."""
        self.detach()
        self._task = asyncio.create_task(self._follow(operator))

    def detach(self) -> None:
        """Hear nothing more of the operator, from this moment on."""
        self.is_connected = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """End everything."""
        task = self._task
        self.detach()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        for server in self._servers.values():
            server.close()

    @property
    def is_empty(self) -> bool:
        """Tell whether it has nothing of any deployment any more."""
        return not any(self._have[kind] for kind in (CLUSTER, ENDPOINTS, LISTENER, ROUTES))

    @property
    def shares(self) -> Shares:
        """What clients get now."""
        return self.history[-1] if self.history else {}

    def leads_to(self, revision: str) -> bool:
        """Tell whether any request goes to a revision."""
        return any(ways.revision_of(way) == revision for way in self.shares)

    async def _follow(self, operator: str) -> None:
        while True:
            secret = self._secret()
            if secret is not None:
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await self._connect(operator, secret)
            self.is_connected = False
            await asyncio.sleep(AGAIN_S)

    async def _connect(self, operator: str, secret: Mapping[str, bytes]) -> None:
        credentials = grpc.ssl_channel_credentials(
            secret[certificates.TRUST],
            secret[certificates.ROUTER_KEY],
            secret[certificates.ROUTER_CERTIFICATE],
        )
        target = f"{operator}:{names.PORT_XDS}"
        async with grpc.aio.secure_channel(target, credentials, options=_OPTIONS) as channel:
            reporting = asyncio.create_task(self._report(channel))
            try:
                await self._discover(channel)
            finally:
                reporting.cancel()
                await asyncio.gather(reporting, return_exceptions=True)

    async def _discover(self, channel: grpc.aio.Channel) -> None:
        stream = channel.stream_stream(
            _DISCOVER,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )(wait_for_ready=True)
        for kind in KINDS:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind)
            request.node.id = self.name
            request.resource_names_subscribe.extend(self._names(kind))
            for name, (version, _) in self._have[kind].items():
                request.initial_resource_versions[name] = version
            await stream.write(request)
        self.is_connected = True
        owed: list[discovery_pb2.DeltaDiscoveryRequest] = []
        while (response := await stream.read()) is not grpc.aio.EOF:
            fate = self._meet(self._described(response))
            if fate is Fault.CRASH_BEFORE:
                self._crash()
                return
            # What is taken in is taken in whole, whoever crashes meanwhile.
            wanted = await asyncio.shield(self._take(response))
            if fate is Fault.CRASH_AFTER:
                self._crash()
                return
            if fate is Fault.REPLY_LOST:
                return
            for request in wanted:
                await stream.write(request)
            owed.append(
                discovery_pb2.DeltaDiscoveryRequest(
                    type_url=response.type_url, response_nonce=response.nonce
                )
            )
            owed = await self._acknowledge(stream, owed)

    async def _acknowledge(self, stream: Any, owed: list[Any]) -> list[Any]:
        """Acknowledge what may be; clusters as Envoy does, once all have their endpoints."""
        is_warm = set(self._names(ENDPOINTS)) <= self._have[ENDPOINTS].keys()
        for ack in owed:
            if is_warm or ack.type_url != CLUSTER:
                await stream.write(ack)
        return [] if is_warm else [ack for ack in owed if ack.type_url == CLUSTER]

    def _names(self, kind: str) -> list[str]:
        """List what a stream asks for at its beginning; [] is all clusters, all listeners."""
        match kind:
            case str() if kind == RUNTIME:
                return [names.RUNTIME_LAYER]
            case str() if kind == ENDPOINTS:
                return list(map(_eds_name, filter(_is_eds, self._all(CLUSTER))))
            case str() if kind == ROUTES:
                return list(self._have[LISTENER])
            case _:
                return []

    def _all(self, kind: str) -> list[Any]:
        return [message for _, message in self._have[kind].values()]

    def _described(self, response: discovery_pb2.DeltaDiscoveryResponse) -> Pushed:
        words = [f"-{name}" for name in response.removed_resources]
        for resource in response.resources:
            message = KINDS[response.type_url].FromString(resource.resource.value)
            words.append(_word(response.type_url, resource.name, message))
        return Pushed(self.name, response.type_url.rpartition(".")[2], tuple(sorted(words)))

    async def _take(
        self, response: discovery_pb2.DeltaDiscoveryResponse
    ) -> list[discovery_pb2.DeltaDiscoveryRequest]:
        """Take a message in; gives what is to be asked for next."""
        kind = response.type_url
        before = {follower: set(self._names(follower)) for follower in (ENDPOINTS, ROUTES)}
        for resource in response.resources:
            message = KINDS[kind].FromString(resource.resource.value)
            self._have[kind][resource.name] = (resource.version, message)
            if kind == ROUTES:
                self._note(message)
            if kind == LISTENER:
                await self._listen(message)
        for name in response.removed_resources:
            gone = self._have[kind].pop(name, None)
            if kind == LISTENER and gone is not None:
                self._servers.pop(_port(gone[1])).close()
        self._watch()
        wanted = []
        for follower, old in before.items():
            new = set(self._names(follower))
            if new == old:
                continue
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=follower)
            request.resource_names_subscribe.extend(sorted(new - old))
            request.resource_names_unsubscribe.extend(sorted(old - new))
            for name in old - new:
                self._have[follower].pop(name, None)
            wanted.append(request)
        return wanted

    def _watch(self) -> None:
        """Note what may never be, where a request can come and somebody could answer it."""
        if self._have[LISTENER] and any(map(_hosts, self._all(ENDPOINTS))):
            found = ways.faults(self.shares, lambda way: len(self._pods(way)))
            self.violations.update(f"{self.name}: {fault}" for fault in found)

    def _note(self, routes: route_pb2.RouteConfiguration) -> None:
        """Add what clients get now to the history, if it is new."""
        shares = ways.shares_of(routes)
        if not self.history or self.history[-1] != shares:
            self.history.append(shares)

    async def _listen(self, listener: Any) -> None:
        port = _port(listener)
        if port not in self._servers:
            self._servers[port] = await asyncio.start_server(self._answer, self.address, port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Show the hash of the configuration, as the first route does."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            shown = next((shown_by(routes) for routes in self._all(ROUTES)), "")
            status = "200 OK" if shown else "404 Not Found"
            head = f"HTTP/1.1 {status}\r\ncontent-length: {len(shown)}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + shown.encode())
            await writer.drain()
            writer.close()

    async def _report(self, channel: grpc.aio.Channel) -> None:
        """Send records of attempts at each revision that gets traffic, while asked for."""
        stream = channel.stream_unary(
            _LOG,
            request_serializer=als_pb2.StreamAccessLogsMessage.SerializeToString,
            response_deserializer=als_pb2.StreamAccessLogsResponse.FromString,
        )(wait_for_ready=True)
        first = als_pb2.StreamAccessLogsMessage()
        first.identifier.log_name = LOG_ATTEMPTS
        first.identifier.node.id = self.name
        await stream.write(first)
        while True:
            await asyncio.sleep(REPORT_S)
            if self._is_asked():
                await stream.write(self._attempts())

    def _is_asked(self) -> bool:
        return any(layer.layer.fields for layer in self._all(RUNTIME))

    def _attempts(self) -> als_pb2.StreamAccessLogsMessage:
        message = als_pb2.StreamAccessLogsMessage()
        message.http_logs.SetInParent()
        for way in self.shares:
            status = 500 if ways.revision_of(way) in self._told.bad_revisions else 200
            if pods := self._pods(way):
                message.http_logs.log_entry.extend(self._entries(pods, status))
        return message

    def _pods(self, way: str) -> list[tuple[str, str]]:
        """List where requests on this way go: cluster and address of each pod."""
        return [
            (cluster.cluster_name, host)
            for cluster in self._all(ENDPOINTS)
            if envoy_names.is_mirror(cluster.cluster_name) == way.startswith(ways.COPIES)
            and (parsed := envoy_names.parse(cluster.cluster_name)) is not None
            and (parsed.revision, parsed.protocol) == (ways.revision_of(way), "http")
            for host in _hosts(cluster)
        ]

    def _entries(
        self, pods: list[tuple[str, str]], status: int
    ) -> list[accesslog_pb2.HTTPAccessLogEntry]:
        entries = []
        now_s = time.time()
        for number in range(REPORTED):
            cluster, host = pods[number % len(pods)]
            entry = accesslog_pb2.HTTPAccessLogEntry()
            entry.request.request_id = f"{self.name}-{next(self._numbers)}"
            entry.response.response_code.value = status
            common = entry.common_properties
            common.upstream_cluster = cluster
            common.upstream_remote_address.socket_address.address = host
            common.access_log_type = accesslog_pb2.AccessLogType.UpstreamEnd
            common.start_time.FromNanoseconds(int((now_s - 0.1) * 1e9))
            common.duration.FromMilliseconds(5)
            entries.append(entry)
        return entries


def shown_by(routes: route_pb2.RouteConfiguration) -> str:
    """Read the hash that a configuration shows."""
    return str(routes.virtual_hosts[0].routes[0].direct_response.body.inline_string)


def _word(kind: str, name: str, message: Any) -> str:
    if kind == ROUTES:
        return ",".join(
            f"{revision}={share}" for revision, share in sorted(ways.shares_of(message).items())
        )
    if kind == ENDPOINTS:
        return f"{name}:{len(_hosts(message))}"
    if kind == RUNTIME:
        return ",".join(sorted(message.layer.fields))
    return name


def _hosts(assignment: Any) -> list[str]:
    return [
        endpoint.endpoint.address.socket_address.address
        for locality in assignment.endpoints
        for endpoint in locality.lb_endpoints
    ]


def _is_eds(cluster: Any) -> bool:
    return bool(cluster.type == cluster_pb2.Cluster.EDS and cluster.HasField("eds_cluster_config"))


def _eds_name(cluster: Any) -> str:
    return cluster.eds_cluster_config.service_name or cluster.name


def _port(listener: Any) -> int:
    return int(listener.address.socket_address.port_value)
