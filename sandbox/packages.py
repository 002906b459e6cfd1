"""Debian packages of programs that the sandbox runs, installed only where one is missing."""

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import locks, programs
from sandbox import places as places_module
from sandbox.errors import SandboxError
from sandbox.progress import Log, step

_UPDATE_TIMEOUT_S: Final = 300.0
_INSTALL_TIMEOUT_S: Final = 1200.0
# Daemons' programs lie in sbin, which is not in every user's PATH.
_SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, a program by which its presence is seen, and why it is needed."""

    name: str
    program: str
    why: str

    @property
    def is_installed(self) -> bool:
        """Return whether the program is there, from whatever source."""
        if self.program.startswith("/"):
            return Path(self.program).exists()
        return shutil.which(self.program, path=_SEARCH_PATH) is not None


CLUSTER: Final = (
    Package("iproute2", "ip", "makes the nodes' network namespaces"),
    Package("containerd", "containerd", "runs the containers of each node"),
    Package("runc", "runc", "starts a container"),
    Package("containernetworking-plugins", "/usr/lib/cni/ptp", "connects pods to the network"),
    Package("nftables", "nft", "kube-proxy writes the rules of Services with it"),
)
IMAGES: Final = (
    Package("buildah", "buildah", "builds the images from the Dockerfiles, without Docker"),
    Package("debootstrap", "debootstrap", "makes the Debian base of these images"),
)


BENCH: Final = (
    Package("wrk", "wrk", "loads the servers that are compared"),
    Package("nghttp2-client", "h2load", "the same over gRPC"),
)
CURL: Final = Package("curl", "curl", "sends the requests of `./dev curl`")


def venv_of_this_python() -> Package:
    """Return the package with which Debian's Python can make environments."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Package(
        f"python{version}-venv",
        f"/usr/lib/python{version}/ensurepip",
        "makes the Python environment for the project's dependencies",
    )


def ensure(packages: Iterable[Package], *, log: Log) -> None:
    """Install the packages that are missing; say which and why. Needs root only then."""
    missing = [package for package in packages if not package.is_installed]
    if not missing:
        return
    names = [package.name for package in missing]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SandboxError(
            f"these programs are missing: {', '.join(each.program for each in missing)}; "
            f"on Debian, as root: apt-get install --no-install-recommends {' '.join(names)}"
        )
    for package in missing:
        log(f"installing the Debian package {package.name}: {package.why}")
    with locks.held(places_module.places().locks / "apt.lock", log=log):
        _install(names, log=log)
    still = [package.name for package in missing if not package.is_installed]
    if still:
        raise SandboxError(f"apt-get installed {', '.join(still)}, but its program is not there")


def _install(names: list[str], *, log: Log) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {', '.join(names)}", log=log):
        programs.run(["apt-get", "update", "-q"], timeout_s=_UPDATE_TIMEOUT_S, env=environment)
        programs.run(
            [
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
                "-o",
                "DPkg::Lock::Timeout=300",
                *names,
            ],
            timeout_s=_INSTALL_TIMEOUT_S,
            env=environment,
        )
