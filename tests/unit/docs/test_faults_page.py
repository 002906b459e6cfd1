"""The page of faults: every command in its table runs at least one test that exists."""

import ast
import functools
import re
import shlex
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
PAGE = TOP / "docs" / "faults.md"


@functools.cache
def known_faults() -> set[str]:
    """Name the tests of the tier, file and function, as `-k` sees them."""
    return {
        f"{path.name} {node.name}"
        for path in (TOP / "tests" / "faults").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def test_every_command_of_the_page_runs_a_test() -> None:
    commands = re.findall(r"`(\./dev test faults -k [^`]+)`", PAGE.read_text(encoding="utf-8"))

    idle = [
        command
        for command in commands
        if not any(shlex.split(command)[-1] in name for name in known_faults())
    ]

    assert commands
    assert idle == []
