"""The inference path: plain ASGI beside FastAPI, whose routing costs more than a small model."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final

from slipway_server.attempts import Attempts
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.rest import asgi, coding, errors
from slipway_server.rest.asgi import Header, Receive, Scope, Send
from slipway_server.rest.codec import HEADER_LENGTH, Body, Codec, Content, OpenInference
from slipway_server.rest.disconnect import DisconnectWatch
from slipway_server.rest.predict import Predict

_log = logging.getLogger(__name__)
# Envoy's word for how long it waits for this attempt ("x-envoy-expected-rq-timeout-ms").
_TIMEOUT_MS: Final = b"x-envoy-expected-rq-timeout-ms"
_DIGITS_MAX: Final = 9
_VARY: Final = (b"vary", b"accept-encoding")
_V2: Final = ("/v2/models/", "/infer", OpenInference())
_V1: Final = ("/v1/models/", ":predict", Predict())


@dataclass(frozen=True, slots=True)
class Target:
    """The model that an inference path names, and how its bodies are written.

    Version None means the path has none.
    """

    model_name: str
    model_version: str | None
    codec: Codec


def parse_path(path: str) -> Target | None:
    """The target of an inference path, or None for any other path.

    >>> parse_path("/v2/models/churn/versions/3/infer").model_version
    '3'
    """
    for prefix, suffix, codec in (_V2, _V1):
        if path.endswith(suffix) and path.startswith(prefix):
            match path[len(prefix) : -len(suffix)].split("/"):
                case [name] if name:
                    return Target(name, None, codec)
                case [name, "versions", version] if name and version:
                    return Target(name, version, codec)
    return None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """An answer before it is sent."""

    status: int
    content: Content


class InferPath:
    """Answers POST on an inference path. Every failure becomes an error object."""

    def __init__(self, dataplane: Dataplane, attempts: Attempts, *, body_bytes_max: int) -> None:
        self._dataplane = dataplane
        self._attempts = attempts
        self._body_bytes_max = body_bytes_max
        self._loop = asyncio.get_running_loop()

    async def handle(
        self, scope: Scope, receive: Receive, send: Send, *, target: Target, stamps: list[Header]
    ) -> None:
        """Read, infer, answer with `stamps` as further headers; count it whatever happens."""
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        attempt = self._attempts.begin("rest", path=scope["path"], request_id=request_id)
        attempt.target = (target.model_name, target.model_version)
        status = errors.CLIENT_GONE
        try:
            outcome = await self._outcome(headers, receive, target)
            if outcome is not None:
                await self._answer(
                    send, outcome, accepted=headers.get(b"accept-encoding", b""), stamps=stamps
                )
                status = outcome.status
        finally:
            attempt.end(status, str(status))

    async def _answer(
        self, send: Send, outcome: _Outcome, *, accepted: bytes, stamps: list[Header]
    ) -> None:
        content = outcome.content
        body, used = coding.encode(content.body, accepted)
        coded = () if used is None else ((b"content-encoding", used), _VARY)
        await asgi.answer(
            send,
            outcome.status,
            body=body,
            headers=(*content.headers, *coded, *stamps),
            content_type=content.content_type,
        )

    async def _outcome(
        self, headers: dict[bytes, bytes], receive: Receive, target: Target
    ) -> _Outcome | None:
        """None when the client has gone."""
        deadline_ns = _deadline_ns(headers.get(_TIMEOUT_MS))
        try:
            body = await self._read(headers, receive)
            if body is None:
                return None
            request, encode = target.codec.decode(self._body(headers, body, target))
            watch = DisconnectWatch(receive, self._loop)
            try:
                response = await self._dataplane.infer(request, deadline_ns=deadline_ns)
            except asyncio.CancelledError:
                if watch.is_client_gone:
                    return None
                raise
            finally:
                watch.stop()
            return _Outcome(200, encode(response))
        except ServingError as err:
            return _refusal(err)
        except Exception:  # noqa: BLE001 - the border: whatever escapes becomes an answer
            _log.exception("an inference request failed outside the model")
            return _Outcome(500, Content(errors.body("internal error, see the server's log")))

    def _body(self, headers: dict[bytes, bytes], body: bytes, target: Target) -> Body:
        name, version = target.model_name, target.model_version
        return Body(
            coding.decode(
                body, headers.get(b"content-encoding", b""), bytes_max=self._body_bytes_max
            ),
            _header_length(headers.get(HEADER_LENGTH)),
            name,
            version,
            signature=lambda: self._dataplane.model_metadata(name, version).signature,
        )

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The body, or None when the client went away before its end."""
        if int(headers.get(b"content-length", b"0")) > self._body_bytes_max:
            raise self._too_large()
        parts: list[bytes] = []
        byte_count = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message["body"])
            byte_count += len(message["body"])
            if byte_count > self._body_bytes_max:
                raise self._too_large()
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> ServingError:
        return ServingError(
            ErrorKind.TOO_LARGE, f"the request body exceeds {self._body_bytes_max} bytes"
        )


def _deadline_ns(timeout_ms: bytes | None) -> int | None:
    """Until when the router waits, by `time.perf_counter_ns`; what makes no sense is not said."""
    if timeout_ms is None or not timeout_ms.isdigit() or len(timeout_ms) > _DIGITS_MAX:
        return None
    timeout_ns = int(timeout_ms) * 1_000_000
    return time.perf_counter_ns() + timeout_ns if timeout_ns else None


def _header_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit():
        raise ServingError(
            ErrorKind.INVALID_INPUT,
            "Inference-Header-Content-Length must be a number of bytes >= 0, "
            f"got '{value.decode('latin-1')}'",
        )
    return int(value)


def _refusal(err: ServingError) -> _Outcome:
    headers: tuple[Header, ...] = ()
    retry_after = errors.RETRY_AFTER.get(err.kind)
    if retry_after is not None:
        headers = ((b"retry-after", retry_after),)
    if err.kind is ErrorKind.TOO_LARGE:
        headers = (asgi.CLOSE,)  # what is left of the body is not read
    return _Outcome(errors.STATUSES[err.kind], Content(errors.body(err.message), headers=headers))
