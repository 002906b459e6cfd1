"""How many processors the container may use: from its control group, of version 1 or 2.

ONNX Runtime counts those of the host; a container that runs as many threads as that is throttled.
Sources: the kernel's admin-guide/cgroup-v2.rst, "CPU Interface Files", and scheduler/sched-bwc.rst.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")
CONCURRENCY_LEAST: Final = 2  # one computes while the other's tensors are made


@dataclass(frozen=True, slots=True)
class Sizes:
    """Threads within an inference, and inferences at once."""

    threads: int
    concurrency: int


def sizes(quota: float | None) -> Sizes:
    """What suits a quota, in processors; without one, nobody said that more than one is ours.

    Rounded down: what is left is for reading and writing requests.

    >>> sizes(3.9)
    Sizes(threads=3, concurrency=2)
    """
    whole = max(1, math.floor(quota)) if quota is not None else 1
    return Sizes(threads=whole, concurrency=CONCURRENCY_LEAST)


def quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Processors that the control group and all above it allow; None without a limit."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return None
    limits = [limit for line in lines for limit in _limits(root, line) if limit is not None]
    return min(limits, default=None)


def _limits(root: Path, line: str) -> Iterator[float | None]:
    """Limits of the group that a line of `/proc/self/cgroup` names, and of those above it."""
    _, controllers, path = line.split(":", 2)
    for parent in _parents(path):
        if not controllers:
            # A tree of both versions has version 2 in a folder of its own.
            yield _limit_v2(root / parent)
            yield _limit_v2(root / "unified" / parent)
        elif "cpu" in controllers.split(","):
            for name in {controllers, "cpu"}:
                yield _limit_v1(root / name / parent)


def _parents(path: str) -> Iterator[str]:
    """The group itself first, the root of what is mounted last.

    A container may see the path as the host has it, and only its own group mounted: at the root.
    """
    parts = PurePosixPath(path.lstrip("/")).parts
    for count in range(len(parts), -1, -1):
        yield "/".join(parts[:count])


def _limit_v2(group: Path) -> float | None:
    words = _words(group / "cpu.max")
    return _ratio(*words) if len(words) == 2 else None


def _limit_v1(group: Path) -> float | None:
    words = (*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us"))
    return _ratio(*words) if len(words) == 2 else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _ratio(share: str, period: str) -> float | None:
    """None for `max`, and for -1, which is the same in version 1."""
    if not share.isdigit() or not period.isdigit() or not int(period):
        return None
    return int(share) / int(period)
