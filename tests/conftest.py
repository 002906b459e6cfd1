"""Programs that several tests share. Everything here runs the real thing on loopback."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sandbox.apiserver import ApiServer
from sandbox.progress import Progress

# Before any test loads ONNX Runtime, which would report to its makers; inherited by what tests run.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Fail no test for the time that one example took: test machines are slow at times.

    `--hypothesis-profile=long` tries two hundred times as many examples.
    """
    settings.register_profile("patient", deadline=None)
    settings.register_profile("long", deadline=None, max_examples=20_000)
    settings.load_profile(config.getoption("--hypothesis-profile") or "patient")


def pytest_collection_finish() -> None:
    """Let the collector pass over what lives as long as the run: a tenth of the time otherwise."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Give a kube-apiserver with etcd and no controllers; tests share it, so use own names."""
    directory: Path = tmp_path_factory.mktemp("api-server")
    with ApiServer.start(directory, log=Progress()) as server:
        yield server
