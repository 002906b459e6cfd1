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

# What the environment brings along. Helm 3 renders and lints the chart without a compiler; people
# still use it, so the chart is installed with both.
INSTALLED: Final = {"helm3": "helm", "envoy": "envoy"}


@dataclass(frozen=True, slots=True)
class Source:
    """A Go module below `sandbox/go`, and what its program is for.

    `package` is the main package, that of the module itself or one that it requires. `stamps` are
    what the program's own build scripts set at link time: the import path of a variable, and its
    value with {version}, {major} and {minor} of the module `version_of`.
    """

    folder: str
    why: str
    package: str = "."
    version_of: str | None = None
    stamps: tuple[tuple[str, str], ...] = ()

    def variables(self, go_mod: str) -> dict[str, str]:
        """Return what to set at link time, by import path."""
        if self.version_of is None:
            return {}
        version = golang.module_version(go_mod, self.version_of)
        major, minor, _ = golang.version_in(version)
        return {
            name: value.format(version=version, major=major, minor=minor)
            for name, value in self.stamps
        }


BUILT: Final[Mapping[str, Source]] = {
    "hyperkube": Source(
        "kube",
        "Kubernetes and etcd in one program; 6 minutes the first time",
        version_of="k8s.io/kubernetes",
        stamps=tuple(
            (f"{package}.{name}", value)
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for name, value in (
                ("gitVersion", "{version}"),
                ("gitMajor", "{major}"),
                ("gitMinor", "{minor}"),
            )
        ),
    ),
    "helm": Source(
        "helm",
        "Helm 4, which installs the chart; 3 minutes the first time",
        package="helm.sh/helm/v4/cmd/helm",
        version_of="helm.sh/helm/v4",
        stamps=(("helm.sh/helm/v4/internal/version.version", "{version}"),),
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
            golang.build(
                module,
                output,
                package=source.package,
                variables=variables,
                places=where,
                log=log,
            )
    return output


def kube_programs(*, log: Log) -> Path:
    """Return a folder with every name of `KUBE_PROGRAMS`, made for use in PATH."""
    binary = ensure("hyperkube", log=log)
    folder = binary.with_name(binary.name.replace("hyperkube", "kube"))
    return _linked(folder, binary, KUBE_PROGRAMS)


def helm_folder(*, log: Log) -> Path:
    """Return a folder with Helm 4 as `helm`, made for use in PATH."""
    binary = ensure("helm", log=log)
    return _linked(binary.with_name(binary.name.replace("helm", "path-helm")), binary, ("helm",))


def _linked(folder: Path, binary: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
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
    path = Path(sys.executable).parent / INSTALLED[tool]
    if not path.exists():
        raise SandboxError(f"{path} is absent; run this through ./dev, which installs it")
    return path
