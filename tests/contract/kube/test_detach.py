"""The word of an uninstall, in a real API server: given once, heard, and waited for."""

import asyncio

import pytest

from slipway_api import names
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.detach import DetachError, detach
from slipway_operator.shell.attachment import Attachment

pytestmark = pytest.mark.contract

NAMESPACE = "detach"


@pytest.fixture
async def operator(kube: KubeClient) -> None:
    """The operator's Deployment, which nobody runs here."""
    labels = {"app": "operator"}
    pod = {"containers": [{"name": "operator", "image": "none"}]}
    body = {
        "metadata": {"name": names.OPERATOR_DEPLOYMENT, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    await kube.apply(kinds.NAMESPACES, {"metadata": {"name": NAMESPACE}})
    await kube.delete(kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=NAMESPACE)
    await kube.apply(kinds.DEPLOYMENTS, body)


@pytest.fixture
async def published(kube: KubeClient) -> None:
    """Clients of a deployment that are led to a router."""
    labels = {
        names.LABEL_DEPLOYMENT: "churn",
        names.LABEL_MANAGED_BY: names.MANAGER,
        "kubernetes.io/service-name": "churn",
        "endpointslice.kubernetes.io/managed-by": names.GROUP,
    }
    body = {
        "metadata": {"name": "churn", "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "http", "port": 10000}],
    }
    await kube.apply(kinds.ENDPOINT_SLICES, body)


async def test_the_operator_hears_it_and_the_hook_waits_for_the_last_client(
    kube: KubeClient, operator: None, published: None
) -> None:
    news: list[bool] = []
    heard = Attachment(kube, NAMESPACE, changed=lambda: news.append(True))
    await heard.read()
    assert not heard.is_detaching

    hook = asyncio.create_task(detach(kube, NAMESPACE, patience_s=20))
    async with asyncio.timeout(10):
        while not heard.is_detaching:
            await heard.read()
    assert news == [True]
    assert not hook.done()
    await kube.delete(kinds.ENDPOINT_SLICES, "churn", namespace=NAMESPACE)

    await asyncio.wait_for(hook, 10)


async def test_a_deployment_that_is_being_deleted_takes_nobody_back(
    kube: KubeClient, operator: None
) -> None:
    heard = Attachment(kube, NAMESPACE, changed=lambda: None)
    await detach(kube, NAMESPACE, patience_s=5)
    await heard.read()

    await kube.delete(kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=NAMESPACE)
    await heard.read()

    assert heard.is_detaching


async def test_who_leads_after_the_deployment_is_gone_takes_nobody_back(
    kube: KubeClient, operator: None
) -> None:
    await kube.delete(kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=NAMESPACE)
    heard = Attachment(kube, NAMESPACE, changed=lambda: None)

    await heard.read()

    assert heard.is_detaching


async def test_taking_the_annotation_away_takes_clients_back(
    kube: KubeClient, operator: None
) -> None:
    heard = Attachment(kube, NAMESPACE, changed=lambda: None)
    await detach(kube, NAMESPACE, patience_s=5)
    await heard.read()
    gone = {"metadata": {"annotations": {names.ANNOTATION_DETACH: None}}}
    await kube.patch(kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=NAMESPACE, body=gone)

    await heard.read()

    assert not heard.is_detaching


async def test_an_operator_that_does_nothing_is_reported_with_who_would_be_cut_off(
    kube: KubeClient, operator: None, published: None
) -> None:
    with pytest.raises(DetachError, match=r"clients of detach/churn still need the routers"):
        await detach(kube, NAMESPACE, patience_s=0)
    await kube.delete(kinds.ENDPOINT_SLICES, "churn", namespace=NAMESPACE)


async def test_without_an_operator_there_is_nothing_to_wait_for(kube: KubeClient) -> None:
    await asyncio.wait_for(detach(kube, "default"), 10)
