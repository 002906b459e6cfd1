"""Programs of Debian packages, unpacked into the cache: nothing is installed, no service started.

For single programs that need little but the C library. Debian's archive pins what is fetched: apt
checks signatures and sums, and a stable release changes a version for security alone.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import locks, programs
from sandbox.errors import SandboxError
from sandbox.places import Places
from sandbox.progress import Log, step

_UPDATE_TIMEOUT_S: Final = 300.0
_DOWNLOAD_TIMEOUT_S: Final = 300.0
_UNPACK_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A program inside a Debian package, by its path there, and what it is for."""

    package: str
    path: str
    why: str


PROGRAMS: Final[Mapping[str, Unpacked]] = {
    "prometheus": Unpacked("prometheus", "usr/bin/prometheus", "scrapes metrics and judges rules"),
    "promtool": Unpacked("prometheus", "usr/bin/promtool", "tests rules without a server"),
    "alertmanager": Unpacked(
        "prometheus-alertmanager", "usr/bin/prometheus-alertmanager", "sends alerts on"
    ),
    "amtool": Unpacked("prometheus-alertmanager", "usr/bin/amtool", "asks and feeds Alertmanager"),
}


def ensure(tool: str, *, places: Places, log: Log) -> Path:
    """Return the path of a program in `PROGRAMS`, fetching its package where that is due.

    Raises SandboxError where there is no apt or the package cannot be fetched.
    """
    wanted = PROGRAMS[tool]
    folder = places.debian / wanted.package
    if not folder.exists():
        with locks.held(places.locks / f"debian-{wanted.package}.lock", log=log):
            if not folder.exists():
                log(f"{tool} is needed: it {wanted.why}")
                _fetch(wanted.package, folder, log=log)
    path = folder / wanted.path
    if not path.exists():
        raise SandboxError(f"{path} is absent: remove {folder}, then run this again")
    return path


def _fetch(package: str, folder: Path, *, log: Log) -> None:
    """Let `folder` appear with the content of the package, whole or not at all."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SandboxError(
            f"the program comes from the Debian package {package}, and here is no apt-get; "
            f"unpack it to {folder}, then run this again"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        step(f"fetching the Debian package {package}", log=log),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch,
    ):
        archive = _download(package, Path(scratch))
        content = Path(scratch) / "content"
        programs.run(["dpkg-deb", "--extract", archive, content], timeout_s=_UNPACK_TIMEOUT_S)
        content.rename(folder)


def _download(package: str, folder: Path) -> Path:
    command = ["apt-get", "download", "-q", package]
    try:
        programs.run(command, timeout_s=_DOWNLOAD_TIMEOUT_S, cwd=folder)
    except programs.ProgramError:  # the lists are absent, or older than the archive
        programs.run(["apt-get", "update", "-q"], timeout_s=_UPDATE_TIMEOUT_S)
        programs.run(command, timeout_s=_DOWNLOAD_TIMEOUT_S, cwd=folder)
    found = list(folder.glob(f"{package}_*.deb"))
    if len(found) != 1:
        raise SandboxError(f"apt-get download {package} left {len(found)} archives, expected one")
    return found[0]
