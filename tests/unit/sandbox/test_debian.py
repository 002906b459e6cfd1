"""A program of a Debian package is taken from the cache, and what is wrong is said."""

from pathlib import Path

import pytest

from sandbox import debian
from sandbox.errors import SandboxError
from sandbox.places import Places
from sandbox.progress import silent


def test_what_was_unpacked_is_used_again(tmp_path: Path) -> None:
    program = tmp_path / "debian" / "prometheus" / "usr" / "bin" / "promtool"
    program.parent.mkdir(parents=True)
    program.touch()

    assert program == debian.ensure("promtool", places=Places(tmp_path), log=silent)


def test_a_folder_without_the_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "debian" / "prometheus").mkdir(parents=True)

    with pytest.raises(SandboxError, match=r"promtool is absent: remove .*/debian/prometheus"):
        debian.ensure("promtool", places=Places(tmp_path), log=silent)


def test_without_apt_it_says_what_to_unpack_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxError, match="Debian package prometheus, and here is no apt-get"):
        debian.ensure("prometheus", places=Places(tmp_path), log=silent)
