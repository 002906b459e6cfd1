"""Servers that are measured: how each is started, and how it is asked."""

import json
import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.server import grpc_load, load, processes, programs
from bench.server.load import Load
from bench.server.models import Sample
from bench.server.processes import Launch, Process
from sandbox import venvs
from sandbox.progress import Log
from slipway_server.distributions import survey

_MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be served, where, by which Python; `folder` is for the server's own files."""

    folder: Path
    sample: Sample
    port: int
    grpc_port: int
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
    has_grpc: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """What it is measured with."""
        more = {"binary": self.has_binary, "grpc": self.has_grpc}
        return ("json", *(name for name, is_there in more.items() if is_there))

    def python(self, log: Log) -> Path:
        """The Python that it runs in, installed where it is absent."""
        if not self.requirements:
            return Path(sys.executable)
        why = f"{self.name}, which ours is measured beside"
        return venvs.ensure(self.requirements, why=why, log=log) / "bin" / "python"


class Running(Process):
    """A server that has been started with a sample's model."""

    def __init__(self, peer: Peer, launch: Launch, *, order: Order) -> None:
        self.peer = peer
        self._address = f"127.0.0.1:{order.grpc_port}"
        super().__init__(
            peer.name,
            launch,
            port=order.port,
            grpc_port=order.grpc_port if peer.has_grpc else None,
            log=order.folder / "log",
        )

    def ask(self, sample: Sample, protocol: str = "json") -> list[float]:
        """The outputs for the sample's row."""
        if protocol == "grpc":
            return grpc_load.ask(self._address, sample).values
        request = urllib.request.Request(
            f"{self.url}/v2/models/{_MODEL}/infer",
            sample.json_body,
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: list[float] = json.loads(answer.read())["outputs"][0]["data"]
            return data

    def load(self, sample: Sample, protocol: str, *, concurrency: int, seconds: int) -> Load:
        """Keep so many requests in flight for so long."""
        if protocol == "grpc":
            answer = grpc_load.ask(self._address, sample)
            return grpc_load.send(
                self._address, sample, answer=answer, concurrency=concurrency, seconds=seconds
            )
        is_binary = protocol == "binary"
        return load.send(
            self.url, sample, binary=is_binary, concurrency=concurrency, seconds=seconds
        )


def _slipway(batch_size: int, **more: str | int) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        settings: dict[str, str | int | Path] = {
            "MODEL_NAME": _MODEL,
            "MODEL_URI": f"file://{order.sample.path}",
            "HTTP_PORT": order.port,
            "GRPC_PORT": order.grpc_port,
            "MAX_BATCH_SIZE": batch_size,
            **more,
        }
        return processes.slipway(order.python, order.folder, settings)

    return write


def _counting(rows_per_s: int) -> Callable[[Order], Launch]:
    """Ours, counting what it sees by a profile of all columns of the input."""

    def write(order: Order) -> Launch:
        file = order.folder / "profile.json"
        rows = np.random.default_rng(0).random((1000, order.sample.row.shape[1]), np.float32)
        columns = [survey.Column(f"x[{i}]", rows[:, i], "x", i) for i in range(rows.shape[1])]
        file.write_text(survey.profile(columns)[0].model_dump_json(exclude_none=True))
        return _slipway(32, SAMPLED_ROWS_PER_S=rows_per_s, PROFILE=str(file))(order)

    return write


def _script(text: str) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        file = order.folder / "serve.py"
        file.write_text(text)
        ports = (str(order.port), str(order.grpc_port))
        return Launch((order.python, file, order.sample.path, *ports), {})

    return write


def _granian(order: Order) -> Launch:
    (order.folder / "serve.py").write_text(programs.GRANIAN)
    command = (
        *(order.python, "-m", "granian", "--interface=rsgi", "--loop=uvloop", "--no-ws"),
        *("--workers=1", "--runtime-threads=1", "--host=127.0.0.1", f"--port={order.port}"),
        *("--log-level=error", f"--working-dir={order.folder}", "serve:app"),
    )
    folders = (*processes.SOURCES, order.folder)
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "MODEL": str(order.sample.path),
    }
    return Launch(command, environment)


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
        "grpc_port": order.grpc_port,
        "metrics_port": processes.free_port(),
        "parallel_workers": 0,  # its default costs more than half of the throughput on one core
        "debug": False,
    }
    (order.folder / "settings.json").write_text(json.dumps(settings))
    return Launch((order.python.parent / "mlserver", "start", order.folder), {})


def _triton(batching: str) -> Callable[[Order], Launch]:
    def write(order: Order) -> Launch:
        model = order.folder / "models" / _MODEL
        (model / "1").mkdir(parents=True)
        packages = processes.site_packages(order.python)
        (model / "1" / "model.py").write_text(
            programs.TRITON.format(path=str(order.sample.path), packages=str(packages))
        )
        inputs = list(order.sample.row.shape[1:])
        config = programs.TRITON_CONFIG.format(inputs=inputs, batching=batching)
        (model / "config.pbtxt").write_text(config)
        options = (
            f"--http-port={order.port}",
            *("--grpc-address=127.0.0.1", f"--grpc-port={order.grpc_port}"),
        )
        return processes.triton(order.python, order.folder, options)

    return write


_ALL_ROWS: Final = 10**9
# What counting features and predictions costs: without, as it is by default, and of every row.
COUNTING: Final[tuple[Peer, ...]] = (
    Peer("uncounted", _slipway(32, SAMPLED_ROWS_PER_S=0), is_batching=True),
    Peer("sampled", _counting(1000), is_batching=True),
    Peer("all-counted", _counting(_ALL_ROWS), is_batching=True),
)
PEERS: Final[tuple[Peer, ...]] = (
    Peer("naive", _script(programs.NAIVE)),
    Peer("slipway", _slipway(1), has_binary=True, has_grpc=True),
    Peer("slipway", _slipway(32), is_batching=True, has_binary=True, has_grpc=True),
    # Our inference path behind another HTTP server: Rust where ours has httptools and Python.
    Peer(
        "granian",
        _granian,
        "peer-granian.txt",
        is_batching=True,
        has_binary=True,
    ),
    Peer("kserve", _script(programs.KSERVE), "peer-kserve.txt", has_binary=True, has_grpc=True),
    Peer("mlserver", _mlserver, "peer-mlserver.txt", has_grpc=True),
    Peer("triton", _triton(""), "peer-triton.txt", has_binary=True, has_grpc=True),
    Peer(
        "triton",
        _triton("dynamic_batching { max_queue_delay_microseconds: 2000 }"),
        "peer-triton.txt",
        is_batching=True,
        has_binary=True,
        has_grpc=True,
    ),
)
