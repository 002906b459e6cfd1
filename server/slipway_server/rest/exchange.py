"""One inference request on a connection and its answer, where uvicorn has its ASGI cycle."""

import re
from typing import TYPE_CHECKING, Final

from slipway_api import names
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.rest.infer import Answer, Inference, InferPath, Target, denied, refusal

if TYPE_CHECKING:
    from slipway_server.rest.connection import Connection

_REQUEST_ID: Final = names.HEADER_REQUEST_ID.encode()
_REQUEST_ID_BYTES_MAX: Final = 256
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class _Nobody:
    """Who waits for an event of the ASGI cycle: nobody."""

    def set(self) -> None:
        """Tell nobody."""


class Exchange:
    """Collects a body, has it inferred when its turn has come, and writes the answer.

    The public names are those that uvicorn's protocol uses of its own cycle.
    """

    __slots__ = (
        "_body_bytes",
        "_connection",
        "_denied",
        "_has_turn",
        "_infer",
        "_inference",
        "_parts",
        "_request_id",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
    )  # fmt: skip
    message_event: Final = _Nobody()

    def __init__(self, connection: "Connection", infer: InferPath, target: Target) -> None:
        headers = dict(connection.headers)
        self._connection, self._infer = connection, infer
        self._inference = Inference(infer, target, headers)
        # Before the body, of which nothing is kept then.
        self._denied = None if infer.gate is None else denied(infer.gate, connection.headers)
        request_id = headers.get(_REQUEST_ID)
        self._request_id = None if request_id is None else _echo(request_id)
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._has_turn = False
        self.keep_alive: bool = connection.parser.should_keep_alive()
        self.more_body = True
        self.disconnected = self.response_complete = False
        length = headers.get(b"content-length")
        if length is not None and int(length) > infer.body_bytes_max:
            self._body_bytes = infer.body_bytes_max + 1  # told when its turn has come

    def take_turn(self) -> None:
        """Everything asked before on this connection is answered."""
        self._has_turn = True
        if self._denied is not None:
            self._denied.must_close = self.more_body
            self._answer(self._denied)
            return
        if self._body_bytes > self._infer.body_bytes_max:
            self._refuse_body()
        elif not self.more_body:
            self._run()
        elif self._connection.expect_100_continue and not self._parts:
            self._connection.transport.write(_CONTINUE)

    def feed(self, part: bytes) -> None:
        """A part of the body has come."""
        if self.response_complete:
            return
        if self._denied is not None:
            return
        self._body_bytes += len(part)
        if self._body_bytes <= self._infer.body_bytes_max:
            self._parts.append(part)
            return
        self._parts.clear()
        if self._has_turn:
            self._refuse_body()

    def complete(self) -> None:
        """The body is whole."""
        self.more_body = False
        if self._has_turn and not self.response_complete:
            self._run()

    def client_gone(self) -> None:
        """The connection is lost."""
        if not self.response_complete:
            self.response_complete = self.disconnected = True
            self._inference.cancel()

    def refuse(self, answer: Answer) -> None:
        """Answer so in its turn, because nothing more of the body is read."""
        if self._has_turn:
            self._answer(answer)
        else:
            self._denied = answer

    def _run(self) -> None:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._inference.run(body, self._answer)

    def _answer(self, answer: Answer) -> None:
        if self.response_complete:
            return
        self.response_complete = True
        if answer.must_close or self._infer.dataplane.is_draining:
            self.keep_alive = False  # so that no idle connection is left to be cut
        connection = self._connection
        connection.send(answer, keep_alive=self.keep_alive, request_id=self._request_id)
        self._inference.ended(answer.status)
        connection.on_response_complete()

    def _refuse_body(self) -> None:
        message = f"the request body exceeds {self._infer.body_bytes_max} bytes"
        self._answer(refusal(ServingError(ErrorKind.TOO_LARGE, message)))


def _echo(value: bytes) -> bytes | None:
    """What may be sent back of a client's header."""
    if len(value) > _REQUEST_ID_BYTES_MAX or _CONTROLS.search(value):
        return None
    return value
