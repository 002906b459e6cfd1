"""Health over gRPC as probes, load balancers and clients' libraries ask for it: grpc.health.v1.

Serving means what readiness means over REST. Both names answer alike: that of the inference
service, and the empty one for the whole server.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2

from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ServingError
from slipway_server.rpc import convert, errors
from slipway_server.rpc.service import SERVICE, Context

_LOOK_S: Final = 0.5  # how soon who watches hears of a change
_Status = health_pb2.HealthCheckResponse


class Health:
    """Answers `Check` and `Watch`."""

    def __init__(self, dataplane: Dataplane) -> None:
        self._dataplane = dataplane

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """The handler to register at a grpc.aio server."""
        codec = {"response_serializer": _Status.SerializeToString}
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **codec),
        }
        return grpc.method_handlers_generic_handler(health.SERVICE_NAME, methods)

    def _status(self, service: str) -> int | None:
        if service not in ("", SERVICE):
            return None
        return int(_Status.SERVING if self._dataplane.is_ready else _Status.NOT_SERVING)

    async def _check(self, raw: bytes, context: Context) -> Any:
        request = await _parsed(raw, context)
        status = self._status(request.service)
        if status is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"unknown service '{request.service}'; ask for {SERVICE}"
            )
        return _Status(status=status)

    async def _watch(self, raw: bytes, context: Context) -> AsyncIterator[Any]:
        """Until the client leaves. An unknown service may yet come, says the protocol."""
        request = await _parsed(raw, context)
        told: int | None = None
        while True:
            status = self._status(request.service)
            now = int(_Status.SERVICE_UNKNOWN) if status is None else status
            if now != told:
                told = now
                yield _Status(status=now)
            await asyncio.sleep(_LOOK_S)


async def _parsed(raw: bytes, context: Context) -> Any:
    try:
        return convert.parse(health_pb2.HealthCheckRequest, raw)
    except ServingError as err:
        await context.abort(errors.CODES[err.kind], err.message)
