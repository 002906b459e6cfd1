"""Content codings of bodies, both ways: gzip and deflate (RFC 9110, section 8.4.1)."""

import zlib
from collections.abc import Mapping
from typing import Final

from slipway_server.core.errors import ErrorKind, ServingError

# zlib's window bits: with gzip's header, and with zlib's own, which is what HTTP calls deflate.
_WINDOWS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_LEVEL: Final = 1  # half the bytes of text at a quarter of the time
# Clients' libraries ask for a coding by default, and a small answer would cost more than it saves.
BYTES_MIN: Final = 16_384


def decode(body: bytes, coding: bytes, *, bytes_max: int) -> bytes:
    """Undo a request's coding; never makes more than `bytes_max` bytes.

    Raises ServingError UNSUPPORTED, INVALID_INPUT or TOO_LARGE.
    """
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    window = _WINDOWS.get(coding)
    if window is None:
        raise ServingError(
            ErrorKind.UNSUPPORTED,
            "the content-encoding is not supported; use gzip, deflate or none, "
            f"not '{coding.decode('latin-1')}'",
        )
    inflater = zlib.decompressobj(window)
    try:
        content = inflater.decompress(body, bytes_max + 1)
    except zlib.error as err:
        raise _invalid(coding, str(err)) from err
    if len(content) > bytes_max:
        raise ServingError(ErrorKind.TOO_LARGE, f"the request body exceeds {bytes_max} bytes")
    if not inflater.eof:
        raise _invalid(coding, "it ends too early")
    if inflater.unused_data:
        raise _invalid(coding, "something follows its end")
    return content


def encode(body: bytes, accepted: bytes) -> tuple[bytes, bytes | None]:
    """Code an answer as the client's Accept-Encoding allows, and name the coding; None for none."""
    if len(body) < BYTES_MIN:
        return body, None
    coding = _best(accepted)
    if coding is None:
        return body, None
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[coding])
    return deflater.compress(body) + deflater.flush(), coding


def _best(accepted: bytes) -> bytes | None:
    """The first of our codings that the client names and does not weigh with 0."""
    for item in accepted.lower().split(b","):
        coding, _, weight = (part.strip() for part in item.partition(b";"))
        if coding in _WINDOWS and weight.replace(b" ", b"") not in (b"q=0", b"q=0.0"):
            return coding
    return None


def _invalid(coding: bytes, why: str) -> ServingError:
    return ServingError(
        ErrorKind.INVALID_INPUT, f"the request body is not valid {coding.decode()}: {why}"
    )
