"""The base image of the sandbox's images: a minimal Debian 12 with Python, from apt alone.

Elsewhere the Dockerfiles start from a registry's Python image; here no registry is needed.
"""

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from sandbox import buildah, programs
from sandbox.progress import Log, step

SUITE: Final = "bookworm"
COMPONENT: Final = "main"
PACKAGES: Final = ("python3-minimal", "python3-venv", "ca-certificates")
DEBOOTSTRAP_TIMEOUT_S: Final = 900.0
UMOUNT_TIMEOUT_S: Final = 30.0
SCRATCH_PREFIX: Final = "base-"

# Half of a fresh root: package indexes, downloaded packages, and text that nobody reads in a pod.
UNUSED: Final = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


def reference() -> str:
    """Return the image's name; it changes when the recipe does."""
    recipe = repr((SUITE, COMPONENT, PACKAGES, UNUSED))
    return f"slipway.local/base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(store: buildah.Buildah, *, scratch: Path, log: Log) -> str:
    """Build the base image if the store lacks it (about a minute) and return its name.

    `scratch` is a directory for about 600 MiB of temporary files; it must allow device nodes.
    """
    name = reference()
    if store.has(name):
        return name
    with (
        step(f"building the base image, Debian {SUITE} with Python", log=log),
        tempfile.TemporaryDirectory(dir=scratch, prefix=SCRATCH_PREFIX) as folder,
    ):
        _build(store, name=name, work=Path(folder))
    return name


def _build(store: buildah.Buildah, *, name: str, work: Path) -> None:
    root, context, dockerfile = work / "root", work / "context", work / "Dockerfile"
    _debootstrap(root)
    for path in UNUSED:
        _empty(root / path)
    context.mkdir()
    with tarfile.open(context / "root.tar", "w") as tar:
        tar.add(root, arcname=".", filter=_owned_as_is)
    dockerfile.write_text("FROM scratch\nADD root.tar /\n", encoding="utf-8")
    store.build(buildah.Build(dockerfile=dockerfile, context=context, reference=name))


def remove(scratch: Path) -> None:
    """Remove what a killed build left; debootstrap has /proc and /sys mounted while it works."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [Path(line.split()[1]) for line in mounts]
    for point in sorted((point for point in points if point.is_relative_to(scratch)), reverse=True):
        programs.run(["umount", "--lazy", point], timeout_s=UMOUNT_TIMEOUT_S)
    shutil.rmtree(scratch)


def mirror_of(index_targets: str) -> str | None:
    """Choose the mirror out of lines `URI CODENAME COMPONENT`; None: debootstrap's own default.

    >>> mirror_of("http://a/debian/ trixie main\\nhttp://b/debian/ bookworm main\\n")
    'http://b/debian/'
    """
    for line in index_targets.splitlines():
        match line.split():
            case [uri, codename, component] if (codename, component) == (SUITE, COMPONENT):
                return uri
    return None


def _debootstrap(root: Path) -> None:
    listed = programs.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)"],
        timeout_s=DEBOOTSTRAP_TIMEOUT_S,
    )
    mirror = mirror_of(listed)
    argv: list[str | Path] = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        root,
        *([] if mirror is None else [mirror]),
    ]
    programs.run(argv, timeout_s=DEBOOTSTRAP_TIMEOUT_S)


def _empty(folder: Path) -> None:
    """Remove what is inside but keep the folder: packages expect it to exist."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _owned_as_is(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uname = entry.gname = ""  # numeric ids only: names of the host mean nothing inside
    return entry
