"""Files that are there whole or not at all, whoever reads or dies meanwhile."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
