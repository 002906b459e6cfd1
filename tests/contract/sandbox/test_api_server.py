"""The API server of contract tests: real, ready and gone afterwards."""

import subprocess
from pathlib import Path

import pytest

from sandbox.apiserver import ApiServer


def kubectl(server: ApiServer, *arguments: str) -> str:
    """Run kubectl as administrator."""
    done = subprocess.run(
        [server.kubectl, f"--kubeconfig={server.kubeconfig}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


@pytest.mark.contract
def test_an_administrator_may_do_everything(api_server: ApiServer) -> None:
    assert kubectl(api_server, "auth", "can-i", "*", "*").strip() == "yes"


@pytest.mark.contract
def test_nothing_is_left_running_after_the_block(tmp_path: Path) -> None:
    with ApiServer.start(tmp_path) as server:
        assert all(process.is_alive() for process in server.processes)

    assert not any(process.is_alive() for process in server.processes)
