"""Alertmanager's call: answered when the abort stands; a forged one changes nothing."""

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from bench import monitoring
from bench.monitoring import Numbers
from slipway_api.analysis import Analysis
from slipway_api.conditions import VerdictState
from slipway_operator.adapters.http_server import HttpServer
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_resources import MODEL_DEPLOYMENTS
from slipway_operator.adapters.prometheus import Prometheus
from slipway_operator.engine.actions import Watch
from slipway_operator.shell.alert_hook import CALL_COUNT_MAX, AlertHook
from slipway_operator.shell.polls import Polls
from tests.samples.contract_objects import MINIMAL, changed

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

TOKEN: Final = "a-token-of-at-least-sixteen-bytes"
OWNER: Final = ("default", "hooked")
LABELS: Final = {"alertname": "Broken", "namespace": OWNER[0], "modeldeployment": OWNER[1]}
DEADLINE_S: Final = 30.0


@dataclass
class Stage:
    """A rollout with a gate for an alert, and what surrounds it."""

    kube: KubeClient
    polls: Polls
    numbers: Numbers
    url: str
    folder: Path

    @property
    def state(self) -> VerdictState:
        view = self.polls.view(OWNER)
        assert view is not None
        return view.verdicts[0].state

    async def call(self, body: Any, *, token: str | None = TOKEN) -> tuple[int, str]:
        """Call as Alertmanager does, or as somebody else."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        data = body if isinstance(body, bytes) else json.dumps(body)
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=data, headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def record_abort(self) -> None:
        """Write what the operator writes when it takes a candidate back."""
        now = datetime.now(UTC).isoformat()
        found = await self.kube.get(MODEL_DEPLOYMENTS, OWNER[1], namespace=OWNER[0])
        abort = {"reason": "AlertFiring", "at": now}
        await self.kube.apply_status(
            MODEL_DEPLOYMENTS,
            {
                "metadata": {
                    "name": OWNER[1],
                    "namespace": OWNER[0],
                    "resourceVersion": found["metadata"]["resourceVersion"],
                },
                "status": {
                    "observedGeneration": 1,
                    "rollout": {"id": "r", "startedAt": now, "stepIndex": 0, "abort": abort},
                },
            },
        )


def watch() -> Watch:
    return Watch(
        rollout="r",
        candidate="hooked-2",
        stable="hooked-1",
        analysis=Analysis.model_validate({"alerts": [{"name": "Broken"}]}),
        per_try_timeout_s=None,
        step_index=0,
        evidence=None,
        phi=None,
        step_started_at=datetime.now(UTC),
        weighted_at=datetime.now(UTC),
    )


def call_of(**labels: str) -> dict[str, Any]:
    return {"version": "4", "alerts": [{"status": "firing", "labels": labels or LABELS}]}


@pytest.fixture
async def stage(kube: KubeClient, tmp_path: Path) -> AsyncIterator[Stage]:
    """A rollout that is running, its status without an abort, and nothing that fires."""
    running = {"id": "r", "startedAt": datetime.now(UTC).isoformat(), "stepIndex": 0}
    body = changed(MINIMAL, "metadata.name", OWNER[1])
    made = await kube.create(MODEL_DEPLOYMENTS, body)
    status = {"observedGeneration": 1, "rollout": running}
    await kube.apply_status(
        MODEL_DEPLOYMENTS,
        {
            "metadata": {
                "name": OWNER[1],
                "namespace": OWNER[0],
                "resourceVersion": made["metadata"]["resourceVersion"],
            },
            "status": status,
        },
    )
    numbers = Numbers(broken=0)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", encoding="utf-8")
    labels = {key: value for key, value in LABELS.items() if key != "alertname"}
    with numbers.served() as target:
        program = monitoring.prometheus(
            tmp_path / "prometheus",
            targets=(target,),
            rules=(monitoring.alert("Broken", "broken == 1", **labels),),
        )
        await asyncio.to_thread(program.start)
        polls = Polls(Prometheus(program.url))
        polls.post(OWNER, watch())
        hook = AlertHook(kube, polls, token_file=token, is_active=lambda: True)
        server = HttpServer((hook.route(),), port=0)
        port = await server.start()
        try:
            yield Stage(kube, polls, numbers, f"http://127.0.0.1:{port}/alerts", tmp_path)
        finally:
            await server.stop()
            await polls.close()
            await asyncio.to_thread(program.stop)
            await kube.delete(MODEL_DEPLOYMENTS, OWNER[1], namespace=OWNER[0])


async def fire(stage: Stage) -> None:
    """Let the alert fire, and wait until Prometheus says so."""
    stage.numbers.values["broken"] = 1
    deadline_s = time.monotonic() + DEADLINE_S
    while not (seen := await stage.polls.look()) or not seen.firing:
        assert time.monotonic() < deadline_s, seen
        await asyncio.sleep(0.1)


async def test_a_call_is_answered_once_the_abort_stands_in_the_status(stage: Stage) -> None:
    await fire(stage)
    call = asyncio.create_task(stage.call(call_of()))
    done, _ = await asyncio.wait([call], timeout=1.0)

    await stage.record_abort()

    assert not done
    assert (200, "aborted: default/hooked\n") == await call


async def test_a_real_alertmanager_hastens_the_look(stage: Stage) -> None:
    """Nobody polls here: only the call can have told."""
    manager = monitoring.alertmanager(stage.folder / "alertmanager", webhook=stage.url, token=TOKEN)
    await asyncio.to_thread(manager.start)
    stage.polls.post(OWNER, None)
    stage.polls.post(OWNER, watch())
    try:
        await stage.polls.look()
        assert VerdictState.PASS is stage.state
        stage.numbers.values["broken"] = 1
        deadline_s = time.monotonic() + DEADLINE_S
        await asyncio.to_thread(send, manager.url)
        while stage.state is not VerdictState.FAIL:
            assert time.monotonic() < deadline_s, stage.state
            await asyncio.sleep(0.1)
            await asyncio.to_thread(send, manager.url)
    finally:
        await asyncio.to_thread(manager.stop)


def send(url: str) -> None:
    """Tell Alertmanager of the alert as Prometheus does, a new one each time."""
    labels = {**LABELS, "attempt": str(time.monotonic_ns())}
    request = urllib.request.Request(
        f"{url}/api/v2/alerts",
        data=json.dumps([{"labels": labels}]).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5.0).close()


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
async def test_without_the_token_nobody_looks(stage: Stage, token: str | None) -> None:
    await fire(stage)
    stage.polls.post(OWNER, None)
    stage.polls.post(OWNER, watch())

    status, _ = await stage.call(call_of(), token=token)

    assert (401, VerdictState.UNAVAILABLE) == (status, stage.state)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"alerts": 7}',
        b'{"alerts": [7]}',
        b'{"alerts": [{"labels": 7}]}',
        b"\xff",
    ],
)
async def test_what_alertmanager_would_not_send_is_refused(stage: Stage, body: bytes) -> None:
    status, text = await stage.call(body)

    assert 400 == status
    assert "send what Alertmanager's webhook sends" in text


async def test_a_forged_call_changes_nothing(stage: Stage) -> None:
    """It names the right alert, but Prometheus does not know that it fires."""
    status, text = await stage.call(call_of())

    assert (200, VerdictState.PASS) == (status, stage.state)
    assert "no alert began" in text


@pytest.mark.parametrize("labels", [{"alertname": "Other"}, {**LABELS, "namespace": "elsewhere"}])
async def test_unknown_labels_are_nobodys(stage: Stage, labels: dict[str, str]) -> None:
    await fire(stage)
    stage.polls.post(OWNER, None)
    stage.polls.post(OWNER, watch())

    status, text = await stage.call(call_of(**labels))

    assert (200, VerdictState.UNAVAILABLE) == (status, stage.state)
    assert "no rollout that runs has a gate" in text


async def test_a_storm_is_turned_away_and_the_process_goes_on(stage: Stage) -> None:
    statuses = await asyncio.gather(*(stage.call(call_of()) for _ in range(300)))

    told = {status for status, _ in statuses}
    assert told <= {200, 503}
    assert CALL_COUNT_MAX <= sum(status == 200 for status, _ in statuses)
    assert VerdictState.PASS is stage.state
