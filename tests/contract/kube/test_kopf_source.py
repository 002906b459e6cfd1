"""kopf as event source against a real API server, its refusals and its death."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import orjson
import pytest

from sandbox import processes
from sandbox.apiserver import ApiServer
from slipway_operator.adapters.event_source import Key, KeyKind
from slipway_operator.adapters.kopf_source import KopfSource
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, Conflict
from slipway_operator.adapters.kube_http import Object, Request
from slipway_operator.adapters.kube_resources import (
    COMPUTE_POOLS,
    MODEL_DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SERVICES,
)
from slipway_operator.adapters.kubeconfig import ClusterAccess, read_kubeconfig
from tests.contract.conftest import install_crds
from tests.contract.kube.fault_proxy import FaultProxy

pytestmark = pytest.mark.contract

OPERATOR_NAMESPACE: Final = "kopf-operator"
START_S: Final = 20.0
RECOVERY_S: Final = 45.0  # kopf needs some seconds to die, we at most 5 to start it again


class Sink:
    """Counts the keys it gets, in the test's own loop."""

    def __init__(self) -> None:
        self.keys: Counter[Key] = Counter()

    def __call__(self, key: Key) -> None:
        asyncio.get_running_loop()
        self.keys[key] += 1


async def until(is_true: Callable[[], bool], *, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def running(access: ClusterAccess) -> AsyncIterator[tuple[KopfSource, Sink]]:
    source, sink = KopfSource(access, operator_namespace=OPERATOR_NAMESPACE), Sink()
    source.start(sink)
    try:
        yield source, sink
    finally:
        await source.stop()


def model(name: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"name": "m", "version": "1", "uri": "s3://models/m"}},
    }


def key_of(name: str) -> Key:
    return Key(KeyKind.MODEL_DEPLOYMENT, "default", name)


async def create_models(kube: KubeClient, *names: str) -> None:
    for name in names:
        await kube.apply(MODEL_DEPLOYMENTS, model(name))


async def create_pod(
    kube: KubeClient, namespace: str, name: str, *, labels: dict[str, str]
) -> None:
    """Create a pod; without controllers its namespace has no service account yet."""
    await kube.apply(NAMESPACES, {"metadata": {"name": namespace}})
    account = orjson.dumps({"metadata": {"name": "default"}})
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    with suppress(Conflict):
        await kube.raw(Request("POST", path, data=account))
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    spec = {
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "example.com/c:1"}],
    }
    await kube.apply(PODS, {"metadata": metadata, "spec": spec})


@pytest.mark.usefixtures("crds")
async def test_everything_made_for_a_deployment_wakes_it(
    kube: KubeClient, kube_access: ClusterAccess
) -> None:
    await create_models(kube, "before")
    async with running(kube_access) as (source, sink):
        await until(lambda: sink.keys[key_of("before")] > 0, within_s=START_S)

        await kube.apply(
            SERVICES,
            {
                "metadata": {
                    "name": "kopf-child",
                    "namespace": "default",
                    "labels": {"slipway.dev/deployment": "owner-of-service"},
                },
                "spec": {"ports": [{"port": 80}]},
            },
        )
        labels = {"slipway.dev/deployment": "owner-of-pod"}
        await create_pod(kube, "default", "kopf-pod", labels=labels)
        await create_pod(kube, "default", "kopf-foreign", labels={"app": "foreign"})
        router = {"app.kubernetes.io/component": "router"}
        await create_pod(kube, OPERATOR_NAMESPACE, "router-1", labels=router)
        await create_pod(kube, "default", "foreign-router", labels=router)
        await kube.apply(COMPUTE_POOLS, {"metadata": {"name": "kopf-pool"}, "spec": {}})

        expected = {
            key_of("owner-of-service"),
            key_of("owner-of-pod"),
            Key(KeyKind.ROUTER, OPERATOR_NAMESPACE, "router-1"),
            Key(KeyKind.COMPUTE_POOL, "", "kopf-pool"),
        }
        await until(lambda: expected <= set(sink.keys), within_s=10)
        assert not [key for key in sink.keys if "foreign" in key.name]
        assert source.restart_count == 0
        assert source.is_alive


@pytest.mark.usefixtures("crds")
async def test_a_status_wakes_nobody_but_commands_specs_and_deletions_do(
    kube: KubeClient, kube_access: ClusterAccess
) -> None:
    await create_models(kube, "quiet")
    quiet = key_of("quiet")
    async with running(kube_access) as (_, sink):
        await until(lambda: sink.keys[quiet] == 1, within_s=START_S)

        for phase in ("Pending", "Serving"):
            body = await kube.get(MODEL_DEPLOYMENTS, "quiet", namespace="default")
            metadata = {k: body["metadata"][k] for k in ("name", "namespace", "resourceVersion")}
            await kube.apply_status(
                MODEL_DEPLOYMENTS, {"metadata": metadata, "status": {"phase": phase}}
            )
        await create_models(kube, "later")
        await until(lambda: sink.keys[key_of("later")] == 1, within_s=10)
        assert sink.keys[quiet] == 1

        command = {"metadata": {"annotations": {"slipway.dev/command": "pause@r#1"}}}
        await kube.patch(MODEL_DEPLOYMENTS, "quiet", namespace="default", body=command)
        await until(lambda: sink.keys[quiet] == 2, within_s=10)

        spec = {"spec": {"model": {"version": "2"}}}
        await kube.patch(MODEL_DEPLOYMENTS, "quiet", namespace="default", body=spec)
        await until(lambda: sink.keys[quiet] == 3, within_s=10)

        await kube.delete(MODEL_DEPLOYMENTS, "quiet", namespace="default")
        await until(lambda: sink.keys[quiet] == 4, within_s=10)


@pytest.mark.usefixtures("crds")
async def test_objects_carry_no_trace_of_kopf(kube: KubeClient, kube_access: ClusterAccess) -> None:
    await create_models(kube, "untouched")
    async with running(kube_access) as (_, sink):
        await until(lambda: sink.keys[key_of("untouched")] > 0, within_s=START_S)

    body = await kube.get(MODEL_DEPLOYMENTS, "untouched", namespace="default")

    assert not {"finalizers", "annotations"} & set(body["metadata"])
    assert {entry["manager"] for entry in body["metadata"]["managedFields"]} == {"slipway"}


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.usefixtures("crds")
async def test_kopf_is_started_again_after_what_kills_it(
    kube: KubeClient, kube_access: ClusterAccess, status: int
) -> None:
    async with FaultProxy.run(kube_access) as proxy, running(proxy.access) as (source, sink):
        before, after = f"before-{status}", f"after-{status}"
        await create_models(kube, before)
        await until(lambda: sink.keys[key_of(before)] > 0, within_s=START_S)

        proxy.status = status
        proxy.cut()
        await until(lambda: source.restart_count > 0, within_s=RECOVERY_S)
        proxy.status = None
        await create_models(kube, after)

        await until(lambda: sink.keys[key_of(after)] > 0, within_s=RECOVERY_S)
        assert source.is_alive


@pytest.mark.usefixtures("crds")
async def test_kinds_that_kopf_did_not_find_at_its_start_are_watched_later(
    kube: KubeClient, kube_access: ClusterAccess
) -> None:
    """An API server that has just started answers 404 for a while; kopf then idles for ever."""
    labels = {"app.kubernetes.io/component": "router"}
    await create_pod(kube, OPERATOR_NAMESPACE, "router-late", labels=labels)
    async with FaultProxy.run(kube_access) as proxy:
        proxy.status, proxy.path = 404, "/api/v1"
        async with running(proxy.access) as (_, sink):
            await until(lambda: proxy.refusal_count >= 2, within_s=START_S)
            proxy.status = None

            router = Key(KeyKind.ROUTER, OPERATOR_NAMESPACE, "router-late")
            await until(lambda: sink.keys[router] > 0, within_s=RECOVERY_S)


@pytest.mark.usefixtures("crds")
async def test_refused_credentials_are_tried_again_at_leisure(
    kube: KubeClient, kube_access: ClusterAccess
) -> None:
    async with FaultProxy.run(kube_access) as proxy, running(proxy.access) as (source, sink):
        await create_models(kube, "before-refusal")
        await until(lambda: sink.keys[key_of("before-refusal")] > 0, within_s=START_S)

        proxy.status = 401
        proxy.refusal_count = 0
        proxy.cut()
        await asyncio.sleep(6)  # the refusals themselves, not a wait for something
        assert 0 < proxy.refusal_count < 100
        proxy.status = None
        await create_models(kube, "after-refusal")

        await until(lambda: sink.keys[key_of("after-refusal")] > 0, within_s=RECOVERY_S)
        assert source.is_alive


async def test_events_wait_for_the_kinds_to_be_installed(tmp_path: Path) -> None:
    with ApiServer.start(tmp_path) as server:
        access = read_kubeconfig(server.kubeconfig)
        async with KubeClient(access) as kube, running(access) as (source, sink):
            await until(lambda: source.restart_count > 0, within_s=START_S)

            await install_crds(access)
            await create_models(kube, "first")

            await until(lambda: sink.keys[key_of("first")] > 0, within_s=RECOVERY_S)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[ApiServer]:
    """Give an API server of the test's own, which it may kill."""
    with ApiServer.start(tmp_path) as server:
        yield server


async def test_events_go_on_after_the_api_server_was_killed(mortal: ApiServer) -> None:
    access = read_kubeconfig(mortal.kubeconfig)
    await install_crds(access)
    async with KubeClient(access) as kube, running(access) as (source, sink):
        await create_models(kube, "before-kill")
        await until(lambda: sink.keys[key_of("before-kill")] > 0, within_s=START_S)
        victim = next(p for p in mortal.processes if p.name == "kube-apiserver")
        command = Path(f"/proc/{victim.pid}/cmdline").read_text().rstrip("\0").split("\0")

        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.sleep(12)  # the outage itself, not a wait for something
        again = processes.start(
            "kube-apiserver", command, log_file=mortal.folder / "again.log", ends_with_us=True
        )
        try:
            await create_when_ready(kube, "after-kill")
            await until(lambda: sink.keys[key_of("after-kill")] > 0, within_s=RECOVERY_S)
        finally:
            processes.stop([again])
        assert source.is_alive


async def create_when_ready(kube: KubeClient, name: str) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            await create_models(kube, name)
        except ApiError:
            assert time.monotonic() < deadline_s, "the API server did not come back"
            await asyncio.sleep(0.2)
        else:
            return
