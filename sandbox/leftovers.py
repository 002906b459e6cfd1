"""Undoes what a journal says was made, in the order that lets nothing come back.

Works at any point at which making was cut short, and may itself be cut short and run again.
"""

import contextlib
import functools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from sandbox import network, processes, programs
from sandbox.cgroups import Cgroups
from sandbox.errors import SandboxError
from sandbox.journal import Entry, Journal
from sandbox.processes import Process

_SHIM: Final = "containerd-shim"
_GRACE_S: Final = 1.0  # an API server takes its time for watches that nobody will read
_KILL_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05
_UMOUNT_TIMEOUT_S: Final = 20.0


def undo(journal: Journal, *, run: Path | None, cgroups: Cgroups) -> None:
    """End and remove everything in the journal, then the journal itself.

    `run` is the cluster's folder of sockets: containerd's shims are known by it.
    """
    _refuse_late_starters(journal)
    # Who makes pods ends first; then pods, whatever state they are in; then what they used.
    processes.stop(running(journal), grace_s=_GRACE_S)
    if run is not None:
        processes.stop(shims(run), grace_s=1.0)
    for entry in journal.of("cgroup"):
        _empty(entry.name, cgroups=cgroups)
        cgroups.remove(entry.name)
    for entry in reversed(journal.of("mount")):
        _unmount(Path(entry.name))
    for entry in reversed(journal.of("link")):
        network.remove_link(entry.name)
    for entry in reversed(journal.of("namespace")):
        network.remove_namespace(entry.name)
    for entry in reversed(journal.of("folder")):
        shutil.rmtree(entry.name, ignore_errors=True)
    journal.path.unlink(missing_ok=True)


def running(journal: Journal) -> list[Process]:
    """Return the processes of the journal that are alive, the last started first."""
    found = (process_of(entry) for entry in reversed(journal.of("process")))
    return [process for process in found if process is not None and process.is_alive()]


def process_of(entry: Entry) -> Process | None:
    """Return the process that an entry speaks of, if it was ever started."""
    identity = Path(entry.identity)
    for file in (identity, _shut(identity.parent) / identity.name):
        process = processes.recorded(entry.name, file)
        if process is not None:
            return process
    return None


def _refuse_late_starters(journal: Journal) -> None:
    """Let nothing start any more that a killed maker had just set off.

    A process becomes its program only after it wrote who it is. Once the folder for that is moved
    away, a late one cannot; one that has its file open already is waited for.
    """
    for folder in {Path(entry.identity).parent for entry in journal.of("process")}:
        shut = _shut(folder)
        if folder.exists() and not shut.exists():
            folder.rename(shut)
        files = list(shut.iterdir()) if shut.exists() else []
        _until(functools.partial(_are_written, files), timeout_s=_GRACE_S)


def _are_written(files: Iterable[Path]) -> bool:
    return all(file.stat().st_size > 0 for file in files)


def _shut(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.shut")


def shims(run: Path, *, proc: Path = Path("/proc")) -> list[Process]:
    """Return containerd's shims whose command line names the folder `run`: those of one cluster."""
    found: list[Process] = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if _SHIM in words[0] and any(word.startswith(f"{run}/") for word in words):
                process = processes.identify(_SHIM, int(folder.name), proc=proc)
                if process is not None:
                    found.append(process)
    return found


def _empty(path: str, *, cgroups: Cgroups) -> None:
    """Kill what runs in a control group of ours: containers, which their shims left behind."""

    def kill() -> bool:
        left = cgroups.processes(path)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    if not _until(kill, timeout_s=_KILL_TIMEOUT_S):
        pids = ", ".join(str(pid) for pid in sorted(cgroups.processes(path)))
        raise SandboxError(f"processes {pids} in control group {path} survived SIGKILL")


def _unmount(path: Path) -> None:
    """Detach every mount at or below `path`, the last made first."""
    for target in reversed(mounts_below(path, Path("/proc/self/mounts").read_text())):
        programs.run(["umount", "--lazy", target], timeout_s=_UMOUNT_TIMEOUT_S)


def mounts_below(path: Path, mounts: str) -> list[str]:
    """Return the mount points at or below `path` in the text of /proc/self/mounts, in its order.

    >>> mounts_below(Path("/run/a"), "x /run/a tmpfs rw 0 0\\nx /run/ab tmpfs rw 0 0\\n")
    ['/run/a']
    """
    points: Iterable[str] = (line.split()[1] for line in mounts.splitlines() if line)
    unescaped = (point.replace("\\040", " ") for point in points)
    return [point for point in unescaped if Path(point).is_relative_to(path)]


def _until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True
