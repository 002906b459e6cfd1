"""The gate before every method of gRPC, those that are not there included."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from slipway_server.access import rights
from slipway_server.access.gate import Gate
from slipway_server.core.errors import ServingError
from slipway_server.rpc import errors

Handler = Any  # grpc.RpcMethodHandler or None


if TYPE_CHECKING:  # generic in its stubs only
    _Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    _Interceptor = grpc.aio.ServerInterceptor


class GateInterceptor(_Interceptor):
    """Asks the gate by the method as it is called, `:path` to the letter."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[["grpc.HandlerCallDetails"], Awaitable[Handler]],
        handler_call_details: "grpc.HandlerCallDetails",
    ) -> Handler:
        """Go on, or answer with the refusal."""
        details = handler_call_details
        try:
            self._gate.admit(rights.of_method(details.method), details.invocation_metadata or ())
        except ServingError as err:
            return _refusing(err)
        return await continuation(details)


def _refusing(err: ServingError) -> Handler:
    async def refuse(_: Any, context: Any) -> None:
        await context.abort(errors.CODES[err.kind], err.message)

    return grpc.unary_unary_rpc_method_handler(refuse)
