"""What a cluster made on this machine, written down before it is made.

After a crash or `kill -9` at any point, the journal names at least everything that exists, so
that cleaning needs no guessing and touches nothing of anybody else. Knows only how to remember.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["process", "mount", "namespace", "link", "cgroup", "folder"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was made. `command`, `log` and `identity` are a process's only.

    `identity` is the file into which the process itself writes its /proc/self/stat before it
    becomes the program; so there is no moment at which it runs and is unknown.
    """

    kind: Kind
    name: str
    command: tuple[str, ...] = ()
    log: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """An append-only file of entries, one JSON document a line."""

    path: Path

    def add(self, entry: Entry) -> None:
        """Remember `entry`; it is on the disk when this returns. The same one twice is once."""
        if entry in self.entries():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() > 0:
                file.write("\n")  # first, so that a line cut short by a crash spoils only itself
            file.write(json.dumps(asdict(entry)))
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> tuple[Entry, ...]:
        """Return what was made, in this order. A line cut short by a crash made nothing."""
        return tuple(self._read())

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        """Return the entries of one kind, in the order they were made."""
        return tuple(entry for entry in self._read() if entry.kind == kind)

    def process(self, name: str) -> Entry | None:
        """Return the latest entry of the process called `name`."""
        found = [entry for entry in self.of("process") if entry.name == name]
        return found[-1] if found else None

    def _read(self) -> Iterator[Entry]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                fields = json.loads(line)
            except json.JSONDecodeError:
                continue
            yield Entry(**{**fields, "command": tuple(fields["command"])})
