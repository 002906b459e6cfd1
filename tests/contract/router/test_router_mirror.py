"""Copies of requests go to the candidate, and clients notice nothing of it."""

import asyncio
from dataclasses import replace

import grpc
import pytest

from slipway_api import names
from slipway_operator.engine.attempts import AttemptClass, classify
from slipway_operator.render import envoy_clusters
from tests.contract.router.pods import Revision, until
from tests.contract.router.stage import OWNER, Load, Stage, admin

pytestmark = pytest.mark.contract

REQUESTS = 400
RATE = 200.0


async def _send(stage: Stage, protocol: str, count: int = REQUESTS) -> Load:
    send = stage.rest if protocol == "rest" else stage.rpc
    return await send(count, rate=RATE)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_the_asked_share_is_copied_and_only_stable_answers(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(0, mirror_percent=25)

    load = await _send(stage, protocol)
    await stage.logged(REQUESTS + candidate.seen_count)

    assert load.error_count == 0
    assert dict(load.revisions) == {stable.name: REQUESTS}
    assert dict(load.attempts) == {"1": REQUESTS}
    assert 60 <= candidate.seen_count <= 140  # 100 and 4.6 standard deviations
    assert stable.seen_count == REQUESTS
