"""The inference service over gRPC: translate and delegate.

Registered by hand and not by the generated servicer, which would answer for thirty methods of
Triton that this server does not have.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2

from slipway_api import names
from slipway_server import EXTENSIONS, NAME, VERSION
from slipway_server.attempts import Attempt, Attempts
from slipway_server.control import Control, refuse_parameters
from slipway_server.core import configuration
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ServingError
from slipway_server.rpc import convert, errors

SERVICE: Final = "inference.GRPCInferenceService"
INFER_PATH: Final = f"/{SERVICE}/ModelInfer"
_log = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in its stubs only
Answer = Callable[[Any], Awaitable[Any]]


class InferenceService:
    """The six methods of the protocol, and what Triton's clients ask for.

    Each answer's metadata names the revision.
    """

    def __init__(
        self, dataplane: Dataplane, attempts: Attempts, *, control: Control | None, revision: str
    ) -> None:
        """`control` is there on the admin port only."""
        self._dataplane = dataplane
        self._control = control
        self._attempts = attempts
        self._stamp = (names.HEADER_REVISION, revision)

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """The handler to register at a grpc.aio server."""
        methods: dict[str, Answer] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        handlers = {
            name: _method(name, self._guarded(name, answer)) for name, answer in methods.items()
        }
        handlers["ModelInfer"] = _method("ModelInfer", self._infer)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(self, name: str, answer: Answer) -> Callable[[bytes, Context], Awaitable[Any]]:
        kind = getattr(service_pb2, f"{name}Request")

        async def call(raw: bytes, context: Context) -> Any:
            stamps = self._stamps(_request_id(context))
            try:
                response = await answer(convert.parse(kind, raw))
            except ServingError as err:
                await context.abort(errors.CODES[err.kind], err.message, stamps)
            await context.send_initial_metadata(stamps)
            return response

        return call

    def _stamps(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """Metadata of an answer, sent with it and never before.

        Headers that went out cannot be taken back: a router could no longer try another pod, nor
        hold a hanging attempt to its limit. A failure is trailers only, for the same reason.
        """
        if not request_id:
            return (self._stamp,)
        return (self._stamp, (names.HEADER_REQUEST_ID, request_id))

    async def _infer(self, raw: bytes, context: Context) -> Any:
        request_id = _request_id(context)
        attempt = self._attempts.begin("grpc", path=INFER_PATH, request_id=request_id)
        code = grpc.StatusCode.CANCELLED
        try:
            answer, code, message = await self._outcome(raw, attempt, _deadline_ns(context))
            stamps = self._stamps(request_id)
            if code is not grpc.StatusCode.OK:
                await context.abort(code, message, stamps)
            await context.send_initial_metadata(stamps)
            return answer
        finally:
            attempt.end(errors.number(code), code.name)

    async def _outcome(
        self, raw: bytes, attempt: Attempt, deadline_ns: int | None
    ) -> tuple[Any, grpc.StatusCode, str]:
        """The answer, or None with a code and a message."""
        try:
            request = convert.parse(service_pb2.ModelInferRequest, raw)
            attempt.target = (request.model_name, request.model_version or None)
            decoded = convert.decode(request)
            response = await self._dataplane.infer(decoded, deadline_ns=deadline_ns)
            attempt.response = response
            return convert.encode(response), grpc.StatusCode.OK, ""
        except ServingError as err:
            return None, errors.CODES[err.kind], err.message
        except Exception:  # noqa: BLE001 - the border: whatever escapes becomes an answer
            _log.exception("an inference request failed outside the model")
            return None, grpc.StatusCode.INTERNAL, "internal error, see the server's log"

    async def _server_live(self, _: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    async def _server_ready(self, _: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=self._dataplane.is_ready)

    async def _model_ready(self, request: Any) -> Any:
        is_ready = self._dataplane.is_model_ready(request.name, request.version or None)
        return service_pb2.ModelReadyResponse(ready=is_ready)

    async def _server_metadata(self, _: Any) -> Any:
        return service_pb2.ServerMetadataResponse(name=NAME, version=VERSION, extensions=EXTENSIONS)

    async def _model_metadata(self, request: Any) -> Any:
        metadata = self._dataplane.model_metadata(request.name, request.version or None)
        return service_pb2.ModelMetadataResponse(
            name=metadata.name,
            versions=metadata.versions,
            platform=metadata.platform,
            inputs=[convert.encode_spec(spec) for spec in metadata.signature.inputs],
            outputs=[convert.encode_spec(spec) for spec in metadata.signature.outputs],
        )

    async def _model_config(self, request: Any) -> Any:
        model = self._dataplane.model(request.name, request.version or None)
        fields = {"config": configuration.configuration(model)}
        return json_format.ParseDict(fields, service_pb2.ModelConfigResponse())

    async def _model_statistics(self, request: Any) -> Any:
        models = self._dataplane.models(request.name or None, request.version or None)
        fields = {"model_stats": [configuration.statistics(model) for model in models]}
        return json_format.ParseDict(fields, service_pb2.ModelStatisticsResponse())

    async def _repository_index(self, request: Any) -> Any:
        if self._control is None:
            found = self._dataplane.index(is_ready=request.ready)
        else:
            found = await self._control.index(is_ready=request.ready)
        fields = {"models": [configuration.entry(standing) for standing in found]}
        return json_format.ParseDict(fields, service_pb2.RepositoryIndexResponse())

    async def _load(self, request: Any) -> Any:
        allowed = Control.allowed(self._control)
        refuse_parameters(request.parameters)
        await allowed.load(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    async def _unload(self, request: Any) -> Any:
        allowed = Control.allowed(self._control)
        refuse_parameters(request.parameters)
        await allowed.unload(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()


def _deadline_ns(context: Context) -> int | None:
    """The client's own deadline, by `time.perf_counter_ns`."""
    left_s = context.time_remaining()
    return None if left_s is None else time.perf_counter_ns() + int(left_s * 1e9)


def _request_id(context: Context) -> str:
    """The client's request id; empty when it gave none."""
    for key, value in context.invocation_metadata() or ():
        if key == names.HEADER_REQUEST_ID and isinstance(value, str):
            return value
    return ""


def _method(
    name: str, call: Callable[[Any, Context], Awaitable[Any]]
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A handler that is given the bytes of its request."""
    response = getattr(service_pb2, f"{name}Response")
    return grpc.unary_unary_rpc_method_handler(call, response_serializer=response.SerializeToString)
