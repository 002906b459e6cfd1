"""The package's files agree with what they were made from."""

import os
import runpy
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import onnx

import slipway_server

ROOT = Path(slipway_server.__file__).parents[2]


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == slipway_server.VERSION


def test_the_identity_model_is_what_its_script_writes():
    script = runpy.run_path(str(ROOT / "server" / "identity_model.py"))

    assert script["identity"]() == onnx.load(script["PATH"])


def test_onnx_runtime_is_not_loaded_before_it_is_told_to_be_silent():
    code = "import sys, slipway_server.__main__; print('onnxruntime' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert asked.stdout == "False\n"


def test_it_ends_when_it_is_told_to_before_its_parts_are_loaded(tmp_path: Path):
    """The first process of a container hears only signals that it has a handler for."""
    slow = "import sys\nprint('loading', flush=True)\nsys.stdin.read()\n"
    (tmp_path / "onnxruntime.py").write_text(slow)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    with subprocess.Popen(
        [sys.executable, "-m", "slipway_server"],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == 0
