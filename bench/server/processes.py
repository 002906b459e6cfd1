"""Processes of servers: how one is started, what it costs while it runs, and how it ends.

Knows no protocol but the path that says that a server is ready. All of a server's processes run
on one processor. Each program is in a session of its own, by which its processes are found, and
ended.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.places import checkout

PROCESSOR: Final = 0
_PORTS: Final = (12_000, 20_000)
_PORT_TRIES: Final = 100
_STARTED_S: Final = 60.0
_LOOK_S: Final = 0.005
SOURCES: Final = tuple(checkout() / name for name in ("crds", "server"))
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts a server: a command, and what is added to the environment."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]


class NotReadyError(RuntimeError):
    """A server that ended, or was not ready in time; with the end of what it wrote."""


class Process:
    """A server that has been started and is ready, at `grpc_port` as well if there is one."""

    def __init__(
        self, name: str, launch: Launch, *, port: int, log: Path, grpc_port: int | None = None
    ) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self._grpc_port = grpc_port
        self._log = log
        began_s = time.monotonic()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(PROCESSOR), *map(str, launch.command)],
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._await(self._is_ready, began_s + _STARTED_S)
        self._await(self._is_open, began_s + _STARTED_S)
        self.start_s = time.monotonic() - began_s

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(float(fields[11]) + float(fields[12]) for fields in self._stats()) / _TICKS

    def rss_mb(self) -> float:
        """Resident memory of all its processes; what they share is counted in each."""
        return sum(int(fields[21]) for fields in self._stats()) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def end(self) -> None:
        """End every process of it."""
        for pid in self._pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    def _await(self, reached: Callable[[], bool], deadline_s: float) -> None:
        while time.monotonic() < deadline_s and self._process.poll() is None:
            if reached():
                return
            time.sleep(_LOOK_S)
        self.end()
        tail = self._log.read_text(errors="replace")[-2000:]
        raise NotReadyError(f"{self.name} is not ready on {self.url}:\n{tail}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def _is_open(self) -> bool:
        if self._grpc_port is None:
            return True
        try:
            with socket.create_connection(("127.0.0.1", self._grpc_port), timeout=5):
                return True
        except OSError:
            return False

    def _pids(self) -> list[int]:
        return [pid for pid, fields in _processes() if int(fields[3]) == self._process.pid]

    def _stats(self) -> list[list[str]]:
        return [fields for _, fields in _processes() if int(fields[3]) == self._process.pid]


def _processes() -> list[tuple[int, list[str]]]:
    """Every process, and the fields of proc_pid_stat(5) from the third, the state, on."""
    found: list[tuple[int, list[str]]] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append((int(folder.name), fields))
    return found


def free_port() -> int:
    """A port that nobody listens on now.

    Below those that the system gives to outgoing connections (ip(7), `ip_local_port_range`): one of
    them may be taken again before the server that is meant to have it listens.
    """
    for _ in range(_PORT_TRIES):
        port = random.randrange(*_PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError(f"no free port of {_PORT_TRIES} that were tried")


def slipway(python: Path, folder: Path, settings: Mapping[str, str | int | Path]) -> Launch:
    """Our server, on loopback; `settings` are named as in its documents, without the prefix."""
    values = {
        "MODEL_DIR": folder / "bytes",
        "TERMINATION_LOG": folder / "termination",
        "HOST": "127.0.0.1",
        "ANY_PORT": 0,
        **settings,
    }
    path = os.pathsep.join(map(str, SOURCES))
    environment = {f"SLIPWAY_SERVER_{name}": str(value) for name, value in values.items()}
    return Launch((python, "-m", "slipway_server"), environment | {"PYTHONPATH": path})


def triton(python: Path, folder: Path, options: Sequence[str]) -> Launch:
    """Triton of the peer's environment with its Python backend, for the models in `folder`/models.

    `options` say where it listens.
    """
    server = site_packages(python) / "pytriton" / "tritonserver"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    stubs = server / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}"
    for file in (*(server / "backends" / "python").iterdir(), *stubs.iterdir()):
        (backend / file.name).symlink_to(file)
    command: tuple[str | Path, ...] = (
        server / "bin" / "tritonserver",
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        *("--allow-metrics=false", "--http-address=127.0.0.1"),
        *("--http-thread-count=2", "--log-info=false"),
        *options,
    )
    # Triton's own libraries, and those of this Python, which its stub loads.
    libraries = [*server.glob("**/external_libs"), Path(sys.base_prefix) / "lib"]
    return Launch(command, {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))})


def site_packages(python: Path) -> Path:
    """Where an environment's Python finds its packages."""
    return next(python.parent.parent.glob("lib/python*/site-packages"))
