"""The drawings and excerpts of `docs/strategies.md`, made from the samples by the plugin itself.

A place for one is a pair of comments, `<!-- sample: FILE -->` and `<!-- end -->`; what stands
between them is written anew. The plugin runs as its users run it: one file, a manifest, no cluster.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml

from sandbox import plugin_archive, programs

PAGE: Final = "docs/strategies.md"
PLACE: Final = re.compile(r"(<!-- sample: (\S+) -->\n).*?(<!-- end -->)", re.S)
EXCERPT: Final = re.compile(r"^  strategy:\n.*", re.M | re.S)
TIMEOUT_S: Final = 30.0


def text(checkout: Path) -> str:
    """Return the page as it should be."""
    samples = checkout / "manifests" / "samples"
    with tempfile.TemporaryDirectory() as folder:
        program = plugin_archive.build(Path(folder)) / plugin_archive.NAME

        def filled(place: re.Match[str]) -> str:
            return place[1] + part(samples / place[2], program=program) + place[3]

        return PLACE.sub(filled, (checkout / PAGE).read_text(encoding="utf-8"))


def part(sample: Path, *, program: Path) -> str:
    """Return the drawing of a sample, the part of it that asks for it, and a link to the whole."""
    written = sample.read_text(encoding="utf-8")
    excerpt = EXCERPT.search(written)
    asked = "" if excerpt is None else f"```yml\n{excerpt[0]}```\n"
    link = f"[{sample.name}](../manifests/samples/{sample.name})"
    drawn = drawing(written, program=program)
    return f"```text\n{drawn}```\n{asked}\nThe whole manifest: {link}.\n"


def drawing(manifest: str, *, program: Path) -> str:
    """Return what `kubectl slipway plan -o drawing` shows of a manifest."""
    file = program.with_name("manifest.json")
    file.write_text(json.dumps(yaml.safe_load(manifest)), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-I", "-X", "utf8", program]
    return programs.run([*command, "plan", "-f", file, "-o", "drawing"], timeout_s=TIMEOUT_S)
