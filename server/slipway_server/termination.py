"""Saying why the process gave up, where users look: stderr and the pod's termination message."""

import contextlib
import sys
from pathlib import Path
from typing import Final

from slipway_server.core.errors import LoadError

# sysexits(3), so that the cause can be told from the exit code alone.
EXIT_PERMANENT: Final = 78  # EX_CONFIG: the same start would fail again
EXIT_TRANSIENT: Final = 75  # EX_TEMPFAIL: download trouble
_MESSAGE_BYTES_MAX: Final = 4096  # the kubelet cuts at this


def report(error: LoadError, path: Path | None) -> int:
    """Write the message once to each place and return the exit code; None if there is no pod."""
    words = error.words
    print(f"slipway-server: {words}", file=sys.stderr, flush=True)
    if path is not None:
        with contextlib.suppress(OSError):  # not in a pod, or not writable: stderr has it
            path.write_bytes(words.encode()[:_MESSAGE_BYTES_MAX])
    return EXIT_PERMANENT if error.is_permanent else EXIT_TRANSIENT
