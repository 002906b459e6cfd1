"""The ASGI application: all but inference, which never comes here. Answers probes itself.

Stamps every answer with the revision and the client's request id.
"""

from typing import Final

from slipway_api import names
from slipway_server.access import rights
from slipway_server.access.gate import Gate
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ServingError
from slipway_server.rest import asgi, errors, readiness
from slipway_server.rest.asgi import App, Header, Message, Receive, Scope, Send
from slipway_server.rest.infer import parse_path

_LIVE: Final = "/v2/health/live"
_READY: Final = "/v2/health/ready"
_REQUEST_ID = names.HEADER_REQUEST_ID.encode()
_REQUEST_ID_BYTES_MAX = 256


class Front:
    """Routes one request and stamps its answer."""

    def __init__(
        self, dataplane: Dataplane, *, api: App, revision: str, gate: Gate | None = None
    ) -> None:
        """Without `gate` everybody may ask."""
        self._gate = gate
        self._dataplane = dataplane
        self._api = api
        self._stamp: Header = (names.HEADER_REVISION.encode(), revision.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        stamps, method, path = self._stamps(scope), scope["method"], scope["path"]
        refusal = None if self._gate is None else _refusal(self._gate, scope)
        is_probe = path in (_LIVE, _READY)
        if refusal is not None:
            status, body = errors.STATUSES[refusal.kind], errors.body(refusal.message)
            headers = [*errors.HEADERS.get(refusal.kind, ()), *stamps]
            await asgi.answer(send, status, body=body, headers=headers)
        elif not is_probe and parse_path(path) is None:
            await self._api(scope, receive, _stamped(send, stamps))
        elif is_probe and method == "GET":
            ready = readiness.answer(self._dataplane.is_ready)
            status, body = (200, readiness.LIVE) if path == _LIVE else ready
            await asgi.answer(send, status, body=body, headers=stamps)
        else:
            allowed = "GET" if is_probe else "POST"
            body = errors.body(f"Method Not Allowed: {method} {path}; use {allowed}")
            headers = [(b"allow", allowed.encode()), *stamps]
            await asgi.answer(send, 405, body=body, headers=headers)

    def _stamps(self, scope: Scope) -> list[Header]:
        stamps = [self._stamp]
        for name, value in scope["headers"]:
            if name == _REQUEST_ID and len(value) <= _REQUEST_ID_BYTES_MAX:
                stamps.append((_REQUEST_ID, value))
        if self._dataplane.is_draining:
            stamps.append(asgi.CLOSE)  # so that no idle connection is left to be cut
        return stamps


def _refusal(gate: Gate, scope: Scope) -> ServingError | None:
    try:
        # The path is the one that routes go by, decoded once.
        gate.admit(rights.of_path(scope["method"], scope["path"]), scope["headers"])
    except ServingError as err:
        return err
    return None


def _stamped(send: Send, stamps: list[Header]) -> Send:
    async def send_stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *stamps]
        await send(message)

    return send_stamped
