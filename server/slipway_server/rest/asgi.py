"""The few ASGI types and shapes that the REST front end shares (ASGI specification 3.0)."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Final = (b"content-type", b"application/json")
OCTETS: Final = (b"content-type", b"application/octet-stream")
CLOSE: Final = (b"connection", b"close")


async def answer(
    send: Send,
    status: int,
    *,
    body: bytes,
    headers: Iterable[Header],
    content_type: Header = JSON,
) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [content_type, length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def always(status: int, *, body: bytes, headers: Iterable[Header]) -> App:
    """Make an application that answers everything so."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, status, body=body, headers=headers)

    return app
