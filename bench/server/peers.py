"""Servers that are measured: how each is started, and what it costs while it runs.

All of a server's processes run on one processor. Each program is in a session of its own, by which
its processes are found, and ended.
"""

import json
import os
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

from bench.server import programs
from bench.server.models import Sample
from sandbox import venvs
from sandbox.places import checkout
from sandbox.progress import Log

PROCESSOR: Final = 0
_STARTED_S: Final = 60.0
_LOOK_S: Final = 0.005
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts a server: a command, and what is added to the environment."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be served, where, by which Python; `folder` is for the server's own files."""

    folder: Path
    sample: Sample
    port: int
    python: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A server by name; `write` writes its files and tells how to start it.

    `requirements` is its file of `requirements/`, empty for the project's own environment.
    """

    name: str
    write: Callable[[Order], Launch]
    requirements: str = ""
    is_batching: bool = False
    has_binary: bool = False

    def python(self, log: Log) -> Path:
        """The Python that it runs in, installed where it is absent."""
        if not self.requirements:
            return Path(sys.executable)
        why = f"{self.name}, which ours is measured beside"
        return venvs.ensure(self.requirements, why=why, log=log) / "bin" / "python"


class Running:
    """A server that has been started."""

    def __init__(self, peer: Peer, launch: Launch, *, port: int, log: Path) -> None:
        self.peer = peer
        self.url = f"http://127.0.0.1:{port}"
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
        self._await_ready(began_s + _STARTED_S)
        self.start_s = time.monotonic() - began_s

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(float(fields[11]) + float(fields[12]) for fields in self._stats()) / _TICKS

    def rss_mb(self) -> float:
        """Resident memory of all its processes; what they share is counted in each."""
        return sum(int(fields[21]) for fields in self._stats()) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def ask(self, sample: Sample) -> list[float]:
        """The outputs for the sample's row."""
        request = urllib.request.Request(
            f"{self.url}/v2/models/{_MODEL}/infer",
            sample.json_body,
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: list[float] = json.loads(answer.read())["outputs"][0]["data"]
            return data

    def end(self) -> None:
        """End every process of it."""
        for pid in self._pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    def _await_ready(self, deadline_s: float) -> None:
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(_LOOK_S)
        self.end()
        tail = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.peer.name} is not ready on {self.url}:\n{tail}")

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
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _slipway(batch_size: int) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        settings = {
            "MODEL_NAME": _MODEL,
            "MODEL_URI": f"file://{order.sample.path}",
            "MODEL_DIR": str(order.folder / "bytes"),
            "TERMINATION_LOG": str(order.folder / "termination"),
            "HOST": "127.0.0.1",
            "HTTP_PORT": str(order.port),
            "GRPC_PORT": "0",
            "ANY_PORT": "0",
            "MAX_BATCH_SIZE": str(batch_size),
        }
        path = os.pathsep.join(str(checkout() / name) for name in ("crds", "server"))
        environment = {f"SLIPWAY_SERVER_{name}": value for name, value in settings.items()}
        return Launch((order.python, "-m", "slipway_server"), environment | {"PYTHONPATH": path})

    return write


def _script(text: str) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        file = order.folder / "serve.py"
        file.write_text(text)
        return Launch((order.python, file, order.sample.path, str(order.port)), {})

    return write


def _mlserver(order: Order) -> Launch:
    (order.folder / "model.py").write_text(programs.MLSERVER)
    model = {
        "name": _MODEL,
        "implementation": "model.Onnx",
        "parameters": {"uri": str(order.sample.path)},
    }
    (order.folder / "model-settings.json").write_text(json.dumps(model))
    settings = {
        "host": "127.0.0.1",
        "http_port": order.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,  # its default costs more than half of the throughput on one core
        "debug": False,
    }
    (order.folder / "settings.json").write_text(json.dumps(settings))
    return Launch((order.python.parent / "mlserver", "start", order.folder), {})


def _triton(batching: str) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        model = order.folder / "models" / _MODEL
        (model / "1").mkdir(parents=True)
        packages = next(order.python.parent.parent.glob("lib/python*/site-packages"))
        (model / "1" / "model.py").write_text(
            programs.TRITON.format(path=str(order.sample.path), packages=str(packages))
        )
        inputs = list(order.sample.row.shape[1:])
        config = programs.TRITON_CONFIG.format(inputs=inputs, batching=batching)
        (model / "config.pbtxt").write_text(config)
        triton = packages / "pytriton" / "tritonserver"
        backend = order.folder / "backends" / "python"
        backend.mkdir(parents=True)
        stubs = triton / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}"
        for file in (*(triton / "backends" / "python").iterdir(), *stubs.iterdir()):
            (backend / file.name).symlink_to(file)
        command = (
            triton / "bin" / "tritonserver",
            f"--model-repository={order.folder / 'models'}",
            f"--backend-directory={order.folder / 'backends'}",
            f"--http-port={order.port}",
            *("--allow-grpc=false", "--allow-metrics=false", "--http-address=127.0.0.1"),
            *("--http-thread-count=2", "--log-info=false"),
        )
        return Launch(command, {"LD_LIBRARY_PATH": _libraries(triton)})

    return write


def _libraries(triton: Path) -> str:
    """Triton's own, and those of this Python, which its stub loads."""
    folders = [*triton.glob("**/external_libs"), Path(sys.base_prefix) / "lib"]
    return os.pathsep.join(map(str, folders))


PEERS: Final[tuple[Peer, ...]] = (
    Peer("naive", _script(programs.NAIVE)),
    Peer("slipway", _slipway(1), has_binary=True),
    Peer("slipway", _slipway(32), is_batching=True, has_binary=True),
    Peer("kserve", _script(programs.KSERVE), "peer-kserve.txt", has_binary=True),
    Peer("mlserver", _mlserver, "peer-mlserver.txt"),
    Peer("triton", _triton(""), "peer-triton.txt", has_binary=True),
    Peer(
        "triton",
        _triton("dynamic_batching { max_queue_delay_microseconds: 2000 }"),
        "peer-triton.txt",
        is_batching=True,
        has_binary=True,
    ),
)
