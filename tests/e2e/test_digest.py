"""Bytes that change behind a revision's back: what the first pod loaded is what all must load."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import files
from bench.scene import STARTED_S, Scene, Target, eventually, manifest
from sandbox import places

pytestmark = pytest.mark.e2e

MOVING = Target("e2e", "moving")
IDENTITY = places.checkout() / "server" / "slipway_server" / "share" / "identity.onnx"


@pytest.fixture
def folder(scene: Scene, tmp_path: Path) -> Iterator[Path]:
    """Where the model lies; whoever writes there changes what the next pod downloads."""
    (tmp_path / "model.onnx").write_bytes(IDENTITY.read_bytes())
    yield tmp_path
    scene.delete(MOVING)


def annotations(scene: Scene, revision: str) -> dict[str, str] | None:
    found = scene.read("controllerrevision", revision, "--namespace=e2e")
    noted: dict[str, str] | None = found["metadata"].get("annotations")
    return noted


def test_a_later_pod_that_finds_other_bytes_does_not_serve(scene: Scene, folder: Path) -> None:
    first = folder / "model.onnx"
    digest = f"sha256:{hashlib.sha256(first.read_bytes()).hexdigest()}"
    with files.serve(folder, address=scene.ground.host_address) as url:
        wanted = manifest(MOVING, model={"uri": f"{url}/model.onnx"}, compute={"replicas": 1})
        scene.apply(wanted)
        stable = scene.serves(MOVING).stable
        record = eventually(lambda: annotations(scene, str(stable)), what="the digest is recorded")
        assert record == {"slipway.dev/model-digest": digest}

        # Another model, as good as the first, and not what was rolled out.
        first.write_bytes(IDENTITY.read_bytes() + b"\x12\x00")
        wanted["spec"]["compute"]["replicas"] = 2
        scene.apply(wanted)

        refused = eventually(
            lambda: [
                said
                for pod in scene.pods(MOVING)
                for container in pod["status"].get("containerStatuses", [])
                for said in [str(container.get("state")) + str(container.get("lastState"))]
                if "digest mismatch" in said
            ],
            what="the second pod refuses the other bytes",
            timeout_s=STARTED_S,
        )
    assert digest in refused[0]
    assert scene.ask(MOVING.host).revision == stable
    assert scene.status(MOVING).replicas.stable_ready == 1
