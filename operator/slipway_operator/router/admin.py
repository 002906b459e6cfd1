"""Envoy's admin interface over its unix socket."""

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 5.0


class AdminError(Exception):
    """The admin interface did not answer, or not as expected."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What Envoy's listeners have seen so far, and what is in flight."""

    connections_total: int
    requests_total: int
    requests_active: int


class Admin:
    """Ask Envoy; every call opens a connection of its own, so it may be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_live(self) -> bool:
        """Tell whether Envoy has its configuration and does not drain."""
        try:
            status, body = self._ask("GET", "/ready")
        except AdminError:
            return False
        return status == http.HTTPStatus.OK and body.startswith(b"LIVE")

    def fail_health(self) -> None:
        """Begin to drain: `/ready` fails, answers say `connection: close`, service goes on."""
        self._ask("POST", "/healthcheck/fail")

    def traffic(self) -> Traffic:
        """Read the counters of all listeners together."""
        _, body = self._ask(
            "GET", "/stats?filter=^http\\.router\\.downstream_(cx|rq)_(total|active)$"
        )
        values = {}
        for line in body.decode().splitlines():
            name, _, value = line.rpartition(": ")
            values[name.removeprefix("http.router.downstream_")] = int(value)
        # Envoy makes them with the first listener; without one there is no traffic.
        return Traffic(
            connections_total=values.get("cx_total", 0),
            requests_total=values.get("rq_total", 0),
            requests_active=values.get("rq_active", 0),
        )

    def metrics(self) -> bytes:
        """Read the statistics in use, in Prometheus' text format."""
        return self._ask("GET", "/stats/prometheus?usedonly")[1]

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"{method} {path} at {self._path}: {error}") from error
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=TIMEOUT_S)
        self._unix_path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._unix_path)
