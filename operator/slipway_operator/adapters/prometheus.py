"""Asking Prometheus: one number for a query, and which alerts fire.

Whatever is not a plain, fresh, finite answer is a problem with a reason, never an exception and
never a number. Knows no gates and decides nothing.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson

from slipway_operator.engine.alerts import AlertsSeen, FiringAlert
from slipway_operator.engine.queries import Answer

TIMEOUT_S: Final = 5.0
QUERY_BYTES_MAX: Final = 64 * 1024  # one number needs 200 bytes; a wide vector is no answer
ALERTS_BYTES_MAX: Final = 8 * 1024 * 1024  # about 10,000 alerts
AGE_S_MAX: Final = 30.0  # an answer is computed when it is asked for; caches and clocks may lie
CONNECTION_COUNT: Final = 16
PROBLEM_LENGTH_MAX: Final = 160


class _ProblemError(Exception):
    """Why there is no answer, in words for the status."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of the HTTP API; `form` None: GET."""

    path: str
    form: Mapping[str, str] | None
    size_bytes_max: int


class Prometheus:
    """A client of one Prometheus, or of what speaks like it; belongs to one event loop."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """`url` may have a path, as behind a proxy."""
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, query: str) -> Answer:
        """Evaluate a query now; its answer carries the time at which it was asked."""
        at = datetime.now(UTC)
        call = _Call("/api/v1/query", {"query": query}, QUERY_BYTES_MAX)
        try:
            return Answer(at, number(await self._call(call), at=at))
        except _ProblemError as problem:
            return Answer(at, None, _clipped(f"Prometheus {problem}"))

    async def alerts(self) -> AlertsSeen:
        """Read the alerts that fire now."""
        at = datetime.now(UTC)
        try:
            body = await self._call(_Call("/api/v1/alerts", None, ALERTS_BYTES_MAX))
            return AlertsSeen(at, firing(body))
        except _ProblemError as problem:
            return AlertsSeen(at, None, _clipped(f"Prometheus {problem}"))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, call: _Call) -> bytes:
        method = "GET" if call.form is None else "POST"
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._open().request(
                    method,
                    self._url + call.path,
                    data=call.form,
                    allow_redirects=False,
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as answer,
            ):
                body = await _read(answer, call.size_bytes_max)
        except TimeoutError:
            raise _ProblemError(f"did not answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _ProblemError(f"cannot be asked: {error or type(error).__name__}") from error
        if answer.status != 200:
            raise _ProblemError(_refusal(answer.status, body))
        return body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTION_COUNT),
                auto_decompress=False,  # what comes compressed though nobody asked is no JSON
            )
        return self._session


def client(url: str | None) -> Prometheus | None:
    """Make a client; None where no address is configured."""
    return Prometheus(url) if url else None


async def _read(answer: aiohttp.ClientResponse, size_bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > size_bytes_max:
            raise _ProblemError(f"answered more than {size_bytes_max} bytes")
    return bytes(body)


def number(body: bytes, *, at: datetime) -> float:
    """Take the one number from the answer to an instant query, or raise why there is none.

    https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
    """
    data = _data(body)
    result = data.get("result")
    match data.get("resultType"):
        case "scalar":
            sample = result
        case "vector":
            sample = _only(result)
        case other:
            raise _ProblemError(f"answered with a {_clipped(str(other))}: one number is expected")
    if not isinstance(sample, list) or len(sample) != 2:
        raise _ProblemError("answered with a sample of another shape")
    time_s, value = _float(sample[0]), _float(sample[1])
    if not math.isfinite(value):
        raise _ProblemError(f"answered {sample[1]}: a finite number is expected")
    age_s = at.timestamp() - time_s
    if not abs(age_s) <= AGE_S_MAX:
        when = "old" if age_s > 0 else "in the future"
        raise _ProblemError(f"answered with a number that is {abs(age_s):.0f} s {when}")
    return value


def firing(body: bytes) -> tuple[FiringAlert, ...]:
    """Take the alerts that fire from the answer of /api/v1/alerts, or raise why that fails."""
    alerts = _data(body).get("alerts")
    if not isinstance(alerts, list):
        raise _ProblemError("answered without a list of alerts")
    found = []
    for alert in alerts:
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise _ProblemError("answered with an alert without labels")
        if alert.get("state") != "firing":
            continue
        labels = {str(key): str(value) for key, value in alert["labels"].items()}
        began_at = _time(alert.get("activeAt"))
        found.append(FiringAlert(labels.get("alertname", ""), labels, began_at))
    return tuple(found)


def _data(body: bytes) -> Mapping[str, Any]:
    answer = _json(body)
    if answer.get("status") != "success" or not isinstance(answer.get("data"), dict):
        raise _ProblemError(f"answered without success: {_clipped(str(answer.get('error')))}")
    if answer.get("warnings"):  # part of the data is missing
        raise _ProblemError(f"warns: {_clipped(str(answer['warnings']))}")
    data: Mapping[str, Any] = answer["data"]
    return data


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _ProblemError(f"answered what is no JSON: {_shown(body)}") from None
    if not isinstance(answer, dict):
        raise _ProblemError(f"answered what is no object: {_shown(body)}")
    return answer


def _only(result: Any) -> Any:
    if not isinstance(result, list) or not all(isinstance(series, dict) for series in result):
        raise _ProblemError("answered with a vector of another shape")
    if not result:
        raise _ProblemError("found nothing: the query matches no series")
    if len(result) > 1:
        raise _ProblemError(f"found {len(result)} series: let the query give one, e.g. by sum()")
    return result[0].get("value")


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _ProblemError(f"answered {_clipped(repr(value))} where a number belongs") from None


def _time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _ProblemError("answered with an alert without a time") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _refusal(status: int, body: bytes) -> str:
    """Say why an answer is none; Prometheus says what is wrong with a query."""
    try:
        error = _json(body).get("error")
    except _ProblemError:
        error = None
    return f"answered {status}: {_clipped(str(error))}" if error else f"answered {status}"


def _shown(body: bytes) -> str:
    return repr(body[:24].decode("utf-8", "replace"))


def _clipped(text: str) -> str:
    return text if len(text) <= PROBLEM_LENGTH_MAX else text[: PROBLEM_LENGTH_MAX - 1] + "…"
