"""Which file of a model is the model, and which lies beside it."""

from pathlib import Path
from typing import Final

from slipway_server.core.errors import LoadError

PROFILE: Final = "profile.json"
EXPECTATIONS: Final = "expectations.json"


def model_file(path: Path) -> Path:
    """The file itself, or the only `.onnx` file at a directory's top level.

    External data files may lie beside it.
    """
    if not path.is_dir():
        return path
    candidates = sorted(file for file in path.glob("*.onnx") if file.is_file())
    if len(candidates) != 1:
        found = ", ".join(file.name for file in candidates) or "none"
        raise LoadError(
            f"a model directory must hold exactly one .onnx file at its top level, found {found}"
        )
    return candidates[0]


def profile_file(path: Path) -> Path | None:
    """The reference profile in a model's directory, if it has one."""
    found = path / PROFILE
    return found if found.is_file() else None


def expectations_file(path: Path) -> Path | None:
    """What the model's own folder expects of it, if it does."""
    found = path / EXPECTATIONS
    return found if found.is_file() else None
