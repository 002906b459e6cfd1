"""A real Prometheus and a real Alertmanager, and numbers for them that a test sets.

Knows nothing of Slipway. Both programs listen on one address; `wrap` may run them elsewhere, as in
a network namespace of the sandbox.
"""

import http.server
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bench.server.processes import free_port
from sandbox import toolchain
from sandbox.progress import silent

EVERY: Final = "500ms"  # scrapes and evaluations
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05

# Debian's Alertmanager reads its templates from /usr/share, where an unpacked package has none.
_WITH_SHARE: Final = (
    "mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus"
    ' && mount --bind "$1" /usr/share/prometheus && shift && exec "$@"'
)

Wrap = Callable[[Sequence[str]], Sequence[str]]


class Numbers:
    """Metrics with the values that a test gives them, by name."""

    def __init__(self, **values: float) -> None:
        self.values: dict[str, float] = dict(values)

    def text(self) -> bytes:
        """Write them as Prometheus reads them."""
        return "".join(f"{name} {value}\n" for name, value in self.values.items()).encode()

    @contextmanager
    def served(self, address: str = "127.0.0.1") -> Iterator[str]:
        """Serve them; gives host and port."""
        numbers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(numbers.text())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                """Say nothing."""

        with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield f"{address}:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


@dataclass
class Program:
    """One of the two programs: started, ended, and started again on the same data."""

    command: Sequence[str]
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            is_alive = self.process.poll() is None
            assert is_alive, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline_s, self.log.read_text(encoding="utf-8")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it, if it runs."""
        process, self.process = self.process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=STOP_TIMEOUT_S)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def alert(name: str, expression: str, **labels: str) -> Mapping[str, Any]:
    """Write a rule that fires as soon as it is true."""
    return {"alert": name, "expr": expression, "labels": labels}


def prometheus(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    targets: Sequence[str] = (),
    rules: Sequence[Mapping[str, Any]] = (),
    alertmanager: str | None = None,
    wrap: Wrap = list,
    **scrape: Any,
) -> Program:
    """Prepare a Prometheus that scrapes targets and sends what fires to an Alertmanager.

    `scrape` are further sections of its one scrape job, as `http_sd_configs`.
    """
    folder.mkdir(parents=True)
    port = free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [
            {"job_name": "tests", "static_configs": [{"targets": list(targets)}], **scrape}
        ],
    }
    if alertmanager:
        host = alertmanager.removeprefix("http://")
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [host]}]}]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    groups = {"groups": [{"name": "tests", "rules": list(rules)}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    command = wrap(
        [
            str(toolchain.ensure("prometheus", log=silent)),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}:{port}",
            "--rules.alert.resend-delay=1s",
        ]
    )
    return Program(command, f"http://{address}:{port}", folder / "log")


def alertmanager(
    folder: Path, *, webhook: str, token: str, address: str = "127.0.0.1", wrap: Wrap = list
) -> Program:
    """Prepare an Alertmanager that calls a webhook for every alert, at once."""
    folder.mkdir(parents=True)
    port = free_port()
    config = {
        "route": {
            "receiver": "slipway",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "slipway",
                "webhook_configs": [
                    {"url": webhook, "http_config": {"authorization": {"credentials": token}}}
                ],
            }
        ],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    program = toolchain.ensure("alertmanager", log=silent)
    share = program.parents[1] / "share" / "prometheus"
    command = wrap(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _WITH_SHARE, "sh"),
            str(share),
            str(program),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={address}:{port}",
            "--cluster.listen-address=",
        ]
    )
    return Program(command, f"http://{address}:{port}", folder / "log")
