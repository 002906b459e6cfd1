"""What a model is asked to run on, and what it runs on. Imports no engine."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Provider(StrEnum):
    """What is asked for. AUTO is CUDA where it is there: engines of TensorRT take minutes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


@dataclass(frozen=True, slots=True)
class Placement:
    """What a model was to run on, what it runs on, and why not on what was asked for.

    Words of the engine, as `cuda`; `reason` is empty if nothing better was to be had.
    """

    asked: str
    used: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """What a model is to run on; `is_strict`: on nothing else.

    `cache` is a folder for what an engine builds for this model alone.
    """

    asked: Provider = Provider.CPU
    is_strict: bool = False
    cache: Path | None = None
