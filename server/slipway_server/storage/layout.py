"""Which file of a model is the model."""

from pathlib import Path

from slipway_server.core.errors import LoadError


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
