"""A static answer, where no revision can be reached, and only there."""

import asyncio
from dataclasses import replace

import aiohttp
import grpc
import pytest

from slipway_api import names
from slipway_api.metrics import ROUTER_ANSWERS
from slipway_operator.engine.attempts import AttemptClass, classify
from slipway_operator.engine.traffic import StaticAnswer
from tests.contract.router.pods import GRPC_METHOD, Revision, until
from tests.contract.router.stage import Stage, metrics

pytestmark = pytest.mark.contract

ANSWER = StaticAnswer('{"outputs": [], "note": "100% %REQ(x)% $\\" \u00e9"}')


async def _ask(stage: Stage) -> tuple[int, str, str | None, str | None]:
    """Ask by REST: status, body, content type and mark of the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{stage.port}/v2", data=b"{}") as answer,
    ):
        headers = answer.headers
        assert names.HEADER_CONFIG in headers
        told = (headers.get("content-type"), headers.get(names.HEADER_STATIC))
        return answer.status, await answer.text(), *told


async def _call(stage: Stage) -> tuple[grpc.StatusCode, str | None]:
    """Ask by gRPC: the code, and the mark."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        call = channel.unary_unary(GRPC_METHOD)(b"")
        code = await call.code()
        told = [*(await call.initial_metadata()), *(await call.trailing_metadata())]
        return code, next((str(v) for k, v in told if k == names.HEADER_STATIC), None)


async def _stop(*revisions: Revision) -> None:
    for revision in revisions:
        for pod in revision.all_pods:
            await pod.stop()


@pytest.mark.parametrize("weight_percent", [0, 100])
@pytest.mark.parametrize("retry", ["any", "none"])
async def test_clients_get_it_when_every_revision_is_down(
    stage: Stage, weight_percent: int, retry: str
) -> None:
    stable, candidate = await stage.canary(weight_percent, static_answer=ANSWER, retry=retry)
    assert (await _ask(stage))[0] == 200
    await _stop(stable, candidate)

    assert (200, ANSWER.body, "application/json", "true") == await _ask(stage)
    assert (grpc.StatusCode.UNAVAILABLE, "true") == await _call(stage)


async def test_clients_get_it_when_no_pod_is_known(stage: Stage) -> None:
    stable, _ = await stage.canary(0, static_answer=replace(ANSWER, status=503))
    none = replace(stable.backend(), endpoints=(), cluster_ip=None)
    await stage.set(
        replace(stage.new_traffic(stable), stable=none, static_answer=replace(ANSWER, status=503))
    )

    assert (503, ANSWER.body, "application/json", "true") == await _ask(stage)
    assert (grpc.StatusCode.UNAVAILABLE, "true") == await _call(stage)


async def test_pods_that_break_every_connection_are_as_good_as_none(stage: Stage) -> None:
    stable, _ = await stage.canary(0, static_answer=ANSWER)
    for pod in stable.all_pods:
        pod.mode = "kill"

    assert (200, ANSWER.body, "application/json", "true") == await _ask(stage)


@pytest.mark.parametrize("mode", ["500", "503", "shed", "404"])
async def test_what_a_pod_answered_itself_is_not_replaced(stage: Stage, mode: str) -> None:
    stable, _ = await stage.canary(0, static_answer=ANSWER)
    for pod in stable.all_pods:
        pod.mode = mode

    status, body, _, mark = await _ask(stage)

    assert (503 if mode == "shed" else int(mode), "", None) == (status, body, mark)


async def test_a_request_that_ran_out_of_time_is_not_answered_so(stage: Stage) -> None:
    """Somebody may still be at it."""
    stable, _ = await stage.canary(0, static_answer=ANSWER, timeout_s=0.3)
    for pod in stable.all_pods:
        pod.mode = "hang"

    status, _, _, mark = await _ask(stage)

    assert (504, None) == (status, mark)


async def test_it_is_no_good_answer_in_logs_and_metrics(stage: Stage) -> None:
    stable, candidate = await stage.canary(100, static_answer=ANSWER)
    await _ask(stage)
    await _stop(stable, candidate)
    for _ in range(3):
        await _ask(stage)

    await until(lambda: len([a for a in stage.answers if not a.is_probe]) >= 4)
    await stage.logged(4)

    answers = sorted((a for a in stage.answers if not a.is_probe), key=lambda a: a.began_at_s)
    assert [False, True, True, True] == [a.is_static for a in answers]
    good = [a for a in stage.ended() if classify(a) is AttemptClass.OK]
    assert len(good) == 1
    counted = [x for x in (await metrics(stage)).splitlines() if x.startswith(ROUTER_ANSWERS)]
    by_class = {c: sum(float(x.split()[-1]) for x in counted if f'class="{c}"' in x) for c in "25"}
    assert by_class["5"] == 3


async def test_adding_it_costs_clients_no_request(stage: Stage) -> None:
    stable, candidate = await stage.canary(0)
    whole = stage.new_traffic(stable, candidate)
    loads = [asyncio.create_task(send(300)) for send in (stage.rest, stage.rpc)]
    await until(lambda: stable.seen_count > 50)

    await stage.set(replace(whole, static_answer=ANSWER))
    answered = await asyncio.gather(*loads)

    assert [0, 0] == [load.error_count for load in answered]
    await _stop(stable, candidate)
    assert (await _ask(stage))[3] == "true"
