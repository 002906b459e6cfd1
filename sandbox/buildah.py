"""Drive buildah: an image store of our own, no daemon, no registry, no container runtime.

It knows how to build, list, save and forget; what goes into an image is decided elsewhere.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import programs

QUICK_TIMEOUT_S: Final = 60.0
BUILD_TIMEOUT_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Build:
    """One `buildah bud`: which file and target, from which files, with which settings."""

    dockerfile: Path
    context: Path
    reference: str
    target: str | None = None
    arguments: Mapping[str, str] | None = None
    volumes: Mapping[Path, str] | None = None  # host directory -> read-only path during RUN


@dataclass(frozen=True, slots=True)
class Buildah:
    """A buildah whose images live in `store`; safe to use from one process at a time."""

    store: Path
    driver: str

    def build(self, build: Build) -> None:
        """Build an image, taking unchanged layers from the store."""
        argv: list[str | Path] = ["bud", "--layers", "--pull-never", "--file", build.dockerfile]
        if build.target is not None:
            argv += ["--target", build.target]
        for name, value in (build.arguments or {}).items():
            argv += ["--build-arg", f"{name}={value}"]
        for host, inside in (build.volumes or {}).items():
            argv += ["--volume", f"{host}:{inside}:ro"]
        self._run([*argv, "--tag", build.reference, build.context], timeout_s=BUILD_TIMEOUT_S)

    def has(self, reference: str) -> bool:
        """Say whether the store holds an image of this name."""
        return reference in self.references()

    def references(self) -> frozenset[str]:
        """Return the names of all named images in the store."""
        listed = self._run(["images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        return frozenset(name for name in listed if not name.startswith("<none>"))

    def save(self, reference: str, target: Path) -> None:
        """Write the image as a docker-archive; the file appears whole or not at all."""
        partial = target.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        destination = f"docker-archive:{partial}:{reference}"
        self._run(["push", "--quiet", reference, destination], timeout_s=BUILD_TIMEOUT_S)
        partial.rename(target)

    def forget(self, reference: str) -> None:
        """Drop the name, and the layers that no other image uses."""
        self._run(["rmi", reference])

    def _run(self, argv: list[str | Path], *, timeout_s: float = QUICK_TIMEOUT_S) -> str:
        return programs.run(
            [*_command(self.store, self.driver), *argv], timeout_s=timeout_s, env=_environment()
        )


def open_store(folder: Path) -> Buildah:
    """Open the image store under `folder`: overlay where the file system allows it, else vfs.

    Raises ProgramError where buildah is missing or neither works.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _probe(folder, "overlay")
    except programs.ProgramError:
        return _probe(folder, "vfs")


def _probe(folder: Path, driver: str) -> Buildah:
    store = folder / f"store-{driver}"  # drivers must not share a folder
    programs.run([*_command(store, driver), "info"], timeout_s=QUICK_TIMEOUT_S, env=_environment())
    return Buildah(store=store, driver=driver)


def _command(store: Path, driver: str) -> list[str | Path]:
    return [
        "buildah",
        "--storage-driver",
        driver,
        "--root",
        store,
        "--runroot",
        store.with_name(f"{store.name}.run"),
    ]


def _environment() -> dict[str, str]:
    """Return an environment in which RUN needs no container runtime (isolation chroot)."""
    foreign = ("BUILDAH_", "STORAGE_", "CONTAINERS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"BUILDAH_ISOLATION": "chroot"}
