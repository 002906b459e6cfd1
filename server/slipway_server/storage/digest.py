"""The digest of a model: sha256 of its one file, or of the list of a directory's files."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ALGORITHM: Final = "sha256"


def of(path: Path) -> str:
    """`sha256:<hex>` of a file; of a directory, of the sorted lines `<sha256>  <path>`.

    The latter is what `find * -type f | xargs sha256sum | LC_ALL=C sort | sha256sum` prints.
    Takes about a second for a gigabyte; frees the GIL.
    """
    if not path.is_dir():
        return f"{ALGORITHM}:{_file_hex(path)}"
    lines = sorted(
        f"{_file_hex(file)}  {file.relative_to(path).as_posix()}\n" for file in files(path)
    )
    return f"{ALGORITHM}:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a directory."""
    found = files(path) if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in found)


def files(directory: Path) -> Iterator[Path]:
    """All files below, symbolic links to files included.

    Names that begin with `..` are left out: they are the bookkeeping of Kubernetes' ConfigMap
    and Secret volumes, which show the same files a second time.
    """
    for parent, child_directories, names in os.walk(directory):
        child_directories[:] = [name for name in child_directories if not name.startswith("..")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith("..") and path.is_file():
                yield path


def _file_hex(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, ALGORITHM).hexdigest()
