"""What an operator behind the gateway sees of the API server."""

import pytest

from sandbox.apiserver import ApiServer
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kubeconfig import ClusterAccess, read_kubeconfig
from tests.writes.gateway import Gateway, Upstream

pytestmark = pytest.mark.contract

NAMESPACE = "long-lists"
PACKED_BYTES_MIN = 128 * 1024  # the API server packs what is longer, for whoever takes it packed


async def test_a_list_so_long_that_the_api_server_would_pack_it_can_be_read(
    api_server: ApiServer,
) -> None:
    access = read_kubeconfig(api_server.kubeconfig)
    upstream = Upstream(access)
    gateway = await Gateway(
        upstream, NAMESPACE, meet=lambda _: None, landed=lambda *_: None, crash=lambda: None
    ).start()
    try:
        async with KubeClient(ClusterAccess(server=gateway.url, namespace=NAMESPACE)) as client:
            await client.apply(kinds.NAMESPACES, {"metadata": {"name": NAMESPACE}}, manager="tests")
            metadata = {"name": "long", "namespace": NAMESPACE}
            body = {"metadata": metadata, "data": {"text": PACKED_BYTES_MIN * "x"}}
            await client.create(kinds.CONFIG_MAPS, body)

            found = await client.list(kinds.CONFIG_MAPS, namespace=NAMESPACE)
    finally:
        await gateway.close()
        await upstream.close()

    assert [item["data"] for item in found.items] == [body["data"]]
