"""What an inference path needs of a protocol: a request out of a body, a body out of a response."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from slipway_server.core.signature import Signature
from slipway_server.core.tensors import InferenceRequest, InferenceResponse
from slipway_server.rest import asgi, convert
from slipway_server.rest.asgi import Header

HEADER_LENGTH: Final = b"inference-header-content-length"


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
class Body:
    """A request's body, decoded, and what is known beside it.

    `header_length`: the bytes of it that are JSON, None if it does not say. `signature` looks the
    model's signature up, or raises ServingError.
    """

    content: bytes
    header_length: int | None
    model_name: str
    model_version: str | None
    signature: Callable[[], Signature]


@dataclass(slots=True)  # not frozen: that costs thrice as much to make
class Content:
    """A body to send, its type and further headers."""

    body: bytes
    content_type: Header = asgi.JSON
    headers: tuple[Header, ...] = ()


Encode = Callable[[InferenceResponse], Content]


class Codec(Protocol):
    """One protocol over REST."""

    def decode(self, body: Body) -> tuple[InferenceRequest, Encode]:
        """Read a request, and tell how to write its response. Raises ServingError."""


class OpenInference:
    """The Open Inference Protocol (V2), with its binary tensor extension."""

    def decode(self, body: Body) -> tuple[InferenceRequest, Encode]:
        """See `Codec.decode`."""
        name, version = body.model_name, body.model_version
        if body.header_length == 0:
            request, wanted = convert.decode_raw(
                body.content, model_name=name, model_version=version, signature=body.signature()
            )
        else:
            request, wanted = convert.decode(
                body.content,
                model_name=name,
                model_version=version,
                header_length=body.header_length,
            )

        return request, _as_json if wanted is convert.ALL_JSON else partial(_as_wanted, wanted)


def _as_json(response: InferenceResponse) -> Content:
    return _as_wanted(convert.ALL_JSON, response)


def _as_wanted(wanted: convert.Wanted, response: InferenceResponse) -> Content:
    content, header_length = convert.encode(response, wanted)
    if header_length is None:
        return Content(content)
    length = (HEADER_LENGTH, str(header_length).encode())
    return Content(content, asgi.OCTETS, (length,))
