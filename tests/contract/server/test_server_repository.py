"""A server of several models: each with its own versions, state, statistics and series."""

import shutil
from pathlib import Path

import pytest

from tests.contract.server.conftest import ServerProcess, StartServer

pytestmark = pytest.mark.contract


def lay(root: Path, name: str, version: str, *, model: Path) -> None:
    folder = root / name / version
    folder.mkdir(parents=True)
    shutil.copy(model, folder / "model.onnx")


def index(server: ServerProcess) -> list[tuple[str, str, str]]:
    found = server.call("/v2/repository/index", {}).fields
    return [(each["name"], each["version"], each["state"]) for each in found]


def ask(server: ServerProcess, path: str) -> dict:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    return server.call(f"/v2/models/{path}/infer", {"inputs": [x]}).fields


@pytest.fixture
def root(tmp_path: Path, models: Path) -> Path:
    """A repository of `a` in versions 2 and 10, and `b` in version 1."""
    for name, version in (("a", "2"), ("a", "10"), ("b", "1")):
        lay(tmp_path / "repository", name, version, model=models / "identity.onnx")
    return tmp_path / "repository"


def test_all_models_and_versions_are_served_beside_the_servers_own(
    start_server: StartServer, models: Path, root: Path
) -> None:
    server = start_server(models / "identity.onnx", model_repository=root).wait_until_ready()

    assert index(server) == [
        ("a", "2", "READY"),
        ("a", "10", "READY"),
        ("b", "1", "READY"),
        ("model", "1.3.0", "READY"),
    ]
    assert ask(server, "a")["model_version"] == "10"
    assert ask(server, "a/versions/2")["model_version"] == "2"
    assert ask(server, "model")["model_version"] == "1.3.0"
    assert server.call("/v2/models/a").fields["versions"] == ["2", "10"]
    counts = {
        (each["name"], each["version"]): each["inference_count"]
        for each in server.call("/v2/models/stats").fields["model_stats"]
    }
    assert counts == {("a", "2"): 1, ("a", "10"): 1, ("b", "1"): 0, ("model", "1.3.0"): 1}
    metrics = server.call("/metrics").body.decode()
    for name, version in (("a", "2"), ("a", "10"), ("model", "1.3.0")):
        labels = f'model="{name}",namespace="",protocol="rest",revision="r1",version="{version}"'
        assert f'slipway_server_requests_total{{code="200",deployment="",{labels}}} 1.0' in metrics


def test_a_model_that_cannot_be_loaded_ends_the_start_and_is_named(
    start_server: StartServer, root: Path
) -> None:
    (root / "b" / "1" / "model.onnx").write_text("no model")

    server = start_server("", model_name="", model_repository=root)

    assert server.wait() == 78
    words = server.termination.read_text()
    assert "model.onnx is not an ONNX model" in words
    assert "model 'b' 1 from b/1" in words


def test_without_an_end_on_errors_the_others_are_served_and_the_server_is_not_ready(
    start_server: StartServer, root: Path
) -> None:
    (root / "b" / "1" / "model.onnx").write_text("no model")

    server = start_server("", model_name="", model_repository=root, exit_on_error="false")
    lax = start_server(
        "", model_name="", model_repository=root, exit_on_error=0, strict_readiness=0
    ).wait_until_ready()

    assert ("b", "", "UNAVAILABLE") in index(lax)
    assert ask(lax, "a")["model_version"] == "10"
    assert lax.call("/v2/models/b/ready").status == 503
    assert "not loaded; the index says why" in ask(lax, "b")["error"]
    assert server.call("/v2/models/a/ready").status == 200
    assert server.call("/v2/health/ready").status == 503


def test_only_the_models_that_are_named_are_loaded(start_server: StartServer, root: Path) -> None:
    server = start_server("", model_name="", model_repository=root, load_models="b")

    server.wait_until_ready()

    assert index(server) == [("b", "1", "READY")]
    assert server.call("/v2/models/a").status == 404


def test_a_repository_without_any_model_is_no_reason_to_start(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    server = start_server("", model_name="", model_repository=tmp_path / "empty")

    assert server.wait() == 78
    assert "holds no model" in server.termination.read_text()
