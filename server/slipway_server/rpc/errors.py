"""Error kinds as gRPC codes: the one table of the gRPC front end."""

from collections.abc import Mapping
from typing import Final

import grpc

from slipway_server.core.errors import ErrorKind

CODES: Final[Mapping[ErrorKind, grpc.StatusCode]] = {
    ErrorKind.INVALID_INPUT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    ErrorKind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    ErrorKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    # Not RESOURCE_EXHAUSTED, which means "shed, try again": the same request stays too large.
    ErrorKind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.DISABLED: grpc.StatusCode.UNIMPLEMENTED,
    ErrorKind.BROKEN_MODEL: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorKind.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    ErrorKind.INTERNAL: grpc.StatusCode.INTERNAL,
    ErrorKind.NOT_READY: grpc.StatusCode.UNAVAILABLE,
    ErrorKind.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def number(code: grpc.StatusCode) -> int:
    """The code's number on the wire."""
    value: int = code.value[0]
    return value
