"""Attempts: each inference request that reaches this pod is counted and, if asked, logged.

Both front ends report here, so both protocols are measured alike.
"""

import os
import time
from collections.abc import Callable
from typing import Final

import orjson

from slipway_server.core.tensors import InferenceResponse
from slipway_server.metrics import Metrics, ModelKey

_STDOUT: Final = 1


class AccessLog:
    """One JSON line when an attempt begins and one when it ends, written at once.

    Unbuffered, so that the line of a request that kills the process is not lost with it.
    """

    def __init__(self, revision: str, descriptor: int = _STDOUT) -> None:
        self._revision = revision
        self._descriptor = descriptor

    def write(self, event: str, attempt: "Attempt", **more: object) -> None:
        """Write one line; `at` is Unix time in seconds."""
        line = {
            "event": event,
            "at": time.time(),
            "id": attempt.request_id,
            "protocol": attempt.protocol,
            "revision": self._revision,
            "path": attempt.path,
            **more,
        }
        os.write(self._descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


class Attempt:
    """One inference request from its headers to the end of its answer.

    `decode_ns` is when its body was there, by `time.perf_counter_ns`; `response` what the model
    said, None if it did not come to that; `target` the model and the version that it names.
    """

    __slots__ = (
        *("_attempts", "_began_ns", "path", "protocol", "request_id"),
        *("decode_ns", "response", "target"),
    )

    def __init__(self, attempts: "Attempts", *, protocol: str, path: str, request_id: str) -> None:
        self._attempts = attempts
        self._began_ns = self.decode_ns = time.perf_counter_ns()
        self.response: InferenceResponse | None = None
        self.target: tuple[str, str | None] | None = None
        self.protocol = protocol
        self.path = path
        self.request_id = request_id

    def end(self, status: int, code: str) -> None:
        """The answer is out, or the client is gone; `status` is the number of `code`."""
        ended_ns = time.perf_counter_ns()
        self._attempts.end(self, status, code, ended_ns=ended_ns)

    def seconds(self, ended_ns: int) -> float:
        """How long it took until then."""
        return (ended_ns - self._began_ns) * 1e-9


class Attempts:
    """Where attempts are reported. Used from the event loop only."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog | None,
        *,
        known: Callable[[str, str | None], ModelKey | None] = lambda _, __: None,
    ) -> None:
        """`known` tells which model answers to a name and a version, if any does."""
        self._metrics = metrics
        self._access_log = access_log
        self._known = known

    def begin(self, protocol: str, *, path: str, request_id: str) -> Attempt:
        """Note an attempt before anything of it is looked at."""
        self._metrics.began(protocol)
        attempt = Attempt(self, protocol=protocol, path=path, request_id=request_id)
        if self._access_log is not None:
            self._access_log.write("begin", attempt)
        return attempt

    def end(self, attempt: Attempt, status: int, code: str, *, ended_ns: int) -> None:
        """Count and log it; called by `Attempt.end`."""
        response, seconds = attempt.response, attempt.seconds(ended_ns)
        model: ModelKey
        if response is None:
            model = self._named(attempt)
        else:
            model = (response.model_name, response.model_version)
            # The same end as of the whole, or its parts would be more than it.
            self._metrics.answered(
                attempt.protocol,
                response,
                code=code,
                decode_ns=attempt.decode_ns,
                ended_ns=ended_ns,
            )
        self._metrics.ended(attempt.protocol, code=code, model=model, seconds=seconds)
        if self._access_log is not None:
            self._access_log.write("end", attempt, status=status, seconds=round(seconds, 6))

    def _named(self, attempt: Attempt) -> ModelKey:
        """Who would have answered; a client's own words are nobody."""
        return (attempt.target and self._known(*attempt.target)) or ("", "")
