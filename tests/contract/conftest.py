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
from slipway_operator.adapters.kube_resources import CUSTOM_RESOURCE_DEFINITIONS
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
    """Apply crds/*.yaml and wait until the API server serves them."""
    async with KubeClient(access) as client:
        for path in sorted(CRDS.glob("*.yaml")):
            body = yaml.safe_load(path.read_text())
            await client.apply(CUSTOM_RESOURCE_DEFINITIONS, body, manager="tests")
            await _await_established(client, body["metadata"]["name"])


async def _await_established(client: KubeClient, name: str) -> None:
    deadline_s = time.monotonic() + ESTABLISHED_TIMEOUT_S
    while time.monotonic() < deadline_s:
        body = await client.get(CUSTOM_RESOURCE_DEFINITIONS, name)
        conditions: list[dict[str, Any]] = body["status"].get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} is not served after {ESTABLISHED_TIMEOUT_S} s")
