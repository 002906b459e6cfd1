"""A model repository in Triton's layout: `ROOT/NAME/VERSION/model.onnx`. Knows no model's content.

A name is used as a path here and nowhere else, so it is judged here and nowhere else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.storage import digest, layout

# No separator, and nothing that begins with a dot: `..`, and what Kubernetes and editors hide.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
# As Triton has it: other folders, and numbers with a zero in front, are no versions.
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model as it lies in the repository."""

    name: str
    number: str
    path: Path


class Repository:
    """The folder. All methods block; who calls them on an event loop does so in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> tuple[str, ...]:
        """All models, sorted; LoadError where there is no such folder."""
        try:
            found = [path.name for path in self._root.iterdir() if self._is_model(path)]
        except OSError as err:
            raise LoadError(
                f"the model repository {self._root} cannot be read: {err.strerror}"
            ) from err
        return tuple(sorted(found))

    def versions(self, name: str) -> tuple[Version, ...]:
        """Versions of a model, the highest last; ServingError for a name that is none.

        LoadError for a model without versions, or one that leads out of the repository.
        """
        check(name)
        folder = self._root / name
        if not self._is_model(folder):
            raise ServingError(ErrorKind.NOT_FOUND, f"no model '{name}' in the repository")
        self._keep_inside(folder, name)
        numbers = sorted((path.name for path in _version_folders(folder)), key=int)
        if not numbers:
            raise LoadError(
                f"model '{name}' has no version; lay it at {name}/1/model.onnx in the repository"
            )
        return tuple(Version(name, number, self._version(folder / number)) for number in numbers)

    def _version(self, path: Path) -> Path:
        """The folder of a version, all of whose files lie in the repository."""
        for file in (path, *digest.files(path)):
            self._keep_inside(file, str(file.relative_to(self._root)))
        layout.model_file(path)
        return path

    def _keep_inside(self, path: Path, shown: str) -> None:
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise LoadError(f"{shown} leads out of the model repository; put the file itself there")

    def _is_model(self, path: Path) -> bool:
        return _NAME.fullmatch(path.name) is not None and path.is_dir()


def check(name: str) -> None:
    """Raise INVALID_INPUT for what cannot be a model's name in a repository."""
    if _NAME.fullmatch(name) is None:
        raise ServingError(
            ErrorKind.INVALID_INPUT,
            "a model's name is 1 to 128 letters, digits and _ . + -, and begins with none of . + -",
        )


def _version_folders(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if _VERSION.fullmatch(path.name) and path.is_dir():
            yield path
