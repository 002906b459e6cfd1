"""The Lease at a real API server: one holder, and none of a frozen one's writes."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandbox.apiserver import ApiServer
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import Conflict, WindowClosed
from slipway_operator.adapters.kube_resources import LEASES, NAMESPACES, SERVICES
from slipway_operator.adapters.kubeconfig import ClusterAccess
from slipway_operator.adapters.lease import LeaseStore
from slipway_operator.engine import lease
from slipway_operator.engine.lease import Claim
from slipway_operator.shell.leadership import Leadership, LeadershipLostError
from tests.contract.kube import lease_writer
from tests.contract.kube.fault_proxy import FaultProxy

pytestmark = pytest.mark.contract

NAMESPACE = "leases"
ROOT = Path(__file__).resolve().parents[3]
SPEED = 2.0  # of the clock that the rules go by; the pauses between looks stay real
ALONE_SPEED = 10.0  # where nobody looks
FOREVER_S = 60.0
NOON = "2026-11-21T12:00:00.000000Z"


def fast_s() -> float:
    return time.monotonic() * SPEED


@pytest.fixture(autouse=True)
async def namespace(kube: KubeClient) -> None:
    await kube.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}})


def leadership(
    client: KubeClient, name: str, *, pod: str, now_s: Callable[[], float] = fast_s
) -> Leadership:
    store = LeaseStore(client, namespace=NAMESPACE, name=name)
    return Leadership(store, me=lease.identity(pod, nonce="1"), now_s=now_s)


@contextlib.asynccontextmanager
async def kept(held: Leadership) -> AsyncIterator[asyncio.Task[None]]:
    await held.win()
    task = asyncio.create_task(held.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def holder_of(kube: KubeClient, name: str) -> str:
    found = await kube.get(LEASES, name, namespace=NAMESPACE)
    return str(found["spec"].get("holderIdentity", ""))


async def test_kubectl_reads_what_we_write(kube: KubeClient) -> None:
    store = LeaseStore(kube, namespace=NAMESPACE, name="round-trip")
    claim = Claim("operator-a_1", 15.0, NOON, 2)

    made = await store.write(claim, over=None)
    read = await store.read()

    assert made == read
    assert claim == made.claim


async def test_of_two_that_take_the_lease_at_once_one_is_refused(kube: KubeClient) -> None:
    store = LeaseStore(kube, namespace=NAMESPACE, name="race")
    free = await store.write(Claim("", 1.0, NOON, 0), over=None)
    await store.write(Claim("operator-a_1", 15.0, NOON, 1), over=free)

    with pytest.raises(Conflict):
        await store.write(Claim("operator-b_1", 15.0, NOON, 1), over=free)


async def test_a_standby_waits_while_the_holder_renews(kube: KubeClient) -> None:
    first = leadership(kube, "standby", pod="operator-a")
    second = leadership(kube, "standby", pod="operator-b")
    async with kept(first):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.win(), 1.5 * lease.LEASE_S / SPEED)

        assert second.is_standby
        assert not second.may_serve()
        with pytest.raises(WindowClosed, match="operator-b_1 may not write"):
            second.fence()


async def test_a_lease_that_is_given_back_is_taken_within_two_seconds(kube: KubeClient) -> None:
    first = leadership(kube, "handover", pod="operator-a")
    second = leadership(kube, "handover", pod="operator-b")
    async with kept(first):
        waiting = asyncio.create_task(second.win())
        await asyncio.sleep(0)
    began_s = time.monotonic()
    await first.give_back()
    await asyncio.wait_for(waiting, 5)

    assert time.monotonic() - began_s < 2.0
    with pytest.raises(WindowClosed):
        first.fence()
    second.fence()


async def test_a_dead_holder_is_followed_when_its_time_is_over(kube: KubeClient) -> None:
    first = leadership(kube, "dead", pod="operator-a")
    second = leadership(kube, "dead", pod="operator-b")
    await first.win()  # and then it does nothing more
    began_s = fast_s()

    await asyncio.wait_for(second.win(), FOREVER_S)

    assert lease.LEASE_S <= fast_s() - began_s < lease.LEASE_S + 2 * lease.POLL_S * SPEED
    with pytest.raises(WindowClosed):
        first.fence()


async def test_a_holder_that_sees_another_ends(kube: KubeClient) -> None:
    first = leadership(kube, "stolen", pod="operator-a")
    store = LeaseStore(kube, namespace=NAMESPACE, name="stolen")
    async with kept(first) as keeping:
        await store.write(Claim("operator-b_1", 15.0, NOON, 9), over=await store.read())

        with pytest.raises(LeadershipLostError, match="it is held by operator-b_1"):
            await asyncio.wait_for(keeping, FOREVER_S)
        assert not first.may_serve()


async def test_without_the_api_routers_are_answered_but_nothing_is_written(
    kube_access: ClusterAccess, kube: KubeClient
) -> None:
    """A standby does not count the time in which it saw nothing."""
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        first = leadership(client, "outage", pod="operator-a")
        second = leadership(client, "outage", pod="operator-b")
        async with kept(first):
            waiting = asyncio.create_task(second.win())
            proxy.status = 503
            await asyncio.sleep(1.5 * lease.LEASE_S / SPEED)
            with pytest.raises(WindowClosed):
                first.fence()
            assert first.may_serve()

            proxy.status = None
            await asyncio.sleep(3 * lease.RENEW_S / SPEED)
            first.fence()
            assert not waiting.done()
            assert await holder_of(kube, "outage") == "operator-a_1"
            waiting.cancel()


async def test_a_holder_ends_when_the_api_is_away_for_too_long(kube_access: ClusterAccess) -> None:
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        alone = leadership(
            client, "alone", pod="operator-a", now_s=lambda: time.monotonic() * ALONE_SPEED
        )
        async with kept(alone) as keeping:
            proxy.status = 503
            with pytest.raises(LeadershipLostError, match="no API server for 90 s"):
                await asyncio.wait_for(keeping, FOREVER_S)


async def test_a_renewal_whose_answer_was_lost_is_found_again(kube: KubeClient) -> None:
    first = leadership(kube, "echo", pod="operator-a")
    store = LeaseStore(kube, namespace=NAMESPACE, name="echo")
    async with kept(first) as keeping:
        found = await store.read()
        assert found is not None
        await store.write(found.claim, over=found)  # as if our own renewal had landed unheard
        await asyncio.sleep(2.5 * lease.RENEW_S / SPEED)

        assert not keeping.done()
        first.fence()


async def test_none_of_a_frozen_holders_writes_lands(
    api_server: ApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    """It writes a hundred times a second when it is frozen; thawed, it must know by itself."""
    watching = asyncio.create_task(_writers(kube))
    processes = [await _start(api_server, "operator-a", tmp_path / "a")]
    try:
        await _said("won", tmp_path / "a")
        processes.append(await _start(api_server, "operator-b", tmp_path / "b"))
        frozen = processes[0]
        await asyncio.sleep(1.0)
        os.kill(frozen.pid, signal.SIGSTOP)
        await _said("won", tmp_path / "b")
        await asyncio.sleep(1.0)
        os.kill(frozen.pid, signal.SIGCONT)
        await asyncio.wait_for(frozen.wait(), FOREVER_S)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        watching.cancel()

    writers = await watching
    assert set(writers) == {"operator-a", "operator-b"}
    handover = writers.index("operator-b")
    assert writers[handover:].count("operator-a") == 0
    assert "may not write" in (tmp_path / "a").read_text()
    assert "lost: operator-a_1 has lost the Lease" in (tmp_path / "a").read_text()


async def _start(server: ApiServer, pod: str, log_file: Path) -> asyncio.subprocess.Process:
    with log_file.open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.contract.kube.lease_writer"),
            *(str(server.kubeconfig), NAMESPACE, pod),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'crds'}:{ROOT / 'operator'}:{ROOT}"},
            stdout=log,
            stderr=log,
        )


async def _said(word: str, log_file: Path, *, timeout_s: float = FOREVER_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while word not in log_file.read_text().splitlines():
        assert time.monotonic() < deadline_s, log_file.read_text()
        await asyncio.sleep(0.05)


async def _writers(kube: KubeClient) -> list[str]:
    """List who wrote, in the API server's order, until cancelled."""
    version = (await kube.list(SERVICES, namespace=NAMESPACE)).resource_version
    writers: list[str] = []
    with contextlib.suppress(asyncio.CancelledError):
        async for event in kube.watch(SERVICES, namespace=NAMESPACE, resource_version=version):
            annotations = event.object["metadata"].get("annotations") or {}
            if event.object["metadata"]["name"] == lease_writer.WRITTEN_NAME:
                writers.append(annotations["by"])
    return writers
