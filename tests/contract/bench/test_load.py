"""The load generator against the real model server, without a router in between."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from bench import ledger, models

pytestmark = pytest.mark.contract

CHECKOUT = Path(__file__).parents[3]
READY_S = 20.0
PYTHONPATH = os.pathsep.join(str(CHECKOUT / part) for part in ("crds", "server", "."))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return models.make(tmp_path_factory.mktemp("models"))


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def serve(catalogue, tmp_path):
    """Return a function that starts the model server: its two ports and the process."""
    started = []

    def start(bytes_of, *, version=None):
        http, grpc = free_ports(2)
        release = catalogue.release(models.TUMOUR, bytes_of)
        version = version or bytes_of
        settings = {
            "MODEL_NAME": release.model,
            "MODEL_VERSION": version,
            "MODEL_URI": f"file://{catalogue.folder / release.file}",
            "MODEL_DIGEST": release.digest,
            "MODEL_DIR": str(tmp_path),
            "TERMINATION_LOG": str(tmp_path / "termination"),
            "REVISION": f"tumour-{version}",
            "HOST": "127.0.0.1",
            "HTTP_PORT": str(http),
            "GRPC_PORT": str(grpc),
            "GRACE_S": "0",
        }
        environment = {f"SLIPWAY_SERVER_{name}": value for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "slipway_server"],
            env=os.environ | environment | {"PYTHONPATH": PYTHONPATH},
        )
        started.append(process)
        await_ready(http, process)
        return http, grpc, process

    yield start
    for process in started:
        process.kill()
        process.wait()


def await_ready(port, process):
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    pytest.fail("the model server did not become ready")


def start_load(catalogue, path, *, ports, rate, seconds, more=(), **how):
    command = [sys.executable, "-m", "bench.load", f"http://127.0.0.1:{ports[0]}"]
    command += ["--grpc", f"127.0.0.1:{ports[1]}", "--model", models.TUMOUR]
    command += ["--samples", str(catalogue.samples(models.TUMOUR)), "--ledger", str(path)]
    command += ["--rate", str(rate), "--seconds", str(seconds), *more]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": PYTHONPATH}, **how)


def split(path):
    lines = ledger.read(path)
    requests = [line for line in lines if isinstance(line, ledger.Request)]
    (end,) = [line for line in lines if isinstance(line, ledger.LoadEnd)]
    return requests, end


def test_right_answers_over_both_protocols_at_the_asked_rate(catalogue, serve, tmp_path):
    http, grpc, _ = serve("1.1.0")
    path = tmp_path / "ledger.jsonl"

    process = start_load(catalogue, path, ports=(http, grpc), rate=100, seconds=3)

    assert process.wait(30) == 0
    requests, end = split(path)
    assert end.requests == 300
    assert Counter((each.protocol, each.status) for each in requests) == {
        ("rest", 200): 150,
        ("grpc", "OK"): 150,
    }
    assert {(each.revision, each.version, each.wrong) for each in requests} == {
        ("tumour-1.1.0", "1.1.0", False)
    }


def test_errors_are_answers_not_losses(catalogue, serve, tmp_path):
    http, grpc, _ = serve("1.2.0")
    path = tmp_path / "ledger.jsonl"

    process = start_load(catalogue, path, ports=(http, grpc), rate=100, seconds=1)

    assert process.wait(30) == 0
    requests, _ = split(path)
    assert Counter((each.protocol, each.status) for each in requests) == {
        ("rest", 500): 50,
        ("grpc", "INTERNAL"): 50,
    }
    assert all(each.received is not None and not each.wrong for each in requests)


def test_a_version_that_claims_to_be_another_is_wrong(catalogue, serve, tmp_path):
    """Version 1.0.0's bytes under the name of 1.1.0: the answers' numbers give it away."""
    http, grpc, _ = serve("1.0.0", version="1.1.0")
    path = tmp_path / "ledger.jsonl"

    process = start_load(catalogue, path, ports=(http, grpc), rate=100, seconds=1)

    assert process.wait(30) == 0
    requests, _ = split(path)
    assert all(each.wrong for each in requests)


def test_requests_without_an_answer_are_lost(catalogue, serve, tmp_path):
    http, grpc, server = serve("1.1.0")
    path = tmp_path / "ledger.jsonl"

    process = start_load(catalogue, path, ports=(http, grpc), rate=100, seconds=3)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size):
        time.sleep(0.02)
    server.kill()

    assert process.wait(30) == 0
    requests, end = split(path)
    lost = [each for each in requests if each.received is None]
    assert len(requests) == end.requests == 300
    assert {each.protocol for each in lost} == {"rest", "grpc"}
    assert {each.status for each in requests if each not in lost} <= {200, "OK"}
    assert all(each.status is None and each.error for each in lost)
    # After the end of the process nobody takes connections.
    assert any(not each.is_connected for each in lost if each.protocol == "rest")
    assert any(not each.is_connected for each in lost if each.protocol == "grpc")
    assert all(each.is_connected for each in requests if each not in lost)


def test_the_end_of_input_ends_the_load(catalogue, serve, tmp_path):
    http, grpc, _ = serve("1.1.0")
    path = tmp_path / "ledger.jsonl"

    process = start_load(
        catalogue,
        path,
        ports=(http, grpc),
        rate=50,
        seconds=600,
        more=("--stop-on-eof",),
        stdin=subprocess.PIPE,
    )
    process.communicate(timeout=20)

    assert process.returncode == 0
    requests, end = split(path)
    assert len(requests) == end.requests < 1000
