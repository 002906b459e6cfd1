"""What documents say of the plugin is so: verbs, options, exit codes, the screen."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from slipway_plugin import command_line
from slipway_plugin.exits import Exit

TOP: Final = Path(__file__).parents[3]
PAGE: Final = TOP / "docs" / "kubectl-slipway.md"
DOCUMENTS: Final = sorted((*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")))


def calls(text: str) -> list[list[str]]:
    """Find every call of the plugin in code, as words; a bare name is none."""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, re.S)
    found = [call for part in code for call in re.findall(r"kubectl slipway ([^`\n#;|]+)", part)]
    return [words for words in map(shlex.split, found) if len(words) > 1]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_calls_in_documents_are_understood(path: Path) -> None:
    for words in calls(path.read_text(encoding="utf-8")):
        command_line.parse(["5" if word == "$generation" else word for word in words])


def test_the_page_has_every_verb_and_every_exit_code() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [verb for verb in command_line.VERBS if not re.search(rf"`[^`]*\b{verb}\b", text)] == []
    codes = re.findall(r"^\| (\d) \|", text.split("## Exit codes")[1], re.M)
    assert codes == [str(int(code)) for code in Exit]


def test_the_page_shows_the_screen_that_is_shown() -> None:
    screen = (TOP / "tests" / "golden" / "plugin" / "status-rolling.txt").read_text("utf-8")

    assert screen in PAGE.read_text(encoding="utf-8")
