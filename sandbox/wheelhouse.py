"""A directory of the wheels that the images install, fetched on the host.

The build's root file system has neither the host's pip settings nor its certificates, so the host
downloads (pip's own settings apply, every file checked against its locked hash) and the build
installs from the directory.
"""

import hashlib
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sandbox import programs
from sandbox.progress import Log, step

# What the sandbox's base image runs: Debian 12's Python and C library.
PYTHON_VERSION: Final = "3.11"
GLIBC_MINOR: Final = 36
GLIBC_MINOR_OLDEST: Final = 5  # manylinux1, the oldest platform that wheels are tagged with

VENV_TIMEOUT_S: Final = 120.0
DOWNLOAD_TIMEOUT_S: Final = 900.0


def ensure(folder: Path, requirements: Iterable[Path], *, log: Log) -> Path:
    """Put every wheel that the locked `requirements` files name into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in requirements:
        complete = folder / f".complete-{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
        if complete.exists():
            continue
        pip = _pip(folder.with_name(f"{folder.name}-pip"))
        with step(f"downloading the wheels of {file.name}", log=log):
            programs.run([*pip, *_download(file, folder)], timeout_s=DOWNLOAD_TIMEOUT_S)
        complete.touch()
    return folder


def _download(file: Path, folder: Path) -> list[str | Path]:
    platforms = [part for tag in platform_tags() for part in ("--platform", tag)]
    return [
        "download",
        "--quiet",
        "--require-hashes",
        "--only-binary=:all:",
        f"--python-version={PYTHON_VERSION}",
        *platforms,
        "--requirement",
        file,
        "--dest",
        folder,
    ]


def platform_tags(machine: str | None = None) -> tuple[str, ...]:
    """Return the wheel platforms that run on the base image, best first (PEP 600).

    >>> platform_tags("aarch64")[0], platform_tags("x86_64")[-1]
    ('manylinux_2_36_aarch64', 'manylinux1_x86_64')
    """
    name = machine or platform.machine()
    minors = range(GLIBC_MINOR, GLIBC_MINOR_OLDEST - 1, -1)
    legacy = ("manylinux2014", "manylinux2010", "manylinux1")
    return (
        *(f"manylinux_2_{minor}_{name}" for minor in minors),
        *(f"{alias}_{name}" for alias in legacy),
    )


def _pip(venv: Path) -> list[str | Path]:
    """Return the command of a pip of our own: not every Python that runs this has one."""
    python = venv / "bin" / "python"
    if not (venv / "bin" / "pip").exists():
        programs.run([sys.executable, "-m", "venv", "--clear", venv], timeout_s=VENV_TIMEOUT_S)
    return [python, "-m", "pip"]
