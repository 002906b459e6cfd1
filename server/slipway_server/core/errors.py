"""Errors of the server: each carries a kind, and each front end maps kinds in one table.

No HTTP status and no gRPC code may appear here.
"""

from enum import Enum, auto
from typing import Final

from slipway_api.last_words import LastWords, LoadPhase

# Even of characters that gRPC's trailers take twelve bytes for; clients refuse 8 KiB of trailers.
MESSAGE_CHARS_MAX: Final = 500


class ErrorKind(Enum):
    """Why a request was not answered with a result."""

    INVALID_INPUT = auto()  # the request violates the model's signature or the protocol
    NOT_FOUND = auto()  # no such model, version or path
    NOT_READY = auto()  # the model is not verified, loaded and warmed up yet
    OVERLOADED = auto()  # shed: the queue is full, trying again later makes sense
    TOO_LARGE = auto()  # the request body exceeds the limit
    DISABLED = auto()  # this server can do it, but not on this port
    BROKEN_MODEL = auto()  # the model in the repository cannot be served as it is
    UNSUPPORTED = auto()  # the request is written in a way that this server does not read
    UNAUTHENTICATED = auto()  # it is not known who asks
    FORBIDDEN = auto()  # it is known, and that one may not
    INTERNAL = auto()  # the model itself failed


def shortened(message: str) -> str:
    """What is told to a client, which may have sent much of it itself."""
    if len(message) <= MESSAGE_CHARS_MAX:
        return message
    return message[: MESSAGE_CHARS_MAX - 1] + "…"


class ServerError(Exception):
    """Base of all errors that this package raises on purpose."""


class ServingError(ServerError):
    """One request failed; front ends turn it into an answer."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        self.kind = kind
        self.message = shortened(message)
        super().__init__(self.message)


class LoadError(ServerError):
    """The model cannot be served; the process says why and ends.

    `is_permanent` is false where the same start may succeed later (download trouble). Who raises
    it need not know the phase: `loading` does.
    """

    def __init__(
        self, message: str, *, is_permanent: bool = True, phase: LoadPhase = LoadPhase.START
    ) -> None:
        super().__init__(message)
        self.message = message
        self.is_permanent = is_permanent
        self.phase = phase

    @property
    def words(self) -> str:
        """What is told of it: the phase, whether a retry helps, and the cause."""
        return str(LastWords(self.phase, self.is_permanent, self.message))
