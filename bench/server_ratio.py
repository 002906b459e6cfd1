"""Our model server against thirty lines of FastAPI, per CPU second; `python bench/server_ratio.py`.

Both serve the same scikit-learn model to the same load in alternating rounds. Requests are
divided by the CPU time of the server's process, so a busy machine changes the ratio little.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONNECTIONS: Final = 32
_START_S: Final = 60.0

# What a team writes first: pydantic lists, a sync endpoint in FastAPI's thread pool.
NAIVE: Final = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

class Input(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[list[float]]

class Request(BaseModel):
    inputs: list[Input]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
app = FastAPI()

@app.get("/v2/health/ready")
def ready():
    return {"ready": True}

@app.post("/v2/models/model/infer")
def infer(request: Request):
    feed = {i.name: np.array(i.data, np.float32) for i in request.inputs}
    outputs = zip(session.get_outputs(), session.run(None, feed))
    return {"outputs": [{"name": o.name, "data": a.ravel().tolist()} for o, a in outputs]}

uvicorn.run(app, port=int(sys.argv[2]), http="httptools", loop="uvloop", access_log=False)
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that runs."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """CPU time of the process so far, all threads (proc(5), fields 14 and 15)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print requests per CPU second of each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, body = _export(Path(folder))
        contestants = [_start_slipway(model), _start_naive(model)]
        try:
            for contestant in contestants:
                _await_ready(contestant.port)
            rates = _measure(contestants, body, rounds=options.rounds, seconds=options.seconds)
        finally:
            for contestant in contestants:
                contestant.process.kill()
                contestant.process.wait()
    ratios = [ours / naive for ours, naive in zip(*rates, strict=True)]
    for contestant, per_cpu_s in zip(contestants, rates, strict=True):
        print(f"{contestant.name}: {statistics.median(per_cpu_s):,.0f} requests per CPU second")
    print(f"ratio: {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})")
    return 0


def _export(folder: Path) -> tuple[Path, bytes]:
    import skl2onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    rows, labels = load_breast_cancer(return_X_y=True)
    classifier = LogisticRegression(max_iter=100).fit(rows / rows.max(axis=0), labels)
    sample = rows[:1].astype("float32")
    exported = skl2onnx.to_onnx(classifier, sample, options={"zipmap": False}, target_opset=17)
    path = folder / "model.onnx"
    path.write_bytes(exported.SerializeToString())
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 30], "data": sample.tolist()}
    return path, json.dumps({"inputs": [tensor]}).encode()


def _start_slipway(model: Path) -> Contestant:
    port = _free_port()
    settings = {
        "MODEL_NAME": "model",
        "MODEL_URI": f"file://{model}",
        "HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "GRPC_PORT": "0",
    }
    environ = {f"SLIPWAY_SERVER_{name}": value for name, value in settings.items()}
    path = os.pathsep.join(str(ROOT / folder) for folder in ("crds", "server"))
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway_server"],
        env={**os.environ, "PYTHONPATH": path, **environ},
    )
    return Contestant("slipway-server", process, port)


def _start_naive(model: Path) -> Contestant:
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-c", NAIVE, str(model), str(port)])
    return Contestant("naive FastAPI", process, port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"GET /v2/health/ready HTTP/1.0\r\n\r\n")
                if b" 200 " in connection.recv(100):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"no server is ready on port {port}")


def _measure(
    contestants: list[Contestant], body: bytes, *, rounds: int, seconds: float
) -> list[list[float]]:
    rates: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds + 1):
        for index, contestant in enumerate(contestants):
            before_s = contestant.cpu_s()
            count = asyncio.run(_load(contestant.port, body, seconds))
            rates[index].append(count / (contestant.cpu_s() - before_s))
    return [rate[1:] for rate in rates]  # the first round warms up


async def _load(port: int, body: bytes, seconds: float) -> int:
    """Answers received by all connections; fails on any that is not 200."""
    head = (
        "POST /v2/models/model/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    end_s = time.monotonic() + seconds
    clients = (_client(port, head.encode() + body, end_s) for _ in range(CONNECTIONS))
    return sum(await asyncio.gather(*clients))


async def _client(port: int, request: bytes, end_s: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < end_s:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-len")]
        await reader.readexactly(int(lengths[0].split(b":")[1]))
        count += 1
    writer.close()
    return count


if __name__ == "__main__":
    sys.exit(main())
