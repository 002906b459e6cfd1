"""One HTTP/1.1 connection: uvicorn's protocol, with limits, and with a short way to inference.

Uvicorn makes a task and an ASGI conversation for every request, which costs more than a small
model. Here an inference request is read, run and answered by callbacks; everything else goes
uvicorn's way.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from slipway_server.rest import asgi, errors
from slipway_server.rest.asgi import Header
from slipway_server.rest.codec import Content
from slipway_server.rest.exchange import Exchange
from slipway_server.rest.infer import Answer, InferPath

_UNREADABLE: Final = "this is no HTTP/1.1 that can be read"
_RETRY_LATER: Final[Header] = (b"retry-after", b"1")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client may take of a connection, and for how long. Seconds; bytes as they come in.

    An idle connection is kept longer than Envoy keeps one (an hour), so that it is never the server
    that closes one just as a request comes along it.
    """

    head_bytes_max: int = 32 * 1024  # request line, headers and trailers
    header_count_max: int = 100
    head_s: float = 10.0  # from a request's first byte to the end of its headers
    body_idle_s: float = 30.0  # without a byte of a body that has not ended
    answer_idle_s: float = 60.0  # of an answer that nobody reads
    end_s: float = 2.0  # for a client that was refused to take its answer and to go
    keep_alive_s: float = 3700.0
    connection_count_max: int = 1024


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()  # the next request
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    END = auto()  # the client's; what it still sends is not looked at


# Looked up once: every look into an enumeration costs as much as a call.
_IDLE, _HEAD, _BODY, _ANSWER, _END = Phase


class Connection(HttpToolsProtocol):
    """See the module. All methods are called on the event loop."""

    def __init__(self, *, infer: InferPath, limits: HttpLimits, stamp: Header, **uvicorns: Any):
        super().__init__(**uvicorns)
        self._infer, self._limits = infer, limits
        self._stamp = b"%b: %b\r\n" % stamp
        self._phase = _IDLE
        self._since_s = self._came_s = self.loop.time()
        self._head_bytes_max = limits.head_bytes_max
        self._header_count_max = limits.header_count_max
        self._head_bytes = 0
        self._is_in_head = self._is_refused = False
        self._defaults: list[Header] | None = None
        self._heads: dict[tuple[int, Header], bytes] = {}

    # What uvicorn's server and its protocol's base call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve one more client, if need be in the place of one that is idle."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as asyncio types it
        if len(self.connections) <= self._limits.connection_count_max:
            return
        others = cast(set[Connection], self.connections - {self})
        idle = [connection for connection in others if connection.is_idle]
        if idle:
            min(idle, key=lambda connection: connection.since_s).transport.close()
        else:
            self._refuse(503, "too many connections; try again later", _RETRY_LATER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what is in flight on it."""
        super().connection_lost(exc)
        for cycle in (self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if isinstance(cycle, Exchange):
                cycle.client_gone()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; a head that does not end is bounded, too."""
        if self._is_refused:
            return
        head = self.headers if self._is_in_head else None
        self._came_s = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrades(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response(_UNREADABLE)
        if self._is_in_head and self.headers is head:
            self._head_bytes += len(data)
            self._bound_head()

    def shutdown(self) -> None:
        """The server is about to end: close once what is in flight is answered."""
        super().shutdown()
        for cycle, _ in self.pipeline:
            cycle.keep_alive = False

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read."""
        super().pause_writing()
        self.flow.pause_reading()
        self._since_s = self.loop.time()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self.transport is None or self.transport.is_closing():
            return
        self._since_s = self.loop.time()
        if self._phase is not _END and (self.cycle is None or self.cycle.response_complete):
            self._go_on()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the words of the protocol's errors."""
        self._refuse(400, msg)

    # The parser's events.

    def on_message_begin(self) -> None:
        """A request begins; nothing of ASGI is made before it is known to be needed."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_bytes = 0
        self._is_in_head = True
        if self._phase is _IDLE:
            self._phase, self._since_s = _HEAD, self._came_s

    def on_url(self, url: bytes) -> None:
        """A part of the request line's URL."""
        self.url += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        name, headers = name.lower(), self.headers
        headers.append((name, value))
        self._head_bytes += len(name) + len(value)
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        if self._head_bytes > self._head_bytes_max or len(headers) > self._header_count_max:
            self._bound_head()

    def on_headers_complete(self) -> None:
        """Send the request its way."""
        if self._is_refused or self.parser.should_upgrade():
            return  # an upgrade is read again without that wish
        self._is_in_head = False
        self._phase, self._since_s = _BODY, self._came_s
        if self._head_bytes > self._head_bytes_max:  # a request line without headers
            self._bound_head()
        elif self.parser.get_method() == b"POST":
            target = self._infer.target(self.url)
            if target is not None:
                self._begin(Exchange(self, self._infer, target))
                return
        if self._is_refused:
            return
        url, headers, must_say = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, must_say
        self.scope["headers"] = headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._is_refused:
            return
        self._since_s = self._came_s
        if isinstance(self.cycle, Exchange):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._is_refused or self._is_in_head:  # of an upgrade, which the parser ends there
            return
        if self._phase is _BODY:
            self._phase = _ANSWER
        if isinstance(self.cycle, Exchange):
            self.cycle.complete()
        else:
            super().on_message_complete()

    def _ignore_upgrades(self, data: memoryview) -> None:
        """Read requests again without the protocol they offer, and `data`, which follows.

        A server may ignore Upgrade (RFC 9110, 7.8); the parser then has skipped the body. curl and
        Java's client offer HTTP/2 so.
        """
        try:
            while not self._is_refused:
                head = self._head_without_upgrade()
                # The old one is at its end where the client wants to close, too.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # the latter of CONNECT
            self.send_400_response(_UNREADABLE)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join(lines) + b"\r\n"

    # Answers.

    def on_response_complete(self) -> None:
        """The answer is written: go on, once the client has taken most of it."""
        self.server_state.total_requests += 1
        is_over = self._phase is _END or self.transport.is_closing()
        if not is_over and not self.flow.write_paused:
            self._go_on()

    def send(self, answer: Answer, *, keep_alive: bool, request_id: bytes | None) -> None:
        """Write a whole answer at once."""
        content, body = answer.content, answer.content.body
        defaults = self.server_state.default_headers
        if defaults is not self._defaults:  # uvicorn makes them anew when the date has changed
            self._defaults = defaults
            self._heads.clear()
        kind = (answer.status, content.content_type)
        head = self._heads.get(kind) or self._head(*kind)
        more = b"" if request_id is None else b"x-request-id: %b\r\n" % request_id
        if content.headers or answer.headers:
            more += b"".join([b"%b: %b\r\n" % h for h in (*content.headers, *answer.headers)])
        if not keep_alive:
            more += b"connection: close\r\n"
        self.transport.write(b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(body), more, body))
        if answer.must_close and self.transport.can_write_eof():
            # Closed with something unread, a connection is reset, and the answer may be lost.
            self._is_refused = True
            self._enter(_END)
            self.transport.write_eof()
        elif not keep_alive:
            self.transport.close()

    def _head(self, status: int, content_type: Header) -> bytes:
        """How such answers begin, until the date changes."""
        lines = [b"%b: %b\r\n" % header for header in (*(self._defaults or ()), content_type)]
        head = self._heads[status, content_type] = b"".join(
            (STATUS_LINE[status], *lines, self._stamp)
        )
        return head

    # Limits.

    @property
    def is_idle(self) -> bool:
        """Whether no request is on it."""
        return self._phase is _IDLE

    @property
    def since_s(self) -> float:
        """Since when it waits for what it waits for, by the loop's clock."""
        return self._since_s

    def look(self, now_s: float) -> None:
        """End it if it waits for too long; called every second or so."""
        waited_s, limits = now_s - self._since_s, self._limits
        if self.flow.write_paused and waited_s > limits.answer_idle_s:
            self.transport.abort()
            return
        match self._phase:
            case Phase.IDLE if waited_s > limits.keep_alive_s:
                self.transport.close()
            case Phase.HEAD if waited_s > limits.head_s:
                self._refuse(408, f"the headers did not end within {limits.head_s:g} s")
            case Phase.END if waited_s > limits.end_s:
                self.transport.abort()
            # Nothing comes of what is not read, as behind a request that runs.
            case Phase.BODY if waited_s > limits.body_idle_s and not self.flow.read_paused:
                self._refuse(408, f"nothing more of the body came for {limits.body_idle_s:g} s")

    def _bound_head(self) -> None:
        limits = self._limits
        if self._head_bytes > limits.head_bytes_max:
            self._refuse(431, f"the headers exceed {limits.head_bytes_max} bytes")
        elif len(self.headers) > limits.header_count_max:
            self._refuse(431, f"there are more than {limits.header_count_max} headers")

    def _refuse(self, status: int, message: str, *headers: Header) -> None:
        """Answer and close; what was asked before, whole, gets its own answer first."""
        if self._is_refused:
            return
        self._is_refused = True
        answer = Answer(status, Content(errors.body(message)), headers, must_close=True)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.send(answer, keep_alive=False, request_id=None)
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif isinstance(cycle, Exchange):
            cycle.refuse(answer)
        elif self.pipeline:
            cycle.keep_alive = False
            app = asgi.always(status, body=answer.content.body, headers=headers)
            self.pipeline[0] = (cycle, cast(Any, app))  # the same, otherwise typed
        elif cycle.response_started:
            self.transport.close()
        else:
            self.send(answer, keep_alive=False, request_id=None)
            cycle.disconnected = True
            cycle.message_event.set()

    # Turns.

    def _begin(self, exchange: Exchange) -> None:
        before, self.cycle = self.cycle, exchange  # type: ignore[assignment]  # in its place
        if before is None or before.response_complete:
            exchange.take_turn()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, Exchange):
            # Not at once: a client may have sent thousands that are all refused.
            self.loop.call_soon(cycle.take_turn)
        else:
            super()._start_asgi_task(cycle, app)

    def _go_on(self) -> None:
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._enter(_BODY if cycle.more_body else _ANSWER)
            self._start_asgi_task(cycle, app)
        else:
            self._enter(_HEAD if self._is_in_head else _IDLE)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since_s = phase, self.loop.time()
