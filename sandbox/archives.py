"""Write an image of one static program as a docker-archive, without any image builder.

The format is that of `docker save`: a tar of manifest.json, the image configuration and the layer.
Bytes depend on the arguments alone, so the same program always gives the same image.
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Final

EPOCH: Final = "1970-01-01T00:00:00Z"
NONROOT: Final = "65532:65532"

# Names that the Go tool chain and image indexes use for what Python calls the machine.
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(machine: str | None = None) -> str:
    """Return the image architecture of this machine.

    >>> architecture("x86_64"), architecture("riscv64")
    ('amd64', 'riscv64')
    """
    name = machine or platform.machine()
    return ARCHITECTURES.get(name, name)


def write_program(target: Path, *, reference: str, name: str, program: Path) -> None:
    """Write to `target` an image whose only file is `/name`, a copy of `program`, its entry point.

    The file appears whole or not at all.
    """
    layer = _tar({name: (program.read_bytes(), 0o755)})
    config = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": EPOCH,
            "config": {"Entrypoint": [f"/{name}"], "User": NONROOT},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}"]},
            "history": [{"created": EPOCH, "created_by": f"copy {name}"}],
        },
        sort_keys=True,
    ).encode()
    config_name = f"{_sha256(config)}.json"
    layer_name = f"{_sha256(layer)}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]
    archive = _tar(
        {
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
            config_name: (config, 0o644),
            layer_name: (layer, 0o644),
        }
    )
    partial = target.with_suffix(".partial")
    partial.write_bytes(archive)
    partial.rename(target)


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """Return an uncompressed tar of {path: (content, mode)}, owned by root, without times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
