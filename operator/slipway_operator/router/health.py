"""What the kubelet and Prometheus ask the router: /ready, /healthz, /metrics."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from slipway_operator.router.admin import Admin, AdminError

READ_TIMEOUT_S: Final = 5.0


class HealthServer:
    """Answers from threads of its own, so that a slow scrape delays no probe and no drain."""

    def __init__(self, admin: Admin, is_alive: Callable[[], bool]) -> None:
        self._admin = admin
        self._is_alive = is_alive
        self._server: ThreadingHTTPServer | None = None

    def start(self, address: str, port: int) -> int:
        """Listen; returns the port, which the system chooses for 0."""
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = READ_TIMEOUT_S

            def do_GET(self) -> None:
                status, body = health.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing of probes."""

        self._server = ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self._server.server_port

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, path: str) -> tuple[HTTPStatus, bytes]:
        """Answer one path. Ready is Envoy's word; healthy is that its process lives."""
        match path:
            case "/ready":
                return _said(self._admin.is_live(), "Envoy has no configuration yet, or drains")
            case "/healthz":
                return _said(self._is_alive(), "Envoy has ended")
            case "/metrics":
                try:
                    return HTTPStatus.OK, self._admin.metrics()
                except AdminError as error:
                    return HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode()
            case _:
                return HTTPStatus.NOT_FOUND, b"only /ready, /healthz and /metrics\n"


def _said(is_well: bool, otherwise: str) -> tuple[HTTPStatus, bytes]:
    if is_well:
        return HTTPStatus.OK, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, f"{otherwise}\n".encode()
