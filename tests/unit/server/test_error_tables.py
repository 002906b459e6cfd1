"""Each front end answers every kind of error, and tells shed from failed."""

import grpc
import pytest

from slipway_server.core.errors import ErrorKind
from slipway_server.rest import errors as rest_errors
from slipway_server.rpc import errors as rpc_errors


def test_no_kind_is_missing_in_either_table():
    assert set(ErrorKind) == rest_errors.STATUSES.keys() == rpc_errors.CODES.keys()


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ErrorKind.INVALID_INPUT, 400, grpc.StatusCode.INVALID_ARGUMENT),
        (ErrorKind.NOT_FOUND, 404, grpc.StatusCode.NOT_FOUND),
        (ErrorKind.UNAUTHENTICATED, 401, grpc.StatusCode.UNAUTHENTICATED),
        (ErrorKind.FORBIDDEN, 403, grpc.StatusCode.PERMISSION_DENIED),
        (ErrorKind.TOO_LARGE, 413, grpc.StatusCode.INVALID_ARGUMENT),
        (ErrorKind.INTERNAL, 500, grpc.StatusCode.INTERNAL),
        (ErrorKind.NOT_READY, 503, grpc.StatusCode.UNAVAILABLE),
        (ErrorKind.OVERLOADED, 503, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_kinds_have_the_same_meaning_on_both_sides(kind, status, code):
    assert (status, code) == (rest_errors.STATUSES[kind], rpc_errors.CODES[kind])


def test_only_a_shed_request_is_asked_to_come_again():
    found = rest_errors.HEADERS.items()

    retried = [kind for kind, headers in found if b"retry-after" in dict(headers)]

    assert retried == [ErrorKind.OVERLOADED]
