"""Models from a volume and from a bucket, as pods get them: claims, Secrets, digests."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from bench.scene import Object, Scene, Target, eventually, manifest
from sandbox import places, venvs

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
def secret(scene: Scene, tmp_path: Path) -> Iterator[str]:
    """A Secret with the way to an S3 server on this machine that holds the model."""
    home = venvs.ensure("s3server.txt", why="an S3 server for tests", log=print)
    host, log = scene.ground.host_address, tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [home / "bin" / "python", "-m", "moto.server", "-H", host, "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        url = eventually(lambda: _listening(log, host), what="the S3 server listens", timeout_s=60)
        urllib.request.urlopen(urllib.request.Request(f"{url}/models", method="PUT"), timeout=10)
        bucket = S3Store(
            "models",
            endpoint=url,
            access_key_id="testing",
            secret_access_key="testing",
            region="us-east-1",
            client_options={"allow_http": True},
        )
        obstore.put(bucket, "identity/1.onnx", IDENTITY.read_bytes())
        values = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        metadata = {"name": "bucket", "namespace": "e2e"}
        scene.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
        )
        yield "bucket"
        scene.delete(BUCKET)
    finally:
        process.kill()
        process.wait()


def _listening(log: Path, host: str) -> str | None:
    start = f"http://{host}:"
    lines = [line for line in log.read_text().splitlines() if start in line]
    return start + lines[0].rsplit(":", 1)[1].split()[0].strip("/") if lines else None


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
