"""The command as a person uses it: what it prints works as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.server.conftest import DEADLINE_S, ROOT, until

pytestmark = pytest.mark.contract

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("crds", "server")),
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "slipway_server", *arguments]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_serve_prints_a_curl_that_works_and_ends_with_ctrl_c(models: Path, tmp_path: Path) -> None:
    screen = tmp_path / "screen"
    ports = ("--http-port", "0", "--grpc-port", "0")
    with screen.open("wb") as out:
        process = subprocess.Popen(
            command("serve", str(models / "identity.onnx"), *ports), env=ENVIRONMENT, stdout=out
        )
    try:
        until(lambda: "Ctrl-C ends it." in screen.read_text(), what="it says where it serves")
        line = re.search(r"^  (curl .*)$", screen.read_text(), re.MULTILINE)
        assert line is not None
        done = subprocess.run(
            ["sh", "-c", f"{line[1]} --silent"], capture_output=True, check=True, timeout=DEADLINE_S
        )
    finally:
        process.send_signal(2)
        code = process.wait(DEADLINE_S)

    assert json.loads(done.stdout)["model_name"] == "identity"
    assert code == 0


def test_serve_takes_a_folder_of_models(models: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "repository" / name / "1").mkdir(parents=True)
        target = tmp_path / "repository" / name / "1" / "model.onnx"
        target.write_bytes((models / "identity.onnx").read_bytes())
    screen = tmp_path / "screen"
    ports = ("--http-port", "0", "--grpc-port", "0", "--admin-port", "0")
    options = ("--model-repository", str(tmp_path / "repository"), "--load-model", "b", *ports)
    with screen.open("wb") as out:
        process = subprocess.Popen(command("serve", *options), env=ENVIRONMENT, stdout=out)
    try:
        until(lambda: "Ctrl-C ends it." in screen.read_text(), what="it says where it serves")
    finally:
        process.send_signal(2)
        process.wait(DEADLINE_S)

    text = screen.read_text()
    assert "b is served, version 1" in text
    assert "a is served" not in text
    assert re.search(r"^  admin 127\.0\.0\.1:\d+", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a MODEL or --model-repository DIR"),
        (("model.onnx", "--admin-port", "0"), "--admin-port is for the models of"),
    ],
)
def test_serve_wants_something_to_serve(arguments, words) -> None:
    done = ended("serve", *arguments)

    assert done.returncode == 2
    assert words in done.stderr


def test_inspect_tells_what_a_model_takes_and_gives(models: Path) -> None:
    text = ended("inspect", str(models / "identity.onnx"))
    fields = json.loads(ended("inspect", str(models / "identity.onnx"), "-o", "json").stdout)

    assert re.search(r"input +x +FP32 +\[-1, -1\]", text.stdout), text
    assert fields["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, -1]}]
    assert fields["batchable"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve", "/nowhere.onnx"), "/nowhere.onnx does not exist"),
        (("inspect", __file__), "not an ONNX model"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(arguments, words) -> None:
    done = ended(
        *arguments, *(("--http-port", "0", "--grpc-port", "0")[: 4 * (arguments[0] == "serve")])
    )

    assert done.returncode == 78
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_a_line(models: Path, identity_server) -> None:
    model, taken = str(models / "identity.onnx"), [str(port) for port in identity_server.ports]
    http = ended("serve", model, "--http-port", taken[0], "--grpc-port", "0")
    grpc = ended("serve", model, "--http-port", "0", "--grpc-port", taken[1])

    for done, port in ((http, taken[0]), (grpc, taken[1])):
        assert done.returncode == 75
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
        assert "Traceback" not in done.stderr
