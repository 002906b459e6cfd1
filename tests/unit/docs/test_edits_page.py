"""The page of edits: each row of its table is seen by a test of the cluster, and no other is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[3]
PAGE: Final = TOP / "docs" / "edits.md"
MARKER: Final = "rows"


def rows() -> set[str]:
    """List the rows of the table."""
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def cluster_tests() -> Iterator[ast.FunctionDef]:
    for path in (TOP / "tests" / "e2e").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node


def marked(test: ast.FunctionDef) -> Iterator[str]:
    """Name the rows that a test says it sees, by `@pytest.mark.rows(...)`."""
    for call in test.decorator_list:
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == MARKER:
            yield from map(ast.literal_eval, call.args)


def test_every_row_is_seen_on_a_cluster() -> None:
    seen = {row for test in cluster_tests() for row in marked(test)}

    assert rows() == seen
