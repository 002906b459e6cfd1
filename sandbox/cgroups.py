"""Control groups for the pods of a node, on cgroup v1 and v2.

Takes the root of the tree as a parameter, so that both kinds can be tried on a folder.
Sources: the kernel's admin-guide/cgroup-v1/cpusets.rst §2 and admin-guide/cgroup-v2.rst §2.4.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sandbox.errors import SandboxError

ROOT: Final = Path("/sys/fs/cgroup")
# Without these, limits of pods would be accepted and not enforced.
REQUIRED: Final = ("cpu", "cpuset", "memory", "pids")
WANTED: Final = (*REQUIRED, "io", "hugetlb")


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The tree of control groups mounted at `root`."""

    root: Path = ROOT

    @property
    def version(self) -> Literal[1, 2]:
        """2 where the root itself is a v2 group; a hybrid tree counts as 1, as for runc."""
        return 2 if (self.root / "cgroup.controllers").exists() else 1

    def check(self) -> None:
        """Raise unless every controller that pods' limits need is there."""
        if self.version == 2:
            present = set((self.root / "cgroup.controllers").read_text().split())
        else:
            # Joint hierarchies are named after all of their controllers: cpu,cpuacct.
            present = {name for each in self._hierarchies() for name in each.name.split(",")}
        missing = [name for name in REQUIRED if name not in present]
        if missing:
            raise SandboxError(
                f"{self.root} has no control group controller {', '.join(missing)}, so limits of "
                "pods could not be enforced; mount it, or enable it on the kernel's command line"
            )

    def create(self, path: str) -> None:
        """Make the group `path` (like "slipway0/node1") so that a kubelet can make pods in it."""
        if self.version == 2:
            self._create_v2(path)
        else:
            for hierarchy in self._hierarchies():
                _create_v1(hierarchy, path)

    def processes(self, path: str) -> frozenset[int]:
        """Return the ids of all processes in the group and in the groups below it."""
        found: set[int] = set()
        for group in self._groups(path):
            # A group may vanish, or be a domain that lists no processes, while it is read.
            with contextlib.suppress(OSError):
                found.update(int(line) for line in (group / "cgroup.procs").read_text().split())
        return frozenset(found)

    def remove(self, path: str) -> None:
        """Remove the group and those below it, deepest first. Absence is no error.

        The kernel refuses (OSError) while a process is left in one of them.
        """
        for group in self._groups(path):
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()

    def _create_v2(self, path: str) -> None:
        group = self.root
        for name in Path(path).parts:
            available = (group / "cgroup.controllers").read_text().split()
            enabled = [f"+{each}" for each in WANTED if each in available]
            (group / "cgroup.subtree_control").write_text(" ".join(enabled))
            group = group / name
            group.mkdir(exist_ok=True)

    def _hierarchies(self) -> list[Path]:
        # Symbolic links are second names of joint hierarchies (cpu → cpu,cpuacct).
        found = (each for each in self.root.iterdir() if each.is_dir() and not each.is_symlink())
        return sorted(each for each in found if each.name != "unified")

    def _groups(self, path: str) -> Iterator[Path]:
        tops = [self.root] if self.version == 2 else [*self._hierarchies(), self.root / "unified"]
        for top in tops:
            for folder, _, _ in os.walk(top / path, topdown=False):
                yield Path(folder)


def _create_v1(hierarchy: Path, path: str) -> None:
    group = hierarchy
    for name in Path(path).parts:
        parent, group = group, group / name
        group.mkdir(exist_ok=True)
        # A new cpuset has no processors and no memory nodes, and nothing can run in it.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (parent / setting).exists():
                (group / setting).write_text((parent / setting).read_text())
