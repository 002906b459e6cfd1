"""The container images of the sandbox, as archives named after the content they hold.

`ensure` builds what is missing and nothing else: the name of an image is a hash over everything
that goes into it, so an unchanged source costs a look at a file. It does not load images into
nodes and does not know the cluster.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sandbox import archives, base_image, buildah, locks, packages, places, toolchain, wheelhouse
from sandbox.progress import Log, step

REGISTRY: Final = "slipway.local"
ARCHIVES_KEPT: Final = 3  # per image: the current one and two to go back to without a build
WHEELS_INSIDE: Final = "/wheels"
CONTEXT_MTIME_S: Final = 0  # equal content must give equal layers
CONTEXT_PREFIX: Final = "context-"

ProgramImage = Literal["pause", "coredns"]
BuiltImage = Literal["router", "operator", "server"]
Image = ProgramImage | BuiltImage


@dataclass(frozen=True, slots=True)
class ImageArchive:
    """A docker-archive file, and the name that the image inside carries."""

    reference: str
    path: Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image from a Dockerfile: the target, the lock files and sources that it copies.

    `stages_before` lists what earlier stages of the same file copy: buildah 1.28 runs every stage
    up to the target, but what they hold does not reach the image.
    """

    dockerfile: str
    target: str
    requirements: tuple[str, ...]
    sources: tuple[str, ...]
    stages_before: tuple[str, ...] = ()


PACKAGING: Final = ("LICENSE", "README.md", "pyproject.toml")

RECIPES: Final[Mapping[BuiltImage, Recipe]] = {
    "router": Recipe(
        dockerfile="Dockerfile.operator",
        target="router",
        requirements=("requirements/build.txt", "requirements/router.txt"),
        sources=(
            *PACKAGING,
            "crds/slipway_api/__init__.py",
            "crds/slipway_api/logs.py",
            "crds/slipway_api/names.py",
            "operator/slipway_operator/__init__.py",
            "operator/slipway_operator/router",
        ),
    ),
    "operator": Recipe(
        dockerfile="Dockerfile.operator",
        target="operator",
        requirements=("requirements/build.txt", "requirements/operator.txt"),
        sources=(*PACKAGING, "crds/slipway_api", "operator/slipway_operator"),
        stages_before=("requirements/router.txt",),
    ),
    "server": Recipe(
        dockerfile="Dockerfile.server",
        target="server",
        requirements=("requirements/build.txt", "requirements/server.txt"),
        sources=(*PACKAGING, "crds/slipway_api", "server/slipway_server"),
    ),
}

NAMES: Final[tuple[Image, ...]] = (*get_args(ProgramImage), *get_args(BuiltImage))


def ensure(name: Image, *, log: Log) -> ImageArchive:
    """Return the archive of an image, building it if it is not cached.

    Raises SandboxError with the builder's last lines; safe to call from several processes.
    """
    where = places.places()
    folder = where.images
    folder.mkdir(parents=True, exist_ok=True)
    if name == "pause" or name == "coredns":
        return _ensure_program(name, folder=folder, log=log)
    # One lock for all: the builder's store is made for one process at a time.
    with locks.held(where.locks / "images.lock", log=log):
        for prefix in (CONTEXT_PREFIX, base_image.SCRATCH_PREFIX):
            for leftover in folder.glob(f"{prefix}*/"):
                base_image.remove(leftover)  # of a build that was killed
        return _ensure_built(name, folder=folder, log=log)


def chart_values(images: Mapping[BuiltImage, ImageArchive]) -> dict[str, Any]:
    """Return the chart values that make Slipway run the archives of operator, router and server."""
    values: dict[str, Any] = {"imageRegistry": REGISTRY}
    for name in get_args(BuiltImage):
        repository, tag = images[name].reference.removeprefix(f"{REGISTRY}/").split(":")
        values[name] = {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}
        }
    return values


def content_hash(top: Path, paths: Iterable[str], *, salt: str = "") -> str:
    """Return 12 hex digits over names, executable bits and bytes of the files under `paths`."""
    digest = hashlib.sha256(salt.encode())
    for file in source_files(top, paths):
        name = file.relative_to(top).as_posix()
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name} {os.access(file, os.X_OK)} {content}\n".encode())
    return digest.hexdigest()[:12]


def source_files(top: Path, paths: Iterable[str]) -> tuple[Path, ...]:
    """Return the files at and below `top`/`paths`, sorted, without compiled Python."""
    found: set[Path] = set()
    for path in paths:
        named = top / path
        candidates = named.rglob("*") if named.is_dir() else [named]
        found.update(file for file in candidates if file.is_file() and not _is_compiled(file))
    return tuple(sorted(found))


def _is_compiled(file: Path) -> bool:
    return file.suffix == ".pyc" or "__pycache__" in file.parts


def _ensure_program(name: ProgramImage, *, folder: Path, log: Log) -> ImageArchive:
    program = toolchain.ensure(name, log=log)
    key = content_hash(program.parent, [program.name])
    archive = ImageArchive(reference=f"{REGISTRY}/{name}:{key}", path=folder / f"{name}-{key}.tar")
    if not archive.path.exists():
        archives.write_program(
            archive.path, reference=archive.reference, name=name, program=program
        )
        for stale in stale_archives(folder, name):
            stale.unlink(missing_ok=True)
    return archive


def _ensure_built(name: BuiltImage, *, folder: Path, log: Log) -> ImageArchive:
    recipe = RECIPES[name]
    with tempfile.TemporaryDirectory(dir=folder, prefix=CONTEXT_PREFIX) as temporary:
        # The build sees a copy: the hash then names what was built, whoever edits meanwhile.
        context = Path(temporary)
        own = (recipe.dockerfile, *recipe.requirements, *recipe.sources)
        _copy(places.checkout(), (*own, *recipe.stages_before), context)
        key = content_hash(context, own, salt=base_image.reference())
        archive = ImageArchive(
            reference=f"{REGISTRY}/{name}:{key}", path=folder / f"{name}-{key}.tar"
        )
        if not archive.path.exists():
            packages.ensure(packages.IMAGES, log=log)
            store = buildah.open_store(folder)
            _build(recipe, context=context, archive=archive, store=store, log=log)
            _prune(name, folder=folder, store=store)
        archive.path.touch()  # the newest are those used last
    return archive


def _build(
    recipe: Recipe, *, context: Path, archive: ImageArchive, store: buildah.Buildah, log: Log
) -> None:
    base = base_image.ensure(store, scratch=archive.path.parent, log=log)
    locked = [context / file for file in (*recipe.requirements, *recipe.stages_before)]
    wheels = wheelhouse.ensure(places.places().cache / "wheels", locked, log=log)
    with step(f"building image {archive.reference}", log=log):
        store.build(
            buildah.Build(
                dockerfile=context / recipe.dockerfile,
                context=context,
                reference=archive.reference,
                target=recipe.target,
                arguments={
                    "BASE_IMAGE": base,
                    "PIP_NO_INDEX": "1",
                    "PIP_FIND_LINKS": WHEELS_INSIDE,
                },
                volumes={wheels: WHEELS_INSIDE},
            )
        )
        store.save(archive.reference, archive.path)


def _copy(checkout: Path, paths: Iterable[str], context: Path) -> None:
    for file in source_files(checkout, paths):
        target = context / file.relative_to(checkout)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        os.utime(target, (CONTEXT_MTIME_S, CONTEXT_MTIME_S))


def stale_archives(folder: Path, name: str) -> tuple[Path, ...]:
    """Return the archives of an image beyond the newest ARCHIVES_KEPT."""
    found = sorted(folder.glob(f"{name}-*.tar"), key=lambda file: file.stat().st_mtime)
    return tuple(found[:-ARCHIVES_KEPT])


def _prune(name: BuiltImage, *, folder: Path, store: buildah.Buildah) -> None:
    for stale in stale_archives(folder, name):
        stale.unlink()
    kept = {file.stem.removeprefix(f"{name}-") for file in folder.glob(f"{name}-*.tar")}
    prefix = f"{REGISTRY}/{name}:"
    for reference in store.references():
        if reference.startswith(prefix) and reference.removeprefix(prefix) not in kept:
            store.forget(reference)
