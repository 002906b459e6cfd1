"""What clients see when a revision fails, through the real Envoy."""

import time
from dataclasses import replace

import aiohttp
import grpc
import pytest

from slipway_operator.engine.attempts import AttemptClass, classify
from tests.contract.router.pods import GRPC_METHOD
from tests.contract.router.stage import Load, Stage

pytestmark = pytest.mark.contract

REQUESTS = 40
# One retry suffices for these; weight 50, so that about half of the requests meet the candidate.
REST_FAILURES = ("500", "503", "kill", "hang", "gone")
GRPC_FAILURES = ("2", "4", "13", "14", "15", "hang", "gone")


async def _fail(stage: Stage, modes: tuple[str, ...], protocol: str) -> dict[str, int]:
    """Count client errors per way to fail, and check that the log has seen every failure."""
    _, candidate = await stage.canary(50, per_try_timeout_s=0.3)
    send = stage.rest if protocol == "rest" else stage.rpc
    errors = {}
    for mode in modes:
        stage.attempts.clear()
        if mode == "gone":
            for pod in candidate.pods:
                await pod.stop()
        candidate.set_mode(mode)
        load = await send(REQUESTS)
        errors[mode] = load.error_count
        await stage.logged(sum(int(k or 1) * n for k, n in load.attempts.items()))
        at_candidate = [a for a in stage.ended() if a.revision == candidate.name]
        assert at_candidate, mode
        assert {AttemptClass.FAIL} == {classify(a) for a in at_candidate}, mode
        assert {"r1"} == set(load.revisions), mode
    return errors


async def test_failing_candidate_costs_rest_clients_nothing(stage: Stage) -> None:
    errors = await _fail(stage, REST_FAILURES, "rest")

    assert dict.fromkeys(REST_FAILURES, 0) == errors


async def test_failing_candidate_costs_grpc_clients_nothing(stage: Stage) -> None:
    errors = await _fail(stage, GRPC_FAILURES, "grpc")

    assert dict.fromkeys(GRPC_FAILURES, 0) == errors


@pytest.mark.parametrize(
    ("protocol", "mode", "expected"),
    [("rest", "400", 400), ("grpc", "3", grpc.StatusCode.INVALID_ARGUMENT)],
)
async def test_refused_requests_are_not_sent_twice(
    stage: Stage, protocol: str, mode: str, expected: object
) -> None:
    _, candidate = await stage.canary(100)
    candidate.set_mode(mode)

    load = await (stage.rest(10) if protocol == "rest" else stage.rpc(10))

    assert {expected: 10} == dict(load.statuses)
    assert candidate.seen_count == 10
    await stage.logged(10)
    assert {AttemptClass.REFUSED} == {classify(a) for a in stage.ended()}


SHED = [("rest", "shed"), ("rest", "429"), ("grpc", "shed"), ("grpc", "8")]


@pytest.mark.parametrize(("protocol", "mode"), SHED)
async def test_what_the_candidate_sheds_is_answered_by_stable(
    stage: Stage, protocol: str, mode: str
) -> None:
    stable, candidate = await stage.canary(100)
    candidate.set_mode(mode)

    load = await (stage.rest(10) if protocol == "rest" else stage.rpc(10))

    assert (0, {stable.name: 10}) == (load.error_count, dict(load.revisions))
    assert {"2": 10} == dict(load.attempts)
    await stage.logged(20)
    at_candidate = [a for a in stage.ended() if a.revision == candidate.name]
    assert {AttemptClass.SHED} == {classify(a) for a in at_candidate}


@pytest.mark.parametrize(("protocol", "mode"), SHED)
async def test_what_stable_sheds_is_not_sent_twice(stage: Stage, protocol: str, mode: str) -> None:
    """Its other pods carry the same load: to ask them too would add to it."""
    stable, candidate = await stage.canary(50)
    for revision in (stable, candidate):
        revision.set_mode(mode)

    load = await (stage.rest(REQUESTS) if protocol == "rest" else stage.rpc(REQUESTS))

    assert load.error_count == REQUESTS
    assert stable.seen_count == REQUESTS  # each once, whoever had it first
    assert 0 < candidate.seen_count < REQUESTS


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_what_is_shed_while_stable_is_dead_is_an_error_at_once(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(100)
    candidate.set_mode("shed")
    for pod in (*stable.pods, stable.service):
        await pod.stop()

    began_s = time.monotonic()
    load = await (stage.rest(10) if protocol == "rest" else stage.rpc(10))

    assert {503 if protocol == "rest" else grpc.StatusCode.UNAVAILABLE: 10} == dict(load.statuses)
    assert candidate.seen_count == 10
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_service_address_carries_when_all_known_pods_are_gone(
    stage: Stage, protocol: str
) -> None:
    """Pods were replaced and the operator could not say so: kube-proxy knows better."""
    stable, candidate = await stage.canary(50)
    send = stage.rest if protocol == "rest" else stage.rpc
    for pod in (*stable.pods, *candidate.pods):
        await pod.stop()

    stale = await send(REQUESTS)
    traffic = stage.new_traffic(stable)
    assert traffic.stable is not None
    await stage.set(replace(traffic, stable=replace(traffic.stable, endpoints=())))
    empty = await send(REQUESTS)

    assert (stale.error_count, empty.error_count) == (0, 0)
    assert dict(empty.attempts) == {"1": REQUESTS}


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_pods_of_a_node_that_is_cut_off_cost_nothing(stage: Stage, protocol: str) -> None:
    """One of two pods of each revision is there, and kube-proxy still sends to the others."""
    stable, candidate = await stage.canary(80)
    for pod in (stable.pods[0], candidate.pods[0], stable.service):
        await pod.fall_silent()

    load = await (stage.rest(150) if protocol == "rest" else stage.rpc(150))

    assert load.error_count == 0


async def test_a_revision_without_service_address_still_falls_back(stage: Stage) -> None:
    """A new Service has no address yet; the chain then ends with stable's pods."""
    stable, candidate = await stage.canary(50)
    candidate.set_mode("500")
    traffic = stage.new_traffic(stable, candidate)
    assert traffic.stable is not None
    await stage.set(
        replace(traffic, weight_percent=50, stable=replace(traffic.stable, cluster_ip=None))
    )

    load = await stage.rest(REQUESTS)

    assert load.error_count == 0


async def test_unprocessed_retries_only_what_no_pod_has_seen(stage: Stage) -> None:
    _, candidate = await stage.canary(100, retry="unprocessed")

    candidate.set_mode("500")
    answered = await stage.rest(10)
    for pod in candidate.pods:
        await pod.stop()
    refused = await stage.rest(10)

    assert dict(answered.statuses) == {500: 10}
    assert dict(refused.statuses) == {200: 10}


async def test_none_retries_nothing(stage: Stage) -> None:
    _, candidate = await stage.canary(100, retry="none")
    for pod in candidate.pods:
        await pod.stop()

    load = await stage.rest(10)

    assert dict(load.statuses) == {503: 10}
    assert dict(load.attempts) == {"1": 10}


async def test_clients_cannot_steer_the_router_by_headers(stage: Stage) -> None:
    """A timeout of 1 ms set by a client would make the candidate look bad."""
    stable, candidate = await stage.canary(50)
    candidate.set_mode("500")
    for pod in stable.pods:
        pod.delay_s = 0.05
    headers = {
        "x-envoy-max-retries": "0",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-slipway-config": "forged",
    }

    async with aiohttp.ClientSession(headers=headers) as session:
        answers = [await session.get(f"http://127.0.0.1:{stage.port}/") for _ in range(10)]

    assert {200} == {answer.status for answer in answers}
    assert "forged" not in {answer.headers["x-slipway-config"] for answer in answers}


async def test_a_body_above_the_limit_passes_but_is_not_sent_twice(stage: Stage) -> None:
    _, candidate = await stage.canary(100)

    large = await stage.rest(3, body=b"x" * 4_000_000)
    candidate.set_mode("500")
    small_failing = await stage.rest(3, body=b"x" * 900_000)
    large_failing = await stage.rest(3, body=b"x" * 4_000_000)

    assert dict(large.statuses) == {200: 3}
    assert dict(small_failing.statuses) == {200: 3}
    assert dict(large_failing.statuses) == {500: 3}


async def test_every_client_of_a_deployment_without_revision_is_told_so(stage: Stage) -> None:
    stable, _ = await stage.canary(0)
    await stage.set(replace(stage.new_traffic(stable), stable=None))

    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{stage.port}/v2")
        told = await answer.json()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(GRPC_METHOD)(b"")

    assert (answer.status, told) == (503, {"error": "no revision of ml/churn serves yet"})
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_load_counts_what_is_not_good() -> None:
    """The measuring stick itself: an unknown outcome is an error."""
    load = Load()
    load.statuses.update([200, 500, "ServerDisconnectedError()"])

    assert load.error_count == 2
