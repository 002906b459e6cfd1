"""The inference path: plain ASGI beside FastAPI, whose routing costs more than a small model."""

import asyncio
import logging
from dataclasses import dataclass

from slipway_server.attempts import Attempts
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.rest import asgi, convert, errors
from slipway_server.rest.asgi import Header, Receive, Scope, Send
from slipway_server.rest.disconnect import DisconnectWatch

_PREFIX = "/v2/models/"
_SUFFIX = "/infer"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """The model that an inference path names; version None means the path has none."""

    model_name: str
    model_version: str | None


def parse_path(path: str) -> Target | None:
    """The target of an inference path, or None for any other path.

    >>> parse_path("/v2/models/churn/versions/3/infer")
    Target(model_name='churn', model_version='3')
    """
    if not (path.endswith(_SUFFIX) and path.startswith(_PREFIX)):
        return None
    match path[len(_PREFIX) : -len(_SUFFIX)].split("/"):
        case [name] if name:
            return Target(name, None)
        case [name, "versions", version] if name and version:
            return Target(name, version)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """An answer before it is sent."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


class InferPath:
    """Answers POST on an inference path. Every failure becomes an error object."""

    def __init__(self, dataplane: Dataplane, attempts: Attempts, *, body_bytes_max: int) -> None:
        self._dataplane = dataplane
        self._attempts = attempts
        self._body_bytes_max = body_bytes_max

    async def handle(
        self, scope: Scope, receive: Receive, send: Send, *, target: Target, stamps: list[Header]
    ) -> None:
        """Read, infer, answer with `stamps` as further headers; count it whatever happens."""
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        attempt = self._attempts.begin("rest", path=scope["path"], request_id=request_id)
        status = errors.CLIENT_GONE
        try:
            outcome = await self._outcome(headers, receive, target)
            if outcome is not None:
                headers_out = (*outcome.headers, *stamps)
                await asgi.answer(send, outcome.status, body=outcome.body, headers=headers_out)
                status = outcome.status
        finally:
            attempt.end(status, str(status))

    async def _outcome(
        self, headers: dict[bytes, bytes], receive: Receive, target: Target
    ) -> _Outcome | None:
        """None when the client has gone."""
        try:
            body = await self._read(headers, receive)
            if body is None:
                return None
            request = convert.decode(
                body, model_name=target.model_name, model_version=target.model_version
            )
            watch = DisconnectWatch(receive)
            try:
                response = await self._dataplane.infer(request)
            except asyncio.CancelledError:
                if watch.is_client_gone:
                    return None
                raise
            finally:
                watch.stop()
            return _Outcome(200, convert.encode(response))
        except ServingError as err:
            return _refusal(err)
        except Exception:  # noqa: BLE001 - the border: whatever escapes becomes an answer
            _log.exception("an inference request failed outside the model")
            return _Outcome(500, errors.body("internal error, see the server's log"))

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The body, or None when the client went away before its end."""
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise ServingError(
                ErrorKind.INVALID_INPUT, "compressed request bodies are not supported"
            )
        if b"inference-header-content-length" in headers:
            raise ServingError(
                ErrorKind.INVALID_INPUT, "the binary tensor extension is not supported; send JSON"
            )
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


def _refusal(err: ServingError) -> _Outcome:
    headers: tuple[Header, ...] = ()
    retry_after = errors.RETRY_AFTER.get(err.kind)
    if retry_after is not None:
        headers = ((b"retry-after", retry_after),)
    if err.kind is ErrorKind.TOO_LARGE:
        headers = (asgi.CLOSE,)  # what is left of the body is not read
    return _Outcome(errors.STATUSES[err.kind], errors.body(err.message), headers)
