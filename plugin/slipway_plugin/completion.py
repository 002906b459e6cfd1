"""Completion in the shell: a small program on PATH that kubectl asks (kubectl 1.26 and newer).

kubectl runs `kubectl_complete-slipway` with the words so far and reads candidates from its output,
the last line being `:DIRECTIVE` (cobra's ShellCompDirective; 4: do not complete file names).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from slipway_plugin import command_line, contract
from slipway_plugin.exits import Exit, PluginError
from slipway_plugin.kubectl import Failed, Kubectl

FILE: Final = "kubectl_complete-slipway"
TEXT: Final = '#!/bin/sh\nexec kubectl-slipway __complete "$@"\n'
NO_FILES: Final = ":4"
NO_NAMES: Final = ("plan", "completion")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the program that kubectl asks, or write it beside this one."""
    if arguments.action == "print":
        print(TEXT, end="")
        return Exit.REACHED
    folder = Path(arguments.folder) if arguments.folder else Path(sys.argv[0]).resolve().parent
    target = folder / FILE
    try:
        target.write_text(TEXT, encoding="utf-8")
        target.chmod(0o755)
    except OSError as error:
        raise PluginError(f"cannot write {target}: {error.strerror}; choose a --folder") from error
    is_found = str(folder) in os.environ.get("PATH", "").split(os.pathsep)
    print(f"{target} written" + ("" if is_found else f"; add {folder} to PATH"))
    return Exit.REACHED


def complete(words: Sequence[str]) -> Exit:
    """Print what the last of the words may become."""
    *before, last = words or [""]
    for candidate in candidates(before):
        if candidate.startswith(last):
            print(candidate)
    print(NO_FILES)
    return Exit.REACHED


def candidates(before: Sequence[str]) -> list[str]:
    """List what can follow: verbs first, then names of deployments."""
    if not before:
        return sorted(command_line.VERBS)
    if before[0] in NO_NAMES:
        return []
    flags = [
        f"--namespace={word}" for flag, word in pairwise(before) if flag in ("-n", "--namespace")
    ]
    found = Kubectl(flags).read_all(("get", contract.RESOURCE))[0]
    if isinstance(found, Failed):
        return []
    return [item["metadata"]["name"] for item in found["items"]]
