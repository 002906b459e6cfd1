"""What the built images hold, and above all what they do not."""

import json
import tarfile
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from sandbox import images
from sandbox.progress import Progress

pytestmark = pytest.mark.e2e

PACKAGES = "opt/slipway/lib/python3.11/site-packages/"
MIB = 2**20

EXPECTED: dict[str, set[str]] = {
    "operator": {"slipway_operator", "slipway_api", "kopf", "grpc", "envoy"},
    "router": {"slipway_operator", "slipway_api", "envoy"},
    "server": {"slipway_server", "slipway_api", "numpy", "onnxruntime", "grpc"},
}
FORBIDDEN: dict[str, set[str]] = {
    "operator": {"slipway_server", "numpy", "onnxruntime", "kubernetes"},
    "router": {"slipway_server", "kopf", "grpc", "pydantic", "aiohttp", "numpy", "kubernetes"},
    "server": {"slipway_operator", "kopf", "kubernetes", "envoy"},
}
NEVER = {"pip", "setuptools", "wheel", "pytest", "sandbox", "bench"}
SIZE_MIB_MAX = {"operator": 250, "router": 260, "server": 420}


@dataclass(frozen=True, slots=True)
class Content:
    """An image's configuration and the files of all its layers, whiteouts not applied."""

    config: dict[str, Any]
    files: frozenset[str]
    size_bytes: int

    @property
    def packages(self) -> set[str]:
        """Top-level names in the environment's site-packages."""
        found = {
            path.removeprefix(PACKAGES).partition("/")[0]
            for path in self.files
            if path.startswith(PACKAGES)
        }
        return {name for name in found if not name.endswith(".dist-info")}


@pytest.fixture(scope="module", params=get_args(images.BuiltImage))
def name(request: pytest.FixtureRequest) -> images.BuiltImage:
    chosen: images.BuiltImage = request.param
    return chosen


@pytest.fixture(scope="module")
def content(name: images.BuiltImage) -> Content:
    archive = images.ensure(name, log=Progress())
    with tarfile.open(archive.path) as outer:
        (manifest,) = json.loads(read(outer, "manifest.json"))
        files: set[str] = set()
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                files.update(entry.name.removeprefix("./") for entry in inner)
        config = json.loads(read(outer, manifest["Config"]))
    return Content(
        config=config["config"], files=frozenset(files), size_bytes=archive.path.stat().st_size
    )


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_an_image_holds_its_program(name: images.BuiltImage, content: Content) -> None:
    assert content.packages >= EXPECTED[name]


def test_an_image_holds_nothing_of_the_other_programs(
    name: images.BuiltImage, content: Content
) -> None:
    assert content.packages & (FORBIDDEN[name] | NEVER) == set()


def test_no_installer_and_no_cache_is_left(content: Content) -> None:
    leftovers = ("build/", "package/", "opt/build/", "root/.cache/", "wheels/")

    assert not [path for path in content.files if path.startswith(leftovers)]
    assert "opt/slipway/bin/pip" not in content.files


def test_programs_run_without_privileges_and_write_no_bytecode(content: Content) -> None:
    assert content.config["User"] == "65532:65532"
    assert content.config["Entrypoint"][:2] == ["/opt/slipway/bin/python", "-m"]
    assert "PYTHONDONTWRITEBYTECODE=1" in content.config["Env"]


def test_bytecode_is_there_from_the_start(content: Content) -> None:
    ours = [path for path in content.files if path.startswith(f"{PACKAGES}slipway_api/")]

    assert f"{PACKAGES}slipway_api/__pycache__/names.cpython-311.pyc" in ours


def test_images_stay_small(name: images.BuiltImage, content: Content) -> None:
    assert content.size_bytes / MIB < SIZE_MIB_MAX[name]


def test_the_server_brings_a_model_that_needs_no_store(
    name: images.BuiltImage, content: Content
) -> None:
    has_model = "opt/slipway/share/identity.onnx" in content.files

    assert has_model == (name == "server")


def test_the_server_reports_to_nobody(name: images.BuiltImage, content: Content) -> None:
    is_silenced = "ORT_DISABLE_TELEMETRY=1" in content.config["Env"]

    assert is_silenced == (name == "server")


def test_a_second_build_takes_the_first_ones_archive(name: images.BuiltImage) -> None:
    lines: list[str] = []

    images.ensure(name, log=lines.append)

    assert lines == []
