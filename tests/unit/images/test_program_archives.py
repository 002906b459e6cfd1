"""Images of one static program, written without a builder."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from sandbox import archives


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "pause-abc"
    file.write_bytes(b"\x7fELF")
    return file


def member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def test_the_archive_says_which_layer_and_configuration_are_its_own(
    tmp_path: Path, program: Path
) -> None:
    target = tmp_path / "image.tar"

    archives.write_program(target, reference="slipway.local/pause:1", name="pause", program=program)

    (manifest,) = json.loads(member(target, "manifest.json"))
    layer = member(target, manifest["Layers"][0])
    config = member(target, manifest["Config"])
    assert manifest["RepoTags"] == ["slipway.local/pause:1"]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    assert diff_ids == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_the_program_is_the_only_file_and_starts_without_privileges(
    tmp_path: Path, program: Path
) -> None:
    target = tmp_path / "image.tar"

    archives.write_program(target, reference="slipway.local/pause:1", name="pause", program=program)

    (manifest,) = json.loads(member(target, "manifest.json"))
    settings = json.loads(member(target, manifest["Config"]))["config"]
    with tarfile.open(fileobj=io.BytesIO(member(target, manifest["Layers"][0]))) as layer:
        (entry,) = layer.getmembers()
    assert settings == {"Entrypoint": ["/pause"], "User": "65532:65532"}
    assert (entry.name, entry.mode, entry.uid) == ("pause", 0o755, 0)


def test_the_same_program_gives_the_same_bytes(tmp_path: Path, program: Path) -> None:
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"

    for target in (one, two):
        archives.write_program(target, reference="slipway.local/a:1", name="a", program=program)

    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")],
)
def test_machines_have_the_names_that_image_indexes_use(machine: str, architecture: str) -> None:
    assert archives.architecture(machine) == architecture
