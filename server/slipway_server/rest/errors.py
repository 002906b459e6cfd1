"""Error kinds as HTTP statuses: the one table of the REST front end."""

from collections.abc import Mapping
from typing import Final

import orjson

from slipway_server.core.errors import ErrorKind, shortened

STATUSES: Final[Mapping[ErrorKind, int]] = {
    ErrorKind.INVALID_INPUT: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    # Where the allowed methods are none: RFC 9110, 10.2.1, of what is disabled by configuration.
    ErrorKind.DISABLED: 405,
    ErrorKind.BROKEN_MODEL: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED: 415,
    ErrorKind.INTERNAL: 500,
    ErrorKind.NOT_READY: 503,
    ErrorKind.OVERLOADED: 503,
}
HEADERS: Final[Mapping[ErrorKind, tuple[tuple[bytes, bytes], ...]]] = {
    # Only this tells a request that was shed from a server that fails (both are 503).
    ErrorKind.OVERLOADED: ((b"retry-after", b"1"),),
    ErrorKind.UNAUTHENTICATED: ((b"www-authenticate", b'Bearer realm="slipway"'),),
}
CLIENT_GONE: Final = 499  # nginx's number; never sent, only counted


def body(message: str) -> bytes:
    """The protocol's error object."""
    return orjson.dumps({"error": shortened(message)})
