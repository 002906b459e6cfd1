"""gzip and deflate, both ways, and what tries to harm."""

import gzip
import zlib

import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.rest import coding

TEXT = b'{"inputs": []}' * 2000


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"", TEXT),
        (b"identity", TEXT),
        (b"gzip", gzip.compress(TEXT)),
        (b"GZIP", gzip.compress(TEXT)),
        (b"deflate", zlib.compress(TEXT)),
    ],
)
def test_a_coded_body_is_read(name, body):
    assert TEXT == coding.decode(body, name, bytes_max=len(TEXT))


@pytest.mark.parametrize(
    ("name", "body", "kind", "words"),
    [
        (b"br", TEXT, ErrorKind.UNSUPPORTED, "not 'br'"),
        (b"gzip, gzip", TEXT, ErrorKind.UNSUPPORTED, "not supported"),
        (b"gzip", TEXT, ErrorKind.INVALID_INPUT, "not valid gzip"),
        (b"gzip", gzip.compress(TEXT)[:-5], ErrorKind.INVALID_INPUT, "ends too early"),
        (b"gzip", gzip.compress(TEXT) + b"!", ErrorKind.INVALID_INPUT, "follows its end"),
        (b"deflate", b"", ErrorKind.INVALID_INPUT, "ends too early"),
        (b"gzip", gzip.compress(bytes(10**8)), ErrorKind.TOO_LARGE, "exceeds"),
    ],
)
def test_what_cannot_be_read_is_refused(name, body, kind, words):
    with pytest.raises(ServingError, match=words) as caught:
        coding.decode(body, name, bytes_max=len(TEXT))

    assert kind is caught.value.kind


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"gzip", b"gzip"),
        (b"br, deflate;q=0.5, gzip", b"deflate"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip; q=0", None),
        (b"br", None),
        (b"", None),
    ],
)
def test_an_answer_is_coded_as_the_client_accepts(accepted, expected):
    body, used = coding.encode(TEXT, accepted)

    assert used == expected
    assert TEXT == coding.decode(body, used or b"", bytes_max=len(TEXT))


def test_a_small_answer_stays_as_it_is():
    assert coding.encode(b"{}", b"gzip") == (b"{}", None)
