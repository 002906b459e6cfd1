"""Requests to the real API server are counted by verb and code, lost ones too."""

from collections import Counter

import pytest

from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import Unreachable
from slipway_operator.adapters.kubeconfig import ClusterAccess
from tests.contract.router.pods import free_port

pytestmark = pytest.mark.contract


async def test_each_request_is_counted_with_what_came_of_it(kube_access: ClusterAccess) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    config = {"metadata": {"name": "counted", "namespace": "default"}, "type": "Opaque"}

    async with KubeClient(
        kube_access, fence=lambda: None, told=lambda verb, code: seen.update([(verb, code)])
    ) as client:
        await client.create(kinds.SECRETS, config)
        await client.get(kinds.SECRETS, "counted", namespace="default")
        await client.find(kinds.SECRETS, "absent", namespace="default")
        await client.list(kinds.SECRETS, namespace="default")
        await client.apply(kinds.SECRETS, config)
        await client.delete(kinds.SECRETS, "counted", namespace="default")

    assert seen == {
        ("create", 201): 1,
        ("get", 200): 1,
        ("get", 404): 1,
        ("list", 200): 1,
        ("patch", 200): 1,
        ("delete", 200): 1,
    }


async def test_a_request_that_nobody_answers_has_code_0() -> None:
    seen: list[tuple[str, int]] = []
    access = ClusterAccess(server=f"http://127.0.0.1:{free_port()}")

    async with KubeClient(
        access, fence=lambda: None, told=lambda verb, code: seen.append((verb, code))
    ) as client:
        with pytest.raises(Unreachable):
            await client.get(kinds.SECRETS, "any", namespace="default")

    assert seen == [("get", 0)]
