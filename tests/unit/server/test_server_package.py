"""The package's files agree with what they were made from."""

import os
import runpy
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
