"""Servers that the suite is pointed at by name: each is started once for each model.

What a server must have written for it is here, what that does with a request in `programs`.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.conformance import models, programs
from bench.conformance.models import NAMES, VERSION, Kind
from bench.conformance.runner import Target
from bench.server import processes
from bench.server.processes import Launch, Process
from sandbox import venvs
from sandbox.progress import Log

_ALL: Final = tuple(Kind)
# Neither the protocol's list of datatypes nor that of these servers has BF16.
_WITHOUT_BF16: Final = tuple(kind for kind in Kind if kind is not Kind.BF16)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be served, where, by which Python; `folder` is for the server's own files."""

    folder: Path
    kind: Kind
    path: Path
    python: Path
    port: int
    grpc_port: int
    admin_port: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: `write` writes its files and tells how to start it; `kinds` it can serve.

    `requirements` is its file of `requirements/`, empty for the project's own environment.
    `admin` tells the ports at which it loads and unloads, over REST and gRPC.
    """

    write: Callable[[Order], Launch]
    requirements: str = ""
    kinds: Sequence[Kind] = _ALL
    admin: Callable[[Order], tuple[int, int]] | None = None


@contextmanager
def exported() -> Iterator[Path]:
    """A folder with all models, while it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        models.export(Path(folder))
        yield Path(folder)


@contextmanager
def serving(name: str, kind: Kind, *, repository: Path, log: Log) -> Iterator[Target]:
    """Start a server with one of the exported models; end it after."""
    peer = PEERS[name]
    python = Path(sys.executable)
    if peer.requirements:
        why = f"{name}, which is tried"
        python = venvs.ensure(peer.requirements, why=why, log=log) / "bin" / "python"
    with tempfile.TemporaryDirectory() as scratch:
        path = repository / NAMES[kind] / VERSION / "model.onnx"
        port, grpc_port = processes.free_port(), processes.free_port()
        admin_port = processes.free_port()
        order = Order(Path(scratch), kind, path, python, port, grpc_port, admin_port)
        launch = peer.write(order)
        server = Process(
            name, launch, port=port, grpc_port=grpc_port, log=order.folder / "server.log"
        )
        try:
            target = Target(server.url, f"127.0.0.1:{grpc_port}")
            if peer.admin is not None:
                rest, rpc = (f"127.0.0.1:{each}" for each in peer.admin(order))
                target = replace(target, admin=f"http://{rest}", admin_grpc=rpc)
            yield target
        finally:
            server.end()


def _slipway(order: Order) -> Launch:
    settings: dict[str, str | int] = {
        "MODEL_REPOSITORY": str(order.path.parents[2]),
        "LOAD_MODELS": NAMES[order.kind],
        "ADMIN_PORT": order.admin_port,
        "HTTP_PORT": order.port,
        "GRPC_PORT": order.grpc_port,
    }
    return processes.slipway(order.python, order.folder, settings)


def _kserve(order: Order) -> Launch:
    file = order.folder / "serve.py"
    file.write_text(programs.KSERVE)
    ports = (str(order.port), str(order.grpc_port))
    return Launch((order.python, file, NAMES[order.kind], order.path, *ports), {})


def _mlserver(order: Order) -> Launch:
    (order.folder / "model.py").write_text(programs.MLSERVER)
    model = {
        "name": NAMES[order.kind],
        "implementation": "model.Onnx",
        "platform": "onnx",
        "versions": [VERSION],
        "parameters": {"uri": str(order.path), "version": VERSION},
    }
    (order.folder / "model-settings.json").write_text(json.dumps(model))
    settings = {
        "host": "127.0.0.1",
        "http_port": order.port,
        "grpc_port": order.grpc_port,
        "metrics_port": processes.free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (order.folder / "settings.json").write_text(json.dumps(settings))
    return Launch((order.python.parent / "mlserver", "start", order.folder), {})


def _triton(order: Order) -> Launch:
    model = order.folder / "models" / NAMES[order.kind]
    (model / VERSION).mkdir(parents=True)
    program = programs.TRITON.format(
        packages=str(processes.site_packages(order.python)),
        path=str(order.path),
        is_bf16=order.kind is Kind.BF16,
    )
    (model / VERSION / "model.py").write_text(program)
    (model / "config.pbtxt").write_text(models.configuration(order.kind, backend="python"))
    options = (
        f"--http-port={order.port}",
        f"--grpc-port={order.grpc_port}",
        "--grpc-address=127.0.0.1",
        "--model-control-mode=explicit",
        f"--load-model={NAMES[order.kind]}",
    )
    return processes.triton(order.python, order.folder, options)


PEERS: Final[dict[str, Peer]] = {
    "slipway": Peer(_slipway, admin=lambda order: (order.admin_port, order.admin_port)),
    "kserve": Peer(_kserve, "peer-kserve.txt", _WITHOUT_BF16),
    "mlserver": Peer(_mlserver, "peer-mlserver.txt", _WITHOUT_BF16),
    "triton": Peer(_triton, "peer-triton.txt", admin=lambda order: (order.port, order.grpc_port)),
}
