"""The inference path: from a request's parts to an answer's, without ASGI and without a task.

A small model takes less time than a framework's routing and an event loop's task.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httptools

from slipway_server.access.gate import Gate
from slipway_server.access.rights import Right
from slipway_server.attempts import Attempts
from slipway_server.core.dataplane import Call, Dataplane
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import Signature
from slipway_server.rest import coding, errors
from slipway_server.rest.asgi import Header
from slipway_server.rest.codec import (
    HEADER_LENGTH,
    Body,
    Codec,
    Content,
    OpenInference,
)
from slipway_server.rest.predict import Predict

_log = logging.getLogger(__name__)
# Envoy's word for how long it waits for this attempt ("x-envoy-expected-rq-timeout-ms").
_TIMEOUT_MS: Final = b"x-envoy-expected-rq-timeout-ms"
_DIGITS_MAX: Final = 9
_TARGETS_MAX: Final = 1024
_VARY: Final = (b"vary", b"accept-encoding")
_V2: Final = ("/v2/models/", "/infer", OpenInference())
_V1: Final = ("/v1/models/", ":predict", Predict())


@dataclass(frozen=True, slots=True)
class Target:
    """The model that an inference path names, and how its bodies are written.

    Version None means the path has none.
    """

    path: str
    model_name: str
    model_version: str | None
    codec: Codec


def parse_path(path: str) -> Target | None:
    """The target of an inference path, or None for any other path.

    >>> parse_path("/v2/models/churn/versions/3/infer").model_version
    '3'
    """
    for prefix, suffix, codec in (_V2, _V1):
        if path.endswith(suffix) and path.startswith(prefix):
            match path[len(prefix) : -len(suffix)].split("/"):
                case [name] if name:
                    return Target(path, name, None, codec)
                case [name, "versions", version] if name and version:
                    return Target(path, name, version, codec)
    return None


@dataclass(slots=True)
class Answer:
    """A status and what is sent with it. `must_close`: the rest of the request is not read."""

    status: int
    content: Content
    headers: tuple[Header, ...] = ()
    must_close: bool = False


class InferPath:
    """Answers POST on an inference path. Every failure becomes an error object."""

    def __init__(
        self,
        dataplane: Dataplane,
        attempts: Attempts,
        *,
        body_bytes_max: int,
        gate: Gate | None = None,
    ) -> None:
        """Without `gate` everybody may ask."""
        self.gate: Final = gate
        self.dataplane: Final = dataplane
        self.attempts: Final = attempts
        self.body_bytes_max: Final = body_bytes_max
        self._targets: dict[bytes, Target | None] = {}

    def target(self, url: bytes) -> Target | None:
        """The target of a request line's URL, or None; raises httptools' errors."""
        try:
            return self._targets[url]
        except KeyError:
            found = parse_path(unquote(httptools.parse_url(url).path.decode("ascii")))
            if len(self._targets) >= _TARGETS_MAX:  # a client can name as many as it likes
                self._targets.clear()
            self._targets[url] = found
            return found


def denied(gate: Gate, headers: Iterable[Header]) -> Answer | None:
    """What a client is told that may not infer; None for one that may."""
    try:
        gate.admit(Right.INFER, headers)
    except ServingError as err:
        return refusal(err)
    return None


class Inference:
    """One inference request over REST, from its headers to its answer."""

    __slots__ = ("_answer", "_attempt", "_call", "_encode", "_headers", "_path",
                 "_target")  # fmt: skip

    def __init__(self, path: InferPath, target: Target, headers: Mapping[bytes, bytes]) -> None:
        self._path, self._target, self._headers = path, target, headers
        sent = headers.get(b"x-request-id")
        request_id = "" if sent is None else sent.decode("latin-1")
        self._attempt = path.attempts.begin("rest", path=target.path, request_id=request_id)
        self._attempt.target = (target.model_name, target.model_version)
        self._call: Call | None = None

    def run(self, body: bytes, answer: Callable[[Answer], None]) -> None:
        """Infer; `answer` is called once, now or later, unless the client goes before."""
        self._answer = answer
        self._attempt.decode_ns = time.perf_counter_ns()
        headers = self._headers
        try:
            request, self._encode = self._target.codec.decode(self._body(body))
            timeout_ms = headers.get(_TIMEOUT_MS)
            deadline_ns = None if timeout_ms is None else _deadline_ns(timeout_ms)
            self._call = self._path.dataplane.begin(request, self._done, deadline_ns=deadline_ns)
        except ServingError as err:
            self._tell(refusal(err))
        except Exception:  # noqa: BLE001 - the border: whatever escapes becomes an answer
            self._tell(_internal())

    def ended(self, status: int) -> None:
        """The answer is out, or the client has gone; to be called once."""
        self._attempt.end(status, str(status))

    def cancel(self) -> None:
        """The client has gone."""
        if self._call is not None:
            self._call.cancel()
        self.ended(errors.CLIENT_GONE)

    def _done(self, call: Call) -> None:
        try:
            response = self._attempt.response = call.response()
            content = self._encode(response)
            is_small = len(content.body) < coding.BYTES_MIN
            answer = Answer(200, content) if is_small else self._coded(content)
        except ServingError as err:
            answer = refusal(err)
        except Exception:  # noqa: BLE001 - as above
            answer = _internal()
        self._tell(answer)

    def _tell(self, answer: Answer) -> None:
        """Answer, and let go of what holds this in turn, or only the collector would free it."""
        tell = self._answer
        del self._answer
        self._call = None
        tell(answer)

    def _coded(self, content: Content) -> Answer:
        body, used = coding.encode(content.body, self._headers.get(b"accept-encoding", b""))
        if used is None:
            return Answer(200, content)
        coded = Content(body, content.content_type, content.headers)
        return Answer(200, coded, ((b"content-encoding", used), _VARY))

    def _body(self, body: bytes) -> Body:
        headers, target = self._headers, self._target
        coded = headers.get(b"content-encoding")
        if coded is not None:
            body = coding.decode(body, coded, bytes_max=self._path.body_bytes_max)
        length = header_length(headers.get(HEADER_LENGTH))
        return Body(body, length, target.model_name, target.model_version, self._signature)

    def _signature(self) -> Signature:
        target = self._target
        return self._path.dataplane.model_metadata(
            target.model_name, target.model_version
        ).signature


def _deadline_ns(timeout_ms: bytes) -> int | None:
    """Until when the router waits, by `time.perf_counter_ns`; what makes no sense is not said."""
    if not timeout_ms.isdigit() or len(timeout_ms) > _DIGITS_MAX:
        return None
    timeout_ns = int(timeout_ms) * 1_000_000
    return time.perf_counter_ns() + timeout_ns if timeout_ns else None


def header_length(value: bytes | None) -> int | None:
    """How many bytes of a body are JSON, as its header says; None without one."""
    if value is None:
        return None
    if not value.isdigit() or len(value) > _DIGITS_MAX:
        raise ServingError(
            ErrorKind.INVALID_INPUT,
            "Inference-Header-Content-Length must be a number of bytes >= 0, "
            f"got '{value[: _DIGITS_MAX + 1].decode('latin-1')}'",
        )
    return int(value)


def refusal(err: ServingError) -> Answer:
    """What a client is told of an error."""
    return Answer(
        errors.STATUSES[err.kind],
        Content(errors.body(err.message)),
        errors.HEADERS.get(err.kind, ()),
        must_close=err.kind is ErrorKind.TOO_LARGE,  # what is left of the body is not read
    )


def _internal() -> Answer:
    _log.exception("an inference request failed outside the model")
    return Answer(500, Content(errors.body("internal error, see the server's log")))
