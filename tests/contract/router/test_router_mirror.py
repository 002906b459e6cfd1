"""Copies of requests go to the candidate, and clients notice nothing of it."""

import asyncio
import time
from dataclasses import replace

import aiohttp
import pytest

from slipway_api import names
from slipway_api.analysis import Analysis
from slipway_api.metrics import ROUTER_ANSWERS
from slipway_operator.engine.attempts import Attempt, AttemptClass, classify
from slipway_operator.engine.guard import TICK_S, Guard
from slipway_operator.engine.traffic import Opening
from slipway_operator.engine.verdicts import Verdict
from slipway_operator.render.envoy_clusters import MIRROR_LIMIT
from tests.contract.router.pods import Revision, until
from tests.contract.router.stage import OWNER, Load, Stage, admin, metrics

pytestmark = pytest.mark.contract

REQUESTS = 400
RATE = 200.0
PER_TRY_S = 1.0
PROTOCOLS = ("rest", "grpc")
COPIED = Opening(mirror_percent=100)


async def _send(stage: Stage, protocol: str, count: int = REQUESTS) -> Load:
    send = stage.rest if protocol == "rest" else stage.rpc
    return await send(count, rate=RATE)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_asked_share_is_copied_and_only_stable_answers(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(0, mirror_percent=25)

    load = await _send(stage, protocol)
    await stage.logged(REQUESTS + candidate.seen_count)
    await until(lambda: len(stage.answers) >= REQUESTS)

    assert load.error_count == 0
    assert dict(load.revisions) == {stable.name: REQUESTS}
    assert dict(load.attempts) == {"1": REQUESTS}
    assert 60 <= candidate.seen_count <= 140  # 100 and 4.6 standard deviations
    assert stable.seen_count == REQUESTS
    at_stable = [a for a in stage.ended() if a.revision == stable.name]
    copies = [a for a in stage.ended() if a.revision == candidate.name]
    assert (len(at_stable), len(copies)) == (REQUESTS, candidate.seen_count)
    assert {AttemptClass.OK} == {classify(a) for a in copies}
    assert {stable.name} == {answer.revision for answer in stage.answers}
    assert len(stage.answers) == REQUESTS


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("failure", ["500", "hang", "gone", "kill"])
async def test_a_candidate_that_fails_is_convicted_and_costs_clients_nothing(
    stage: Stage, protocol: str, failure: str
) -> None:
    stable, candidate = await stage.canary(0, mirror_percent=100, per_try_timeout_s=PER_TRY_S)
    plain = await _send(stage, protocol)
    stage.attempts.clear()
    await _break(candidate, failure, protocol)

    load = await _send(stage, protocol)
    failed = await _conviction(stage, candidate, stable)

    assert (plain.error_count, load.error_count) == (0, 0)
    assert dict(load.revisions) == {stable.name: REQUESTS}
    assert dict(load.attempts) == {"1": REQUESTS}
    assert load.seconds_p95 < plain.seconds_p95 + PER_TRY_S / 2, "nobody waits for a copy"
    assert failed is not None
    assert failed.stable_bad_count == 0


async def _break(revision: Revision, failure: str, protocol: str) -> None:
    if failure == "gone":
        for pod in revision.pods:
            await pod.stop()
    elif protocol == "grpc":
        revision.set_mode({"500": "13", "kill": "14"}.get(failure, failure))
    else:
        revision.set_mode(failure)


def _guard(candidate: Revision, stable: Revision) -> Guard:
    return Guard(
        "rollout-1",
        candidate=candidate.name,
        stable=stable.name,
        analysis=Analysis(),
        per_try_timeout_s=PER_TRY_S,
        evidence=None,
        phi=None,
    )


async def _conviction(stage: Stage, candidate: Revision, stable: Revision) -> Verdict | None:
    """Let a guard take in what the routers logged, tick by tick."""
    guard = _guard(candidate, stable)
    taken, deadline_s = 0, time.time() + 4
    while guard.view().failed is None and time.time() < deadline_s:
        for attempt in stage.attempts[taken:]:
            guard.observe(attempt)
        taken = len(stage.attempts)
        guard.tick(time.time(), opening=COPIED, is_source_alive=True)
        await asyncio.sleep(TICK_S)
    return guard.view().failed


async def test_copies_that_hang_are_few_and_those_dropped_are_no_attempts(stage: Stage) -> None:
    _, candidate = await stage.canary(0, mirror_percent=100, timeout_s=2.0)
    candidate.set_mode("hang")

    load = await _send(stage, "rest")
    await until(lambda: _copies(stage) and _under_way(stage) == 0)

    assert load.error_count == 0
    assert MIRROR_LIMIT <= candidate.seen_count <= 2 * MIRROR_LIMIT
    assert len(_copies(stage)) == candidate.seen_count
    assert {AttemptClass.FAIL} == {classify(a) for a in _copies(stage)}
    assert {False} == {a.is_cut_by_client for a in _copies(stage)}


def _copies(stage: Stage) -> list[Attempt]:
    return [a for a in stage.ended() if a.request.endswith("~mirror")]


def _under_way(stage: Stage) -> int:
    """Count the copies whose beginning was logged, and not their end."""
    begun = {a.key for a in stage.attempts if a.request.endswith("~mirror")}
    return len(begun) - len(_copies(stage))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_copy_says_that_it_is_one_and_nothing_else_is_changed(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(0, mirror_percent=100)

    async with aiohttp.ClientSession(headers={names.HEADER_MIRROR: "forged"}) as session:
        if protocol == "rest":
            await session.post(f"http://127.0.0.1:{stage.port}/v2", data=b"question")
        else:
            await stage.rpc(1)
    await until(lambda: candidate.seen_count == 1)

    (original,), (copy,) = stable.asked, candidate.asked
    assert names.HEADER_MIRROR not in original.headers
    assert copy.headers[names.HEADER_MIRROR] == "true"
    assert copy.body == original.body
    assert copy.headers["x-request-id"] == original.headers["x-request-id"]


async def test_an_abort_ends_the_copies_and_then_their_cluster(stage: Stage) -> None:
    stable, candidate = await stage.canary(0, mirror_percent=100)
    load = asyncio.create_task(_send(stage, "rest"))
    await until(lambda: candidate.seen_count > 20)

    shut = replace(stage.new_traffic(stable, candidate), mirror_percent=0)
    await stage.set(shut)
    await asyncio.sleep(0.1)  # what was on its way
    seen = candidate.seen_count
    answered = await load
    clusters = await admin(stage, "/clusters")
    while "~mirror::" in clusters:
        await asyncio.sleep(0.05)
        clusters = await admin(stage, "/clusters")

    assert answered.error_count == 0
    assert candidate.seen_count == seen < REQUESTS
    assert not stage.ads.nacks()
    assert await stage.ads.settled(OWNER)


async def test_copies_and_shares_go_together(stage: Stage) -> None:
    stable, candidate = await stage.canary(50, mirror_percent=100)

    load = await _send(stage, "rest")
    await stage.logged(stable.seen_count + candidate.seen_count)

    assert load.error_count == 0
    assert load.revisions.total() == REQUESTS
    assert candidate.seen_count == REQUESTS + load.revisions[candidate.name]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_of_a_request_and_its_copy_at_the_candidate_one_is_judged(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(50, mirror_percent=100)
    guard, opening = _guard(candidate, stable), replace(COPIED, weight_percent=50)
    taken, is_over, deadline_s = 0, False, time.time() + 20

    sending = asyncio.create_task(_send(stage, protocol))
    while not is_over and time.time() < deadline_s:
        await asyncio.sleep(TICK_S)
        is_logged = len(stage.ended()) == stable.seen_count + candidate.seen_count
        is_over = sending.done() and is_logged
        for attempt in stage.attempts[taken:]:
            guard.observe(attempt)
        taken = len(stage.attempts)
        guard.tick(time.time(), opening=opening, is_source_alive=True)
    load, counted = await sending, guard.view().verdicts[0]

    assert load.error_count == 0
    assert is_over, "all attempts are logged in time"
    assert counted.stable_count == load.revisions[stable.name]
    assert counted.candidate_count == REQUESTS


async def test_metrics_tell_copies_from_requests(stage: Stage) -> None:
    _, candidate = await stage.canary(0, mirror_percent=100)
    candidate.set_mode("500")
    await stage.rest(10)
    await stage.logged(20)

    lines = [x for x in (await metrics(stage)).splitlines() if x.startswith(ROUTER_ANSWERS)]

    failed = [x for x in lines if 'class="5"' in x]
    assert ['envoy_cluster_name="ml~churn~r2~http~mirror"' in x for x in failed] == [True]
    assert failed[0].endswith(" 10")
