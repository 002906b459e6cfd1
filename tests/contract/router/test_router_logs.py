"""What the access logs of the real Envoy tell the operator."""

import asyncio
import contextlib
import time
from dataclasses import replace

import aiohttp
import grpc
import pytest

from slipway_api import names
from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.engine.attempts import AttemptClass, classify
from slipway_operator.render import envoy
from tests.contract.router.pods import GRPC_METHOD, until
from tests.contract.router.stage import Stage

pytestmark = pytest.mark.contract


async def test_every_attempt_at_a_pod_is_logged_once(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    candidate.set_mode("500")

    rest = await stage.rest(150, rate=300)
    made = stable.seen_count + candidate.seen_count
    await stage.logged(made)
    await until(lambda: len(stage.answers) >= 150)

    assert made == len(stage.ended()) == sum(int(k) * n for k, n in rest.attempts.items())
    assert made == len({a.key for a in stage.ended()})
    by_pod = {pod.address: len(pod.seen) for r in stage.revisions for pod in r.pods}
    assert by_pod == {host: sum(a.host == host for a in stage.ended()) for host in by_pod}
    assert len(stage.answers) == 150
    assert {stage.first_hash} == {answer.config_hash for answer in stage.answers}
    assert rest.attempts == {
        str(n): sum(a.attempt_count == n for a in stage.answers) for n in (1, 2)
    }


async def test_attempts_at_a_hanging_pod_are_seen_before_they_time_out(stage: Stage) -> None:
    _, candidate = await stage.canary(100, per_try_timeout_s=1.5)
    candidate.set_mode("hang")

    load = asyncio.create_task(stage.rest(5))
    await until(lambda: len(stage.attempts) == 5, timeout_s=1)
    started = list(stage.attempts)
    assert (await load).error_count == 0
    await stage.logged(10)

    assert {None} == {attempt.duration_s for attempt in started}
    ended = {a.key: a for a in stage.ended()}
    assert all(1.4 < (ended[a.key].duration_s or 0) < 3 for a in started)
    assert {AttemptClass.FAIL} == {classify(ended[a.key]) for a in started}


async def test_a_client_that_leaves_says_nothing_about_the_pod(stage: Stage) -> None:
    _, candidate = await stage.canary(100)
    candidate.set_mode("hang")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(0.2)) as session:
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await session.get(f"http://127.0.0.1:{stage.port}/")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        call = channel.unary_unary(GRPC_METHOD)(b"")
        await until(lambda: candidate.seen_count == 4)
        call.cancel()
    await stage.logged(4)

    assert [attempt.is_cut_by_client for attempt in stage.ended()] == [True] * 4


async def test_a_request_that_ran_out_of_time_is_a_failure(stage: Stage) -> None:
    _, candidate = await stage.canary(100, timeout_s=0.3)
    candidate.set_mode("hang")

    load = await stage.rest(3)
    await stage.logged(3)

    assert dict(load.statuses) == {504: 3}
    assert [attempt.is_cut_by_client for attempt in stage.ended()] == [False] * 3
    assert {AttemptClass.FAIL} == {classify(attempt) for attempt in stage.ended()}


async def test_logs_flow_only_while_they_are_switched_on(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    switch = names.RUNTIME_LAYER
    await stage.rest(5)
    await stage.logged(5)

    stage.ads.put(switch, [envoy.runtime_resource([])])
    assert await stage.ads.settled(switch)
    await stage.rest(20)
    stage.ads.put(switch, [envoy.runtime_resource([("ml", "churn")])])
    assert await stage.ads.settled(switch)
    await stage.rest(5)
    await stage.logged(10)
    await asyncio.sleep(0.3)  # what must not come gets its chance

    assert stable.seen_count + candidate.seen_count == 30
    assert len(stage.ended()) == 10


async def test_a_probe_shows_that_the_log_is_alive_without_any_traffic(stage: Stage) -> None:
    await stage.canary(0)
    assert stage.als.last_seen("router-0") is None
    probe = RouterProbe()

    asked_at_s = time.monotonic()
    await probe.shown("127.0.0.1", stage.port)
    await probe.close()
    await until(lambda: (stage.als.last_seen("router-0") or 0) > asked_at_s, timeout_s=2)

    assert {(True, None)} == {(a.is_probe, a.revision) for a in stage.answers}
    assert stage.attempts == []


async def test_logs_come_back_after_a_restart_of_the_operator(stage: Stage) -> None:
    stable, candidate = await stage.canary(50)
    await stage.rest(5)
    await stage.logged(5)

    await stage.xds.stop(0)
    await stage.open(is_released=False)
    stage.put(replace(stage.new_traffic(stable, candidate), weight_percent=50))
    stage.ads.release()
    await until(lambda: stage.ads.routers())
    await stage.rest(20)

    await stage.logged(25)
