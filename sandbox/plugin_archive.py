"""kubectl's plugin as one file that any Python runs: a zip archive that begins with `#!`.

The same sources give the same bytes. It knows where the sources are, and nothing of what is in
them.
"""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from sandbox import images, places

NAME: Final = "kubectl-slipway"
PACKAGE: Final = "slipway_plugin"
SOURCES: Final = f"plugin/{PACKAGE}"
PREFIX: Final = "plugin-"
KEPT: Final = 8  # checkouts on one machine, and a few changes of each
INTERPRETER: Final = b"#!/usr/bin/env python3\n"
MAIN: Final = f"import sys\n\nfrom {PACKAGE}.__main__ import main\n\nsys.exit(main())\n"
MOMENT: Final = (1980, 1, 1, 0, 0, 0)  # the first one that a zip archive can hold


def ensure() -> Path:
    """Return a folder for PATH that holds the program; checkouts that differ have their own."""
    checkout, programs = places.checkout(), places.places().bin
    folder = programs / f"{PREFIX}{images.content_hash(checkout, [SOURCES])}"
    if not (folder / NAME).exists():
        build(folder)
    folder.touch()  # the newest are those used last
    kept = sorted(programs.glob(f"{PREFIX}*/"), key=lambda each: each.stat().st_mtime)
    for stale in kept[:-KEPT]:
        shutil.rmtree(stale, ignore_errors=True)
    return folder


def build(folder: Path) -> Path:
    """Write the program into `folder`, which is returned; a running one is not disturbed."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = places.checkout() / SOURCES
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(INTERPRETER)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", MAIN)
            for source in sorted(sources.glob("*.py")):
                _add(archive, f"{PACKAGE}/{source.name}", source.read_text(encoding="utf-8"))
        made = Path(file.name)
    made.chmod(0o755)
    os.replace(made, folder / NAME)
    return folder


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, MOMENT)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, text)
