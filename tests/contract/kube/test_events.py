"""Events on a ModelDeployment in a real API server."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from sandbox.apiserver import ApiServer
from slipway_operator.adapters.events import EventRecorder, Notice, Subject
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_http import Object
from slipway_operator.adapters.kube_resources import EVENTS, MODEL_DEPLOYMENTS
from slipway_operator.adapters.kubeconfig import ClusterAccess
from tests.contract.kube.fault_proxy import FaultProxy

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

AT = datetime.now(UTC)


@pytest.fixture
async def subject(kube: KubeClient, request: pytest.FixtureRequest) -> Subject:
    name = f"events-{abs(hash(request.node.name)) % 10**6}"
    body = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"name": "m", "version": "1", "uri": "s3://models/m"}},
    }
    created = await kube.apply(MODEL_DEPLOYMENTS, body)
    return Subject("default", name, created["metadata"]["uid"])


def notice(subject: Subject, note: str, *, identity: str = "rollout-1") -> Notice:
    return Notice(
        subject=subject,
        type="Warning",
        reason="Errors",
        action="Abort",
        note=note,
        identity=identity,
    )


async def events_of(kube: KubeClient, subject: Subject, *, count: int) -> list[Object]:
    """Read the subject's events once there are `count`, or after five seconds."""
    deadline_s = time.monotonic() + 5
    while True:
        listing = await kube.list(EVENTS, namespace=subject.namespace)
        found = [item for item in listing.items if item["regarding"]["uid"] == subject.uid]
        if len(found) >= count or time.monotonic() > deadline_s:
            return found
        await asyncio.sleep(0.05)


@pytest.fixture
async def recorder(kube: KubeClient) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(kube, instance="operator-0")
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()


async def test_kubectl_describe_tells_what_happened(
    kube: KubeClient, api_server: ApiServer, recorder: EventRecorder, subject: Subject
) -> None:
    recorder.record(notice(subject, "candidate fails 5 of 9, stable 0 of 171"), at=AT)

    assert len(await events_of(kube, subject, count=1)) == 1
    described = subprocess.run(
        [
            api_server.kubectl,
            f"--kubeconfig={api_server.kubeconfig}",
            *("describe", "md", subject.name),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    line = next(line for line in described.splitlines() if "candidate fails" in line)
    assert line.split()[:2] == ["Warning", "Errors"]


async def test_a_repeated_notice_is_told_once(
    kube: KubeClient, recorder: EventRecorder, subject: Subject
) -> None:
    recorder.record(notice(subject, "once"), at=AT)
    recorder.record(notice(subject, "once, said by a restarted operator"), at=AT)
    recorder.record(notice(subject, "another rollout", identity="rollout-2"), at=AT)

    notes = {event["note"] for event in await events_of(kube, subject, count=2)}

    assert notes == {"once", "another rollout"}


async def test_a_long_note_is_clipped_to_what_the_api_takes(
    kube: KubeClient, recorder: EventRecorder, subject: Subject
) -> None:
    recorder.record(notice(subject, "é" * 2000), at=AT)

    (event,) = await events_of(kube, subject, count=1)

    assert event["note"].endswith("…")
    assert 1000 < len(event["note"].encode()) <= 1024


async def test_trouble_with_one_event_harms_neither_caller_nor_later_events(
    kube: KubeClient, recorder: EventRecorder, subject: Subject
) -> None:
    nowhere = Subject("no-such-namespace", subject.name, subject.uid)

    recorder.record(notice(nowhere, "lost"), at=AT)
    recorder.record(notice(subject, "told"), at=AT)

    assert [event["note"] for event in await events_of(kube, subject, count=1)] == ["told"]


async def test_an_event_is_told_after_a_short_outage(
    kube: KubeClient, kube_access: ClusterAccess, subject: Subject
) -> None:
    async with FaultProxy.run(kube_access) as proxy, KubeClient(proxy.access) as client:
        recorder = EventRecorder(client, instance="operator-0")
        task = asyncio.create_task(recorder.run())
        proxy.status = 503
        recorder.record(notice(subject, "late"), at=AT)
        await asyncio.sleep(0.2)  # the outage itself, not a wait for something
        proxy.status = None

        assert [event["note"] for event in await events_of(kube, subject, count=1)] == ["late"]
        task.cancel()
