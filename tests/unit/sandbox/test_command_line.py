"""`./dev`: its commands, its locks and what it says when something is missing."""

import os
from pathlib import Path

import pytest

from sandbox import cli, commands, locks, packages, places
from sandbox.cluster import Cluster
from sandbox.errors import SandboxError
from sandbox.packages import Package
from sandbox.progress import silent


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep these tests away from real clusters."""
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def test_without_clusters_status_says_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 0
    assert "./dev up" in capsys.readouterr().out


def test_settings_of_a_cluster_that_is_not_there_are_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["env", "--name", "absent"]) == 1
    assert "no cluster 'absent'" in capsys.readouterr().err


def test_a_client_without_a_command_is_told_what_to_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["client", "--"]) == 1
    assert "./dev client -- CMD" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["churn", "/churn", "ml/"])
def test_curl_wants_a_namespace_and_a_name(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["curl", target, "/v2"]) == 1
    assert "NAMESPACE/NAME" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 41])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SandboxError, match="no name for a cluster"):
        Cluster.create(name)


def test_every_lock_file_has_its_extras_in_pyproject() -> None:
    found = {path.stem for path in (places.checkout() / "requirements").glob("*.txt")}

    assert set(commands.LOCKS) == found


def test_locked_requirements_name_no_registry() -> None:
    for path in (places.checkout() / "requirements").glob("*.txt"):
        assert "://" not in path.read_text(), path


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(
        SandboxError, match="apt-get install --no-install-recommends absent-package"
    ):
        packages.ensure([Package("absent-package", "absent-program", "a test")], log=silent)


def test_a_program_that_is_there_needs_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    packages.ensure([Package("dash", "sh", "a test")], log=silent)


def test_a_lock_that_is_held_names_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "one.lock"

    with (
        locks.held(lock, log=silent),
        pytest.raises(locks.LockHeldError, match=f"process {os.getpid()}"),
        locks.held(lock, log=silent, timeout_s=0.0),
    ):
        pass


def test_a_lock_that_was_let_go_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with locks.held(tmp_path / "one.lock", log=silent, timeout_s=0.0):
            pass
