"""The gRPC server that routers connect to: ADS, access logs, and whether anybody is at home.

It listens only while this operator holds the Lease: routers find the holder by its health answer.
A process that was frozen still listens when it runs again. So each answer asks first whether it may
be given.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
from envoy.service.accesslog.v3 import als_pb2
from envoy.service.discovery.v3 import discovery_pb2

from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.als import AccessLogServer

# grpc.health.v1.HealthCheckResponse { ServingStatus status = 1; }, SERVING = 1, NOT_SERVING = 2.
_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
_REFUSAL: Final = "this operator does not hold the Lease (any more)"
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a second operator on this port is an error, not a coin toss
    ("grpc.keepalive_time_ms", 1_500),  # a router that vanished is noticed within 3.5 s
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 2_000),  # routers ping every 5 s
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_connection_age_grace_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", -1),
)


class XdsServer:
    """Serves `ads` and `als` on one address, as long as `may_serve` says so."""

    def __init__(
        self, ads: AdsServer, als: AccessLogServer, *, may_serve: Callable[[], bool]
    ) -> None:
        self._ads = ads
        self._als = als
        self._may_serve = may_serve
        self._server: grpc.aio.Server | None = None

    async def start(
        self, address: str, credentials: grpc.ServerCredentials, *, connection_s_max: float
    ) -> int:
        """Listen on `host:port` with mutual TLS; returns the port, which 0 leaves to the system.

        A connection is authenticated once, when it begins. After about `connection_s_max` (gRPC
        spreads it by a tenth) the router is asked to make another, and cut off a little later.
        """
        age = ("grpc.max_connection_age_ms", int(1000 * connection_s_max))
        server = grpc.aio.server(options=(*_OPTIONS, age))
        server.add_generic_rpc_handlers(self._handlers())
        port = server.add_secure_port(address, credentials)
        await server.start()
        self._server = server
        return port

    async def stop(self, grace_s: float = 0.5) -> None:
        """End all streams; routers serve on with what they have."""
        if self._server is not None:
            await self._server.stop(grace_s)
            self._server = None

    # Quoted: GenericRpcHandler takes parameters in its stubs only.
    def _handlers(self) -> "tuple[grpc.GenericRpcHandler[Any, Any], ...]":
        discovery = grpc.stream_stream_rpc_method_handler(
            self._discover,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=_as_is,  # each response is serialized once, by its stream
        )
        logs = grpc.stream_unary_rpc_method_handler(
            self._log,
            request_deserializer=als_pb2.StreamAccessLogsMessage.FromString,
            response_serializer=als_pb2.StreamAccessLogsResponse.SerializeToString,
        )
        health = grpc.unary_unary_rpc_method_handler(
            self._check, request_deserializer=_as_is, response_serializer=_as_is
        )
        services = {
            "envoy.service.discovery.v3.AggregatedDiscoveryService": {
                "DeltaAggregatedResources": discovery
            },
            "envoy.service.accesslog.v3.AccessLogService": {"StreamAccessLogs": logs},
            "grpc.health.v1.Health": {"Check": health},
        }
        return tuple(
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in services.items()
        )

    async def _discover(
        self,
        requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest],
        context: grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, bytes],
    ) -> AsyncIterator[bytes]:
        await self._refuse_if_lost(context)
        async for response in self._ads.stream(requests, context):
            await self._refuse_if_lost(context)
            yield response

    async def _log(
        self,
        messages: AsyncIterator[als_pb2.StreamAccessLogsMessage],
        context: grpc.aio.ServicerContext[
            als_pb2.StreamAccessLogsMessage, als_pb2.StreamAccessLogsResponse
        ],
    ) -> als_pb2.StreamAccessLogsResponse:
        await self._refuse_if_lost(context)
        return await self._als.stream(messages, context)

    async def _check(self, request: bytes, context: object) -> bytes:  # noqa: ARG002
        return _SERVING if self._may_serve() else _NOT_SERVING

    async def _refuse_if_lost(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        if not self._may_serve():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _REFUSAL)


def _as_is(data: bytes) -> bytes:
    return data
