"""File locks between processes; the kernel lets go when a holder dies, so none goes stale."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.progress import Log

_POLL_S = 0.2


class LockHeldError(SandboxError):
    """Somebody else holds the lock and did not let go in time."""


@contextmanager
def held(path: Path, *, log: Log, timeout_s: float = 3600.0) -> Iterator[None]:
    """Hold the lock file `path`; says whom it waits for, gives up after `timeout_s`.

    The file's content is the holder's process id. It is never removed: removing a lock file
    lets two processes hold "the same" lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited by programs started meanwhile: a daemon would keep the lock for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, path=path, log=log, timeout_s=timeout_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, *, path: Path, log: Log, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    announced = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() > deadline_s:
                raise LockHeldError(
                    f"{path} is held by process {holder} for more than {timeout_s:.0f} s; "
                    "wait for it or end it, then run this again"
                ) from None
            if not announced:
                log(f"waiting for process {holder}, which holds {path}")
                announced = True
            time.sleep(_POLL_S)
        else:
            return
