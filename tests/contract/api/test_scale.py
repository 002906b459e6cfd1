"""The scale subresource in a real API server: what kubectl scale, HPA and KEDA read and write."""

import json
import subprocess
from typing import Final

import pytest

from sandbox.apiserver import ApiServer
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_resources import MODEL_DEPLOYMENTS
from tests.samples.contract_objects import MINIMAL, changed

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

NAME: Final = "scaled"
SCALE: Final = f"/apis/slipway.dev/v1alpha1/namespaces/default/modeldeployments/{NAME}/scale"


def kubectl(server: ApiServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [server.kubectl, f"--kubeconfig={server.kubeconfig}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture
async def scaled(kube: KubeClient):
    """A ModelDeployment that names no replicas, with the status of three pods that serve."""
    body = changed(MINIMAL, "metadata.name", NAME)
    made = await kube.create(MODEL_DEPLOYMENTS, body)
    status = {
        "observedGeneration": 1,
        "replicas": {"stable": 3, "stableReady": 3},
        "selector": f"slipway.dev/deployment={NAME}",
    }
    metadata = {
        "name": NAME,
        "namespace": "default",
        "resourceVersion": made["metadata"]["resourceVersion"],
    }
    await kube.apply_status(MODEL_DEPLOYMENTS, {"metadata": metadata, "status": status})
    yield
    await kube.delete(MODEL_DEPLOYMENTS, NAME, namespace="default")


async def test_kubectl_scale_writes_the_replicas_and_nothing_else(
    scaled: None, kube: KubeClient, api_server: ApiServer
) -> None:
    before = await kube.get(MODEL_DEPLOYMENTS, NAME, namespace="default")

    done = kubectl(api_server, "scale", "md", NAME, "--replicas=5")
    after = await kube.get(MODEL_DEPLOYMENTS, NAME, namespace="default")

    assert (0, "") == (done.returncode, done.stderr)
    assert 5 == after["spec"]["compute"].pop("replicas")
    assert 1 == before["spec"]["compute"].pop("replicas")
    assert before["spec"] == after["spec"]


async def test_an_autoscaler_reads_pods_and_their_selector(
    scaled: None, api_server: ApiServer
) -> None:
    scale = json.loads(kubectl(api_server, "get", "--raw", SCALE).stdout)

    assert {"replicas": 1} == scale["spec"]
    assert {"replicas": 3, "selector": f"slipway.dev/deployment={NAME}"} == scale["status"]


async def test_a_deployment_is_not_scaled_to_nothing(scaled: None, api_server: ApiServer) -> None:
    done = kubectl(api_server, "scale", "md", NAME, "--replicas=0")

    assert done.returncode != 0
    assert "greater than or equal to 1" in done.stderr
