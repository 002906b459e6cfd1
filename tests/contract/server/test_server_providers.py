"""What runs a model, where users look: log, configuration, metrics, `inspect`, last words."""

import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import tritonclient.grpc as grpc_client

from tests.contract.server.conftest import DEADLINE_S, StartServer
from tests.contract.server.test_server_cli import ENVIRONMENT

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(
        "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
        reason="this is onnxruntime-gpu: what it falls back to depends on the machine",
    ),
]
WHY = "install onnxruntime-gpu in its place"


def test_a_fallback_is_reported_everywhere(start_server: StartServer, models: Path) -> None:
    server = start_server(models / "identity.onnx", provider="cuda").wait_until_ready()

    said = "model 'model' 1.3.0 runs on cpu, asked for was cuda: no cuda: this is onnxruntime"
    assert said in server.log.read_text()
    config = server.call("/v2/models/model/config").fields
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    assert (parameters["provider_asked"], parameters["provider_used"]) == ("cuda", "cpu")
    assert WHY in parameters["provider_reason"]
    assert config["instance_group"][0]["kind"] == "KIND_CPU"
    client = grpc_client.InferenceServerClient(server.grpc_address)
    over_grpc = client.get_model_config("model").config
    assert over_grpc.parameters["provider_used"].string_value == "cpu"
    client.close()
    metrics = server.call("/metrics").body.decode()
    (line,) = [each for each in metrics.splitlines() if each.startswith("slipway_server_provider")]
    assert 'asked="cuda"' in line
    assert 'used="cpu"' in line


def test_who_insists_gets_an_end_that_says_why(start_server: StartServer, models: Path) -> None:
    server = start_server(models / "identity.onnx", provider="tensorrt", provider_fallback="false")

    assert server.wait() == 78
    assert "the provider tensorrt is asked for" in server.termination.read_text()


def test_inspect_shows_what_would_run_the_model(models: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slipway_server", "inspect", str(models / "identity.onnx"),
         "--provider", "auto", "--threads", "1", "-o", "json"],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
    )  # fmt: skip

    found = json.loads(done.stdout)["provider"]
    assert (found["asked"], found["used"]) == ("auto", "cpu")
    assert WHY in found["reason"]
