"""Files that are read again when they change: keys and certificates, which a process outlives.

What is in them is compared, not their times: Kubernetes swaps a link, others write in place.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from slipway_server.core.errors import LoadError

LOOK_S: Final = 2.0
BYTES_MAX: Final = 1 << 20

Contents = tuple[bytes, ...]


class Watched:
    """Some files that belong together, and what is done with them."""

    def __init__(
        self, paths: Sequence[Path], use: Callable[[Contents], None], *, say: Callable[[str], None]
    ) -> None:
        """`use` raises LoadError where the contents will not do; it is called here already."""
        self._paths, self._use, self._say = tuple(paths), use, say
        self._seen = self._read()
        self._use(self._seen)

    def look(self) -> None:
        """Use the files if they have changed; if that fails, say so once and go on as before."""
        try:
            found = self._read()
        except LoadError as err:
            self._tell(str(err), ())
            return
        if found == self._seen:
            return
        try:
            self._use(found)
        except LoadError as err:
            self._tell(str(err), found)
        else:
            self._seen = found
            self._say(f"read again: {self._named()}")

    def _tell(self, why: str, found: Contents) -> None:
        if found != self._seen:
            self._say(f"{why}; what was read before stays in use")
        self._seen = found

    def _read(self) -> Contents:
        return tuple(map(_content, self._paths))

    def _named(self) -> str:
        return ", ".join(map(str, self._paths))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as err:
        raise LoadError(f"{path} cannot be read: {err.strerror}") from err
    if len(content) > BYTES_MAX:
        raise LoadError(f"{path} is larger than {BYTES_MAX} bytes")
    return content


async def watch(files: Sequence[Watched]) -> None:
    """Look at all of them now and then, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        for each in files:
            each.look()
