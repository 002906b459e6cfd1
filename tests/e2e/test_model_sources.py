"""Models from a volume and from a bucket, as pods get them: claims, Secrets, digests."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bucket import Bucket
from bench.scene import Object, Scene, Target, manifest
from sandbox import places

pytestmark = pytest.mark.e2e

VOLUME = Target("e2e", "from-volume")
BUCKET = Target("e2e", "from-bucket")
IDENTITY = places.checkout() / "server" / "slipway_server" / "share" / "identity.onnx"
DIGEST = f"sha256:{hashlib.sha256(IDENTITY.read_bytes()).hexdigest()}"


@pytest.fixture
def claim(scene: Scene, tmp_path: Path) -> Iterator[str]:
    """A claim of a volume that holds the model; a folder of this machine, as nodes see it."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o755)
    for parent in (folder, *list(folder.parents)[:3]):  # pytest's own are closed to other users
        parent.chmod(0o755)
    shutil.copy(IDENTITY, folder / "identity.onnx")
    size = {"storage": "1Mi"}
    shared: Object = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "e2e-models"},
        "spec": shared | {"capacity": size, "hostPath": {"path": str(folder)}},
    }
    wanted = shared | {"resources": {"requests": size}, "volumeName": "e2e-models"}
    metadata = {"name": "models", "namespace": "e2e"}
    scene.apply(
        volume,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": wanted,
        },
    )
    yield "models"
    scene.delete(VOLUME)
    scene.kubectl("delete", "pvc", "models", "--namespace=e2e", "--wait=false")
    scene.kubectl("delete", "pv", "e2e-models", "--wait=false")


@pytest.fixture
def secret(scene: Scene, models_bucket: Bucket) -> Iterator[str]:
    """A Secret with the way to a bucket that holds the model."""
    models_bucket.put("identity/1.onnx", IDENTITY.read_bytes())
    scene.apply(models_bucket.secret("bucket", namespace=BUCKET.namespace))
    yield "bucket"
    scene.delete(BUCKET)


def test_a_model_in_a_volume_serves(scene: Scene, claim: str) -> None:
    model = {"uri": f"pvc://{claim}/identity.onnx", "digest": DIGEST}

    scene.apply(manifest(VOLUME, model=model))

    serving = scene.serves(VOLUME)
    assert scene.ask(VOLUME.host).revision == serving.stable


def test_a_model_in_a_bucket_serves_with_the_keys_of_a_secret(scene: Scene, secret: str) -> None:
    model = {"uri": "s3://models/identity/1.onnx", "digest": DIGEST, "credentialsSecret": secret}

    scene.apply(manifest(BUCKET, model=model))

    serving = scene.serves(BUCKET)
    assert scene.ask(BUCKET.host).revision == serving.stable
