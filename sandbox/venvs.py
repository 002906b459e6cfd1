"""Python environments of their own, for tools that must not mix with the project's packages.

Each is named by a hash of its requirements file, so a changed file makes a new one.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from sandbox import locks, programs
from sandbox import places as places_module
from sandbox.places import Places
from sandbox.progress import Log, step

_COMPLETE: Final = ".complete"
_TIMEOUT_S: Final = 1200.0


def can_make() -> bool:
    """Return whether this Python can make environments: Debian's needs a package for it."""
    has_pip = importlib.util.find_spec("ensurepip") is not None
    return has_pip or shutil.which("uv") is not None


def ensure(requirements: str, *, why: str, log: Log, places: Places | None = None) -> Path:
    """Return the environment of `requirements/<requirements>`, installing it where it is absent.

    Every package is checked against the hashes in that file.
    """
    where = places or places_module.places()
    source = places_module.checkout() / "requirements" / requirements
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    stem = source.stem
    target = where.cache / f"venv-{stem}-{digest}"
    if _is_usable(target):
        return target
    with locks.held(where.locks / f"{stem}.lock", log=log):
        if not _is_usable(target):
            log(f"installing {source.name} into {target}: {why}")
            with step(f"installing {source.name}", log=log):
                _install(source, target)
            (target / _COMPLETE).touch()
    return target


def _is_usable(environment: Path) -> bool:
    # The link to Python leads nowhere once the system's Python was replaced.
    return (environment / _COMPLETE).exists() and (environment / "bin" / "python").exists()


def _install(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    uv = shutil.which("uv")
    if uv is not None:
        make: list[str | Path] = [uv, "venv", "--quiet", "--python", sys.executable, target]
        install: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            target / "bin" / "python",
        ]
    else:
        make = [sys.executable, "-m", "venv", target]
        install = [target / "bin" / "python", "-m", "pip", "install", "--quiet"]
        # Bytes are compiled when a module is first used: most of an environment never is.
        install.append("--no-compile")
    install += ["--require-hashes", "--requirement", source]
    programs.run(make, timeout_s=_TIMEOUT_S, env=environment)
    programs.run(install, timeout_s=_TIMEOUT_S, env=environment)
