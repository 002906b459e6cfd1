"""Pools decide where model pods run: on nodes with GPUs, or anywhere but there."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from bench.scene import STARTED_S, Scene, Target, eventually, manifest
from sandbox import places

pytestmark = pytest.mark.e2e

GPU: Final = "nvidia.com/gpu"
SAMPLE: Final = places.checkout() / "manifests" / "samples" / "gpu_pool.yaml"
ON_GPU: Final = Target("e2e", "on-gpu")
ON_CPU: Final = Target("e2e", "on-cpu")
GPU_COUNT: Final = 3
SMALL: Final = {"cpu": "10m", "memory": "96Mi"}


@pytest.fixture(scope="module")
def gpu_node(scene: Scene) -> Iterator[str]:
    """A node that has GPUs, as far as the scheduler can tell, and is kept for who needs them."""
    node = scene.ground.cluster.nodes[-1].name
    pool = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    scene.kubectl("label", "node", node, "slipway.dev/pool=gpu", "--overwrite")
    scene.kubectl("taint", "node", node, f"{GPU}=present:NoSchedule", "--overwrite")
    patch(scene, node, GPU_COUNT)
    eventually(
        lambda: scene.read("node", node)["status"]["allocatable"].get(GPU) == str(GPU_COUNT),
        what=f"{node} offers GPUs",
    )
    scene.apply(pool)
    yield node
    scene.delete(ON_GPU, ON_CPU)
    scene.kubectl("delete", "computepool", pool["metadata"]["name"])
    patch(scene, node, None)
    scene.kubectl("taint", "node", node, f"{GPU}-")
    scene.kubectl("label", "node", node, "slipway.dev/pool-")


def patch(scene: Scene, node: str, count: int | None) -> None:
    """Let a node have so many GPUs, or none any more."""
    have = {GPU: None if count is None else str(count)}
    status = {"status": {"capacity": have, "allocatable": have}}
    scene.kubectl(
        *("patch", "node", node, "--subresource=status", "--type=merge"),
        f"--patch={json.dumps(status)}",
    )


def nodes_of(scene: Scene, target: Target) -> set[str]:
    return {pod["spec"]["nodeName"] for pod in scene.pods(target)}


def small(pool: str, replicas: int) -> dict[str, Any]:
    return {"pool": pool, "replicas": replicas, "resources": {"requests": SMALL}}


def test_deployments_land_on_the_nodes_of_their_pool_and_nowhere_else(
    scene: Scene, gpu_node: str
) -> None:
    scene.apply(
        manifest(ON_GPU, compute=small("gpu", GPU_COUNT)),
        manifest(ON_CPU, compute=small("cpu", 3)),
    )

    scene.serves(ON_GPU, timeout_s=STARTED_S)
    scene.serves(ON_CPU, timeout_s=STARTED_S)

    assert nodes_of(scene, ON_GPU) == {gpu_node}
    assert gpu_node not in nodes_of(scene, ON_CPU)
    given = [pod["spec"]["containers"][0]["resources"]["limits"] for pod in scene.pods(ON_GPU)]
    assert [limits[GPU] for limits in given] == ["1"] * GPU_COUNT
    assert scene.ask(ON_GPU.host).status == "200"
