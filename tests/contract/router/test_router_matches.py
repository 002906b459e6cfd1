"""Requests with a header or a cookie go to the candidate, whatever its weight."""

from dataclasses import replace

import aiohttp
import grpc
import pytest

from slipway_api import names
from slipway_operator.engine.traffic import Match
from tests.contract.router.pods import GRPC_METHOD
from tests.contract.router.stage import Stage

pytestmark = pytest.mark.contract

BETA, TESTER = Match("header", "x-beta", "on"), Match("cookie", "tester", "a.b")
MATCHED = [
    {"x-beta": "on"},
    {"cookie": "tester=a.b"},
    {"cookie": "lang=en; tester=a.b"},
    {"cookie": "lang=en;tester=a.b; session=7"},
    {"x-beta": "off", "cookie": "tester=a.b"},
]
UNMATCHED = [
    {},
    {"x-beta": "off"},
    {"x-beta": "on1"},
    {"x-beta": "ON"},
    {"cookie": "tester=aXb"},
    {"cookie": "tester=a.bc"},
    {"cookie": "atester=a.b"},
    {"cookie": "lang=tester=a.b"},
    {"cookie": "tester="},
]


async def _answerers(stage: Stage, protocol: str, headers: list[dict[str, str]]) -> list[str]:
    """Ask once with each of the headers; list the revisions that answered."""
    ask = _ask_rest if protocol == "rest" else _ask_grpc
    return [await ask(stage, each) for each in headers]


async def _ask_rest(stage: Stage, headers: dict[str, str]) -> str:
    async with aiohttp.ClientSession(headers=headers) as session:
        answer = await session.post(f"http://127.0.0.1:{stage.port}/v2", data=b"{}")
        assert answer.status == 200
        return answer.headers[names.HEADER_REVISION]


async def _ask_grpc(stage: Stage, headers: dict[str, str]) -> str:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        call = channel.unary_unary(GRPC_METHOD)(b"", metadata=tuple(headers.items()))
        await call
        return str(dict(await call.trailing_metadata())[names.HEADER_REVISION])


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_only_matched_requests_are_led_to_a_candidate_without_weight(
    stage: Stage, protocol: str
) -> None:
    stable, candidate = await stage.canary(0, match=(BETA, TESTER))

    led = await _answerers(stage, protocol, MATCHED)
    others = await _answerers(stage, protocol, UNMATCHED)

    assert [candidate.name] * len(MATCHED) == led
    assert [stable.name] * len(UNMATCHED) == others


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize("failure", ["500", "gone"])
async def test_stable_answers_matched_requests_that_the_candidate_fails(
    stage: Stage, protocol: str, failure: str
) -> None:
    stable, candidate = await stage.canary(0, match=(BETA, TESTER))
    candidate.set_mode("500" if protocol == "rest" else "13")
    if failure == "gone":
        for pod in candidate.pods:
            await pod.stop()

    assert [stable.name] * len(MATCHED) == await _answerers(stage, protocol, MATCHED)
    await stage.logged(2 * len(MATCHED))
    failed = [a for a in stage.ended() if a.revision == candidate.name]
    assert len(failed) == len(MATCHED)


async def test_an_abort_leads_nobody_any_more(stage: Stage) -> None:
    stable, candidate = await stage.canary(5, match=(BETA, TESTER))

    await stage.set(replace(stage.new_traffic(stable, candidate), match=()))

    assert [stable.name] * len(MATCHED) == await _answerers(stage, "rest", MATCHED)
    assert candidate.seen_count == 0


async def test_a_value_is_no_pattern(stage: Stage) -> None:
    odd = Match("cookie", "t", "a|b.*+$(1)%20~")
    stable, candidate = await stage.canary(0, match=(odd, Match("header", "x-beta", ".*")))

    asked = [{"cookie": f"t={odd.value}; u=1"}, {"cookie": "t=b"}, {"x-beta": "on"}]

    expected = [candidate.name, stable.name, stable.name]
    assert expected == await _answerers(stage, "rest", asked)
