"""The real model server as a process on loopback, and models that behave and misbehave."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 30.0
ENDLESS = 2**62  # loop passes
OPSETS = [helper.make_opsetid("", 16)]


def until(claim: Callable[[], Any], *, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until the claim holds and return its value."""
    deadline = time.monotonic() + deadline_s
    while not (value := claim()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)
    return value


@dataclass
class Answer:
    """What came back over REST."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> Any:
        return json.loads(self.body)


@dataclass
class ServerProcess:
    """One server; `log` is its stderr, `ledger` its stdout, `termination` its last words."""

    process: subprocess.Popen[bytes]
    log: Path
    ledger: Path
    termination: Path
    name: str
    ports: tuple[int, int] = field(default=(0, 0))
    either_port: int = 0
    admin_port: int = 0

    def find_ports(self) -> None:
        pattern = re.compile(r"listening: HTTP (\d+), gRPC (\d+), either (\d+)(?:, admin (\d+))?")
        found = until(
            lambda: pattern.search(self.log.read_text()) or self.process.poll() is not None,
            what="the server listens",
        )
        if isinstance(found, re.Match):
            self.ports = (int(found[1]), int(found[2]))
            self.either_port = int(found[3])
            self.admin_port = int(found[4] or 0)

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.ports[1]}"

    def call(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET without a body, POST with one; bytes are sent as they are, all else as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        method = "GET" if content is None else "POST"
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=DEADLINE_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, named)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def infer(self, *inputs: dict[str, Any], **more: Any) -> Answer:
        return self.call(f"/v2/models/{self.name}/infer", {"inputs": list(inputs), **more})

    def is_ready(self) -> bool:
        try:
            return self.call("/v2/health/ready").status == 200
        except OSError:
            return False

    def wait_until_ready(self) -> "ServerProcess":
        until(
            lambda: self.is_ready() or self.process.poll() is not None, what="the server is ready"
        )
        assert self.process.poll() is None, self.log.read_text()
        return self

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        return self.process.wait(deadline_s)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


StartServer = Callable[..., ServerProcess]


def start(
    base: Path,
    uri: str | Path,
    *,
    environ: dict[str, str],
    within: Sequence[str] = (),
    **settings: Any,
) -> ServerProcess:
    """Start a server whose files are below `base`; `within`: a command that becomes it."""
    base.mkdir()
    name = settings.pop("model_name", "model")
    values = {
        "model_name": name,
        "model_version": "1.3.0",
        "model_uri": uri if isinstance(uri, str) else f"file://{uri}",  # empty: none
        "revision": "r1",
        "host": "127.0.0.1",
        "http_port": 0,
        "grpc_port": 0,
        "any_port": 0,
        "grace_s": 0,
        "model_dir": base / "model",
        "termination_log": base / "termination",
        **settings,
    }
    variables = {f"SLIPWAY_SERVER_{key.upper()}": str(value) for key, value in values.items()}
    path = os.pathsep.join(str(ROOT / folder) for folder in ("crds", "server"))
    log, ledger = base / "log", base / "ledger"
    with log.open("wb") as stderr, ledger.open("wb") as stdout:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "slipway_server"],
            env={**os.environ, "PYTHONPATH": path, **variables, **environ},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    return ServerProcess(process, log, ledger, base / "termination", name)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers with settings given as keywords; all end with the test."""
    started: list[ServerProcess] = []

    def start_one(
        uri: str | Path, *, environ: dict[str, str] | None = None, **settings: Any
    ) -> ServerProcess:
        base = tmp_path / f"server-{len(started)}"
        started.append(start(base, uri, environ=environ or {}, **settings))
        started[-1].find_ports()
        return started[-1]

    yield start_one
    for server in started:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def identity_server(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server for all tests that only ask it something."""
    base = tmp_path_factory.mktemp("identity") / "server"
    server = start(base, models / "identity.onnx", environ={})
    server.find_ports()
    yield server.wait_until_ready()
    server.process.kill()
    server.process.wait()


def save(path: Path, graph: onnx.GraphProto) -> Path:
    onnx.save(helper.make_model(graph, opset_imports=OPSETS, ir_version=8), path)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: identity, busy, fragile, typed, typed_bf16, mixed."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "busy.onnx", busy_graph())
    save(folder / "fragile.onnx", fragile_graph())
    save(folder / "typed.onnx", typed_graph(TYPES))
    save(folder / "typed_bf16.onnx", typed_graph(BF16))
    save(folder / "mixed.onnx", typed_graph(BF16 | {"BYTES": TensorProto.STRING}))
    identity = ROOT / "server" / "slipway_server" / "share" / "identity.onnx"
    (folder / "identity.onnx").write_bytes(identity.read_bytes())
    return folder


def busy_graph() -> onnx.GraphProto:
    """`y` = `x` after `passes` empty loop passes: as long a computation as the request asks for."""
    scalar = TensorProto.INT64
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["carried", "one"], ["counted"]),
        ],
        "pass",
        [
            helper.make_tensor_value_info("index", scalar, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [None]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, [None]),
        ],
        [numpy_helper.from_array(np.array([0], np.float32), "one")],
    )
    loop = helper.make_node("Loop", ["passes", "", "x"], ["y"], body=body)
    return helper.make_graph(
        [loop],
        "busy",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None]),
            helper.make_tensor_value_info("passes", scalar, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )


def fragile_graph() -> onnx.GraphProto:
    """`y` = the element of a table of three at `index`: fails inside for any other index."""
    return helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["y"])],
        "fragile",
        [helper.make_tensor_value_info("index", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([1, 2, 3], np.float32), "table")],
    )


TYPES = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

BF16 = {"BF16": TensorProto.BFLOAT16}  # a model of its own: it may not stand beside BYTES


def typed_graph(types: dict[str, int]) -> onnx.GraphProto:
    """One input `in_<datatype>` and one output `out_<datatype>` of each datatype, copied."""
    return helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in types],
        "typed",
        [helper.make_tensor_value_info(f"in_{n}", t, [None]) for n, t in types.items()],
        [helper.make_tensor_value_info(f"out_{n}", t, [None]) for n, t in types.items()],
    )
