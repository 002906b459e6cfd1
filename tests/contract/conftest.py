"""Access to the shared API server, with Slipway's kinds installed."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sandbox.apiserver import ApiServer
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import NotFound, Unreachable
from slipway_operator.adapters.kube_resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from slipway_operator.adapters.kubeconfig import ClusterAccess, read_kubeconfig

CRDS: Final = Path(__file__).parents[2] / "crds"
ESTABLISHED_TIMEOUT_S: Final = 20.0


@pytest.fixture(scope="session")
def kube_access(api_server: ApiServer) -> ClusterAccess:
    """Say how to reach the shared API server as administrator."""
    return read_kubeconfig(api_server.kubeconfig)


@pytest.fixture(scope="session")
def crds(kube_access: ClusterAccess) -> None:
    """Install the generated definitions and wait until they are served."""
    asyncio.run(install_crds(kube_access))


@pytest.fixture
async def kube(kube_access: ClusterAccess) -> AsyncIterator[KubeClient]:
    """Give our own client of the shared API server."""
    async with KubeClient(kube_access) as client:
        yield client


async def install_crds(access: ClusterAccess) -> None:
    """Apply crds/*.yaml and wait until the API server lists and watches them."""
    async with KubeClient(access) as client:
        for path in sorted(CRDS.glob("*.yaml")):
            body = yaml.safe_load(path.read_text())
            await client.apply(CUSTOM_RESOURCE_DEFINITIONS, body, manager="tests")
            await _await_served(client, body)


async def _await_served(client: KubeClient, definition: dict[str, Any]) -> None:
    """Established is not enough: storage is set up once more when the status has changed."""
    spec = definition["spec"]
    kind = Resource(
        spec["group"],
        spec["versions"][0]["name"],
        spec["names"]["plural"],
        spec["names"]["kind"],
        is_namespaced=spec["scope"] == "Namespaced",
    )
    deadline_s = time.monotonic() + ESTABLISHED_TIMEOUT_S
    while True:
        try:
            listing = await client.list(kind)
            watch = client.watch(kind, resource_version=listing.resource_version, timeout_s=1)
            async for _ in watch:
                pass
        except (NotFound, Unreachable):
            assert time.monotonic() < deadline_s, f"{kind.plural} are not served"
            await asyncio.sleep(0.05)
        else:
            return
