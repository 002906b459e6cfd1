"""The router's first process: readiness, drain, death."""

import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.contract.router.pods import until
from tests.contract.router.stage import Router, Stage, admin

pytestmark = pytest.mark.contract


def _envoy_pid(router: Router) -> int:
    children = Path(f"/proc/{router.process.pid}/task/{router.process.pid}/children")
    return int(children.read_text())


async def _get(router: Router, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{router.health_port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_a_stopping_router_loses_nothing_and_ends_with_0(stage: Stage) -> None:
    """Clients go on for a while, as they do until every node has the new endpoints."""
    stable, _ = await stage.canary(0)
    (router,) = stage.routers
    for pod in stable.pods:
        pod.delay_s = 0.3
    rest = asyncio.create_task(stage.rest(150, rate=100))
    rpc = asyncio.create_task(stage.rpc(150, rate=100))
    await until(lambda: stable.seen_count > 20)

    os.kill(router.process.pid, signal.SIGTERM)
    async with asyncio.timeout(2):
        while await router.is_ready():
            await asyncio.sleep(0.02)
    healthy_while_draining = (await _get(router, "/healthz"))[0]

    assert ((await rest).error_count, (await rpc).error_count) == (0, 0)
    assert healthy_while_draining == 200
    async with asyncio.timeout(5):
        assert await router.process.wait() == 0


async def test_the_router_ends_when_its_envoy_dies(stage: Stage) -> None:
    await stage.canary(0)
    (router,) = stage.routers

    os.kill(_envoy_pid(router), signal.SIGSEGV)

    async with asyncio.timeout(5):
        assert await router.process.wait() == 128 + signal.SIGSEGV


async def test_a_router_that_cannot_reach_its_operator_is_not_ready(stage: Stage) -> None:
    await stage.xds.stop(0)
    router = await stage.router()
    await until(lambda: (stage.directory / router.name / "run" / "admin.sock").exists())
    await asyncio.sleep(0.5)  # what must not happen gets its chance

    async with asyncio.timeout(5):
        while True:
            try:
                ready, healthy = await _get(router, "/ready"), await _get(router, "/healthz")
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)

    assert (ready[0], healthy[0]) == (503, 200)
    assert "no configuration" in ready[1]


async def test_metrics_carry_our_labels_and_few_series(stage: Stage) -> None:
    await stage.canary(50)
    await stage.rest(30)
    (router,) = stage.routers

    status, text = await _get(router, "/metrics")

    assert status == 200
    lines = [x for x in text.splitlines() if x.startswith("envoy_cluster_upstream_rq_total")]
    for label in (
        'slipway_namespace="ml"',
        'slipway_deployment="churn"',
        'slipway_revision="r2"',
        'slipway_protocol="http"',
    ):
        assert any(label in line for line in lines), (label, lines)
    assert len(text) < 60_000


async def test_the_admin_interface_is_for_this_user_alone(stage: Stage) -> None:
    await stage.canary(0)
    socket = stage.directory / "router-0" / "run" / "admin.sock"

    assert socket.stat().st_mode & 0o777 == 0o600
    assert "LIVE" in await admin(stage, "/ready")


async def test_envoy_and_its_first_process_write_lines_of_one_form(stage: Stage) -> None:
    await stage.canary(50)
    log = stage.directory / stage.routers[0].name / "log"

    await stage.xds.stop(0)  # which Envoy warns of
    await until(lambda: '"envoy.' in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines()]

    assert {"time", "level", "logger", "message"} == set().union(*lines)
    assert {"envoy", "slipway_operator"} == {line["logger"].partition(".")[0] for line in lines}
