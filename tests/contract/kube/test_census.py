"""Which deployments there are, while events get lost and the API server goes away."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from slipway_api import names
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import Unreachable
from slipway_operator.adapters.kube_resources import MODEL_DEPLOYMENTS, NAMESPACES, SERVICES
from slipway_operator.adapters.kubeconfig import ClusterAccess
from slipway_operator.shell.census import Census, Owner
from tests.contract.kube.fault_proxy import FaultProxy

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

NAMESPACE = "census"


@dataclass
class Routers:
    """What routers have that nobody has put, and what was taken from them."""

    strangers: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def unknown_owners(self) -> list[str]:
        return self.strangers

    def confirm_removed(self, owner: str) -> None:
        self.removed.append(owner)


@dataclass
class Ground:
    """A census behind a proxy, and what it said."""

    census: Census
    proxy: FaultProxy
    routers: Routers
    woken: list[Owner]


@pytest.fixture
async def ground(kube_access: ClusterAccess, kube: KubeClient) -> AsyncIterator[Ground]:
    await kube.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        routers, woken = Routers(), list[Owner]()
        census = Census(client, routers=routers, wake=woken.append)
        yield Ground(census, proxy, routers, woken)


async def make(kube: KubeClient, name: str, *, version: str = "1") -> Owner:
    model = {"name": "m", "version": version, "uri": "s3://models/m"}
    body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"model": model}}
    await kube.apply(MODEL_DEPLOYMENTS, body)
    return NAMESPACE, name


def service(name: str, *, of: Owner, port: int = 80) -> dict[str, Any]:
    labels = {names.LABEL_DEPLOYMENT: of[1]}
    metadata = {"name": name, "namespace": of[0], "labels": labels}
    return {"metadata": metadata, "spec": {"ports": [{"port": port}]}}


async def test_a_deletion_that_no_event_told_of_is_found_by_the_next_count(
    ground: Ground, kube: KubeClient
) -> None:
    gone, left = await make(kube, "gone"), await make(kube, "left")
    await ground.census.take()
    await kube.delete(MODEL_DEPLOYMENTS, "gone", namespace=NAMESPACE)

    await ground.census.take()

    assert ground.woken == [gone]
    assert left in ground.census.known
    assert gone not in ground.census.known


async def test_a_change_that_no_event_told_of_is_found_by_the_next_count(
    ground: Ground, kube: KubeClient
) -> None:
    changed, touched, left = [await make(kube, name) for name in ("changed", "touched", "idle")]
    await kube.apply(SERVICES, service("touched-1", of=touched))
    await kube.apply(SERVICES, service("idle-1", of=left))
    await ground.census.take()
    await kube.apply(SERVICES, service("touched-1", of=touched, port=81))
    await make(kube, "changed", version="2")
    new = await make(kube, "new")

    await ground.census.take()
    assert sorted(ground.woken) == sorted([changed, new, touched])

    await ground.census.take()
    assert len(ground.woken) == 3


async def test_an_object_that_goes_unnoticed_is_missed_by_the_next_count(
    ground: Ground, kube: KubeClient
) -> None:
    owner = await make(kube, "robbed")
    await kube.apply(SERVICES, service("robbed-1", of=owner))
    await ground.census.take()
    await kube.delete(SERVICES, "robbed-1", namespace=NAMESPACE)

    await ground.census.take()

    assert ground.woken == [owner]


async def test_a_count_that_fails_changes_nothing(ground: Ground, kube: KubeClient) -> None:
    owner = await make(kube, "kept")
    await ground.census.take()
    before = ground.census.known
    ground.proxy.status = 503

    with pytest.raises(Unreachable):
        await ground.census.take()

    assert ground.census.known == before
    assert owner in before
    assert ground.woken == []


@pytest.mark.parametrize("status", [500, 503, 429, 403, 401])
async def test_only_a_404_takes_a_stranger_from_the_routers(ground: Ground, status: int) -> None:
    """Everything else, above all an API server that is away, may pass."""
    ground.routers.strangers.append(f"{NAMESPACE}/stranger")
    ground.proxy.status = status
    await ground.census.drop_unknown()
    assert ground.routers.removed == []

    ground.proxy.status = None
    await ground.census.drop_unknown()

    assert ground.routers.removed == [f"{NAMESPACE}/stranger"]


async def test_what_exists_but_was_not_counted_stays_at_the_routers(
    ground: Ground, kube: KubeClient
) -> None:
    await make(kube, "late")
    ground.routers.strangers.append(f"{NAMESPACE}/late")

    await ground.census.drop_unknown()

    assert ground.routers.removed == []


async def test_an_event_makes_known_what_the_last_count_did_not_see(ground: Ground) -> None:
    ground.census.heard((NAMESPACE, "new"))
    ground.routers.strangers.append(f"{NAMESPACE}/new")

    await ground.census.drop_unknown()

    assert ground.census.known == ((NAMESPACE, "new"),)
    assert ground.routers.removed == []
