"""The Service that clients call, with Kubernetes' own controllers: to pods and back to routers."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from sandbox import processes
from sandbox.apiserver import ApiServer
from slipway_api import names
from slipway_api.compute_pool import ComputePool
from slipway_api.model_deployment import ModelDeployment
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_resources import Resource
from slipway_operator.engine import actions
from slipway_operator.engine.facts import Front
from slipway_operator.render import workload
from slipway_operator.render.workload import Owner, ServerImage
from slipway_operator.shell import readings
from slipway_operator.shell.act import Actor
from slipway_operator.shell.observe import Snapshot
from tests import builders

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds", "controllers")]

NAMESPACE: Final = "front"
NODE: Final = "front-node"
REVISION: Final = "churn-0a1b2c3d4e"
CONTROLLERS: Final = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)
ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SERVER: Final = ServerImage("slipway/server:0", "Never")
MADE_S: Final = 20.0


@pytest.fixture(scope="module")
def controllers(api_server: ApiServer) -> Iterator[None]:
    """Kubernetes' controllers of endpoints, and no others."""
    programs = api_server.kubectl.parent
    command = [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={api_server.kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    process = processes.start(
        "controllers",
        command,
        log_file=api_server.folder / "controllers.log",
        ends_with_us=True,
    )
    yield
    processes.stop([process])


async def looked(kube: KubeClient) -> tuple[Front | None, list[str]]:
    """Read the front as the operator does, and whose slices clients are led by."""
    label = f"{names.LABEL_DEPLOYMENT}=churn"
    services = await kube.list(kinds.SERVICES, namespace=NAMESPACE, label_selector=label)
    slices = await kube.list(kinds.ENDPOINT_SLICES, namespace=NAMESPACE, label_selector=label)
    own = [s for s in slices.items if s["metadata"]["name"] == "churn"]
    front = readings.front("churn", services.items, slices.items)
    return front, [e["addresses"][0] for s in own for e in s["endpoints"]]


async def until(kube: KubeClient, is_reached: Callable[[Front], object], what: str) -> Front:
    """Look until the front is as wanted."""
    deadline_s = time.monotonic() + MADE_S
    while True:
        front, _ = await looked(kube)
        if front is not None and is_reached(front):
            return front
        assert time.monotonic() < deadline_s, f"{what}: {front}"
        await asyncio.sleep(0.1)


@pytest.fixture
async def snapshot(kube: KubeClient) -> Snapshot:
    """A deployment with one pod that is ready, as far as anybody can tell."""
    for kind, metadata in (
        (kinds.NAMESPACES, {"name": NAMESPACE}),
        (kinds.NODES, {"name": NODE}),
        (ACCOUNTS, {"name": "default", "namespace": NAMESPACE}),
    ):
        await kube.apply(kind, {"metadata": metadata})
    md = {
        "metadata": {"name": "churn", "namespace": NAMESPACE},
        "spec": {"model": {"name": "m", "version": "1", "uri": "s3://models/m"}},
    }
    deployment = ModelDeployment.model_validate(await kube.apply(kinds.MODEL_DEPLOYMENTS, md))
    template = workload.pod_template(deployment, REVISION, pool=ComputePool().spec, server=SERVER)
    await run_pod(kube, workload.owner_of(deployment), template)
    observation = builders.observation(deployment)
    return Snapshot(observation, {REVISION: template}, "1")


async def run_pod(kube: KubeClient, owner: Owner, template: dict[str, Any]) -> None:
    metadata = owner.metadata(f"{REVISION}-x", labels=template["metadata"]["labels"])
    spec = template["spec"] | {"nodeName": NODE}
    await kube.apply(kinds.PODS, {"metadata": metadata, "spec": spec})
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}]}
    await kube.patch(
        kinds.PODS,
        metadata["name"],
        namespace=NAMESPACE,
        subresource="status",
        body={"status": status | {"conditions": [ready]}},
    )


async def test_clients_are_led_to_pods_and_back_and_nothing_is_left_over(
    kube: KubeClient, snapshot: Snapshot
) -> None:
    actor = Actor(kube, server=SERVER)
    publish = actions.PublishAddress(10000, ("10.1.0.1", "10.1.0.2"))
    await actor.act(snapshot, (publish,))
    assert await looked(kube) == (Front(), ["10.1.0.1", "10.1.0.2"])

    await actor.act(snapshot, (actions.LeadToPods(REVISION),))
    front = await until(kube, lambda front: front.has_ready_pods, "Kubernetes' own endpoints")
    assert front.selected == REVISION
    (made,) = front.slices
    slice_ = await kube.get(kinds.ENDPOINT_SLICES, made, namespace=NAMESPACE)
    assert [(port["name"], port["port"]) for port in slice_["ports"]] == [("http", names.PORT_ANY)]
    await actor.act(snapshot, (actions.WithdrawAddress(),))
    assert (await looked(kube))[1] == []

    await actor.act(snapshot, (publish,))
    front = await until(kube, lambda front: front.selected is None, "no selector")
    assert made in front.slices, "Kubernetes leaves it behind"
    front = await until(kube, lambda front: len(front.slices) == 2, "and mirrors the Endpoints")
    await actor.act(snapshot, (actions.SweepEndpoints(front.slices),))

    await until(kube, lambda front: front == Front(), "nothing left, and nothing made again")
    assert (await looked(kube))[1] == ["10.1.0.1", "10.1.0.2"]
    assert await kube.find(kinds.ENDPOINTS, "churn", namespace=NAMESPACE) is None
    service = await kube.get(kinds.SERVICES, "churn", namespace=NAMESPACE)
    assert "selector" not in service["spec"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [10000]


async def test_the_preview_is_a_service_of_its_own_that_leads_to_pods(
    kube: KubeClient, snapshot: Snapshot
) -> None:
    async def seen() -> str | None:
        services = (await kube.list(kinds.SERVICES, namespace=NAMESPACE)).items
        return readings.preview("churn", services)

    actor = Actor(kube, server=SERVER)
    await actor.act(snapshot, (actions.PublishAddress(10000, ("10.1.0.1",)),))
    await actor.act(snapshot, (actions.LeadPreview(REVISION),))

    service = await kube.get(kinds.SERVICES, "churn-preview", namespace=NAMESPACE)
    assert REVISION == await seen() == service["spec"]["selector"][names.LABEL_REVISION]
    assert [("http", 80, names.PORT_ANY)] == [
        (port["name"], port["port"], port["targetPort"]) for port in service["spec"]["ports"]
    ]
    assert (await looked(kube))[1] == ["10.1.0.1"], "clients are led where they were"

    await actor.act(snapshot, (actions.RemovePreview(), actions.RemovePreview()))
    assert await seen() is None
