"""Starts long-running programs and ends exactly those again.

A process is known by its id and its start time: an id alone may belong to somebody else by the
time it is ended. Knows nothing of what the programs do.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import SandboxError

_START_TIME_FIELD: Final = 19  # field 22 of proc(5) stat, counted after the parenthesis of field 2
_STATE_FIELD: Final = 0
_POLL_S: Final = 0.02
_IDENTITY_TIMEOUT_S: Final = 10.0  # a shell and a `cat`, on a machine that is busy


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was started here. `start_ticks` counts clock ticks from boot to its start."""

    name: str
    pid: int
    start_ticks: int

    def is_alive(self, proc: Path = Path("/proc")) -> bool:
        """Return whether this very process still runs; a zombie does not."""
        found = _stat(self.pid, proc=proc)
        return (
            found is not None
            and int(found[_START_TIME_FIELD]) == self.start_ticks
            and found[_STATE_FIELD] != "Z"
        )


def identify(name: str, pid: int, *, proc: Path = Path("/proc")) -> Process | None:
    """Return the process that has this id now, or None."""
    found = _stat(pid, proc=proc)
    return None if found is None else Process(name, pid, int(found[_START_TIME_FIELD]))


def recorded(name: str, identity: Path) -> Process | None:
    """Return the process that wrote the file `identity`, whether or not it is still alive."""
    try:
        text = identity.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    fields = _fields(text)
    if len(fields) <= _START_TIME_FIELD:
        return None
    return Process(name, int(text.split(maxsplit=1)[0]), int(fields[_START_TIME_FIELD]))


def start(
    name: str,
    command: Sequence[str],
    *,
    log_file: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    ends_with_us: bool = False,
    identity: Path | None = None,
) -> Process:
    """Start a program in a session of its own, its output appended to `log_file`.

    `identity` is a file that the process fills with its own /proc/self/stat (see `recorded`).
    With `ends_with_us` the kernel kills it when the thread that called this ends, however it ends.
    """
    if identity is not None:
        # The process writes who it is before it becomes the program: it is never unrecorded.
        command = ["sh", "-c", 'cat /proc/$$/stat >"$0" && exec "$@"', str(identity), *command]
    if ends_with_us:
        command = ["setpriv", "--pdeathsig", "SIGKILL", *command]
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else dict(environment),
            cwd=folder,
        )
    process = identify(name, child.pid) if identity is None else _await_identity(name, identity)
    # It outlives this program on purpose; without this, Popen warns about it when collected.
    child.returncode = 0
    if process is None:
        raise SandboxError(f"{name} ended at once; see {log_file}")
    return process


def _await_identity(name: str, identity: Path) -> Process | None:
    deadline_s = time.monotonic() + _IDENTITY_TIMEOUT_S
    while (process := recorded(name, identity)) is None and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return process


def stop(processes: Iterable[Process], *, grace_s: float = 5.0) -> None:
    """End processes: SIGTERM to all, then SIGKILL to those that live on after `grace_s`."""
    left = [process for process in processes if _signal(process, signal.SIGTERM)]
    left = _await_end(left, timeout_s=grace_s)
    left = [process for process in left if _signal(process, signal.SIGKILL)]
    left = _await_end(left, timeout_s=grace_s)
    if left:
        names = ", ".join(f"{process.name} ({process.pid})" for process in left)
        raise SandboxError(f"these processes survived SIGKILL: {names}; see their state in /proc")


def _await_end(processes: list[Process], *, timeout_s: float) -> list[Process]:
    deadline_s = time.monotonic() + timeout_s
    left = processes
    while left and time.monotonic() < deadline_s:
        for process in left:
            _reap(process.pid)
        left = [process for process in left if process.is_alive()]
        if left:
            time.sleep(_POLL_S)
    return left


def _signal(process: Process, number: signal.Signals) -> bool:
    if not process.is_alive():
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _reap(pid: int) -> None:
    """Collect a child of ours that ended; one that is not our child is left to its parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _stat(pid: int, *, proc: Path) -> list[str] | None:
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _fields(text)


def _fields(stat: str) -> list[str]:
    # The command's name, in parentheses, may itself hold spaces and parentheses.
    return stat.rpartition(")")[2].split()
