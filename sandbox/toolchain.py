"""The programs that the sandbox runs: built from Go once, found in the environment, or Debian's.

A program built here is cached under a hash of its sources, so nothing is rebuilt without reason
and two checkouts never overwrite each other's. Knows nothing of clusters.
"""

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import debian, golang, locks
from sandbox import places as places_module
from sandbox.errors import SandboxError
from sandbox.progress import Log, silent

KUBE_PROGRAMS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

INSTALLED: Final = ("helm", "envoy")


@dataclass(frozen=True, slots=True)
class Source:
    """A Go module below `sandbox/go`, and what its program is for."""

    folder: str
    why: str
    # A module whose version the program states as its own, and the packages that hold it.
    version_of: str | None = None
    version_packages: tuple[str, ...] = ()

    def variables(self, go_mod: str) -> dict[str, str]:
        """Return what to set at link time, which Kubernetes' own build scripts would set."""
        if self.version_of is None:
            return {}
        version = golang.module_version(go_mod, self.version_of)
        major, minor, _ = golang.version_in(version)
        values = {"gitVersion": version, "gitMajor": str(major), "gitMinor": str(minor)}
        return {
            f"{package}.{name}": value
            for package in self.version_packages
            for name, value in values.items()
        }


BUILT: Final[Mapping[str, Source]] = {
    "hyperkube": Source(
        "kube",
        "Kubernetes and etcd in one program; 6 minutes the first time",
        version_of="k8s.io/kubernetes",
        version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
    ),
    "coredns": Source("coredns", "the cluster's DNS server; 2 minutes the first time"),
    "pause": Source("pause", "the first process of every pod"),
}


def ensure(tool: str, *, log: Log = silent) -> Path:
    """Return the path of a program in `BUILT`, `INSTALLED` or `debian.PROGRAMS`.

    One that is not there is built, or fetched.
    """
    if tool in INSTALLED:
        return _installed(tool)
    if tool in debian.PROGRAMS:
        return debian.ensure(tool, places=places_module.places(), log=log)
    source = BUILT[tool]
    where = places_module.places()
    module = places_module.checkout() / "sandbox" / "go" / source.folder
    variables = source.variables((module / "go.mod").read_text(encoding="utf-8"))
    output = where.bin / f"{tool}-{source_hash(module, salt=repr(sorted(variables.items())))}"
    if output.exists():
        return output
    # One lock for all programs: parallel builds of shared packages do the same work twice.
    with locks.held(where.locks / "go-build.lock", log=log):
        if not output.exists():
            log(f"{tool} is needed: {source.why}")
            golang.build(module, output, variables=variables, places=where, log=log)
    return output


def kube_programs(*, log: Log) -> Path:
    """Return a folder with every name of `KUBE_PROGRAMS`, made for use in PATH."""
    binary = ensure("hyperkube", log=log)
    folder = binary.with_name(binary.name.replace("hyperkube", "kube"))
    folder.mkdir(exist_ok=True)
    for name in KUBE_PROGRAMS:
        link = folder / name
        if not link.is_symlink():
            # Another process may be doing the same; both make the same link.
            try:
                link.symlink_to(Path("..") / binary.name)
            except FileExistsError:
                continue
    return folder


def source_hash(module: Path, *, salt: str = "") -> str:
    """Return 12 hexadecimal digits over a Go module's files, this architecture and `salt`."""
    digest = hashlib.sha256(f"{platform.machine()} {salt}".encode())
    for path in sorted(module.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(module)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _installed(tool: str) -> Path:
    path = Path(sys.executable).parent / tool
    if not path.exists():
        raise SandboxError(f"{path} is absent; run this through ./dev, which installs it")
    return path
