"""Run a program to its end and turn failure into a message that says what to look at.

For short-lived programs only; whatever keeps running belongs to the process supervision.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sandbox.errors import SandboxError

TAIL_LINES: Final = 25


class ProgramError(SandboxError):
    """A program could not be started, failed or ran out of time."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run `argv` and return its standard output.

    Raises ProgramError with the last lines of what it printed; the caller adds what that meant.
    """
    command = [str(part) for part in argv]
    shown = " ".join(command[:6]) + (" …" if len(command) > 6 else "")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=None if env is None else dict(env),
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as err:
        raise ProgramError(f"{command[0]}: not installed (wanted for: {shown})") from err
    except subprocess.TimeoutExpired as err:
        raise ProgramError(f"{shown}: still running after {timeout_s:.0f} s, ended") from err
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()[-TAIL_LINES:]
        raise ProgramError(f"{shown}: exit {done.returncode}\n  " + "\n  ".join(lines))
    return done.stdout
