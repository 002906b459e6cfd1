"""Sticky shares, through the real Envoy: a user who met the candidate never goes back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

import grpc
import pytest

from slipway_api import names
from slipway_operator.engine.traffic import Backend, StickyKey, Traffic
from slipway_operator.render import envoy
from tests.contract.router.pods import GRPC_METHOD, free_port
from tests.contract.router.stage import Stage

pytestmark = pytest.mark.contract

WEIGHTS: Final = (1, 5, 25, 50, 100)
KEYS: Final = tuple(f"user-{number}" for number in range(10_000))
CONNECTIONS: Final = 20
BATCH: Final = 50  # requests in flight on one connection
HEADER: Final = StickyKey("header", "x-user-id")
COOKIE: Final = StickyKey("cookie", "session")


class QuickPod(asyncio.Protocol):
    """Answers every request with the name of its revision, as fast as Python can."""

    def __init__(self, revision: str) -> None:
        fields = f"{names.HEADER_REVISION}: {revision}\r\ncontent-length: 0\r\n\r\n"
        self._answer = b"HTTP/1.1 200 OK\r\n" + fields.encode()
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *whole, self._left = (self._left + data).split(b"\r\n\r\n")
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._answer * len(whole))


@pytest.fixture
async def traffic(stage: Stage) -> AsyncIterator[Traffic]:
    """Two revisions with a pod each, and two routers on one port that serve them."""
    backends, servers = [], []
    for number in (1, 2):
        address = f"127.0.{number}.1"
        server = await asyncio.get_running_loop().create_server(
            lambda name=f"r{number}": QuickPod(name), address, 0
        )
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        backends.append(Backend(f"r{number}", (address,), address, port, free_port(address)))
    stage.ads.put(names.RUNTIME_LAYER, [envoy.runtime_resource([])])
    whole = Traffic(
        namespace="ml",
        name="churn",
        port=stage.port,
        stable=backends[0],
        candidate=backends[1],
        weight_percent=0,
        drain=(),
        timeout_s=10.0,
        per_try_timeout_s=None,
        retry="none",
        salt="churn-0a1b2c3d4e-g2",
        is_logged=False,
        sticky=HEADER,
    )
    stage.put(whole)
    for name in ("router-0", "router-1"):
        await stage.ready(await stage.router(name))
    yield whole
    for server in servers:
        server.close()


async def _ask(stage: Stage, keys: Sequence[str], *, field: str) -> tuple[list[str], set[str]]:
    """Send one request for each key on one connection; `field` is the header with `{}` in it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    revisions: list[str] = []
    routers: set[str] = set()
    for begin in range(0, len(keys), BATCH):
        batch = keys[begin : begin + BATCH]
        for key in batch:
            writer.write(f"GET / HTTP/1.1\r\nhost: m\r\n{field.format(key)}\r\n\r\n".encode())
        for _ in batch:
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
            assert answer.startswith("HTTP/1.1 200"), answer
            await reader.readexactly(int(lines["content-length"]))
            revisions.append(lines[names.HEADER_REVISION])
            routers.add(lines[names.HEADER_ROUTER])
    writer.close()
    return revisions, routers


async def _with_candidate(
    stage: Stage, traffic: Traffic, *, field: str = "x-user-id: {}", count: int = len(KEYS)
) -> tuple[set[str], set[str]]:
    """Hand traffic to the routers; list the keys that meet the candidate, and who was asked."""
    await stage.set(traffic)
    keys = KEYS[:count]
    parts = [keys[index::CONNECTIONS] for index in range(CONNECTIONS)]
    answers = await asyncio.gather(*(_ask(stage, part, field=field) for part in parts))
    met, routers = set(), set()
    for part, (revisions, asked) in zip(parts, answers, strict=True):
        met |= {key for key, name in zip(part, revisions, strict=True) if name == "r2"}
        routers |= asked
    return met, routers


async def test_no_user_of_ten_thousand_goes_back_while_the_weight_grows(
    stage: Stage, traffic: Traffic
) -> None:
    before: set[str] = set()
    everybody: set[str] = set()

    for weight in WEIGHTS:
        step = replace(traffic, weight_percent=weight)
        met, routers = await _with_candidate(stage, step)

        assert before - met == set(), f"flapped at {weight} %"
        expected = weight / 100 * len(KEYS)
        spread = (len(KEYS) * weight / 100 * (1 - weight / 100)) ** 0.5
        assert abs(len(met) - expected) <= 5 * spread + 1, f"{len(met)} of {len(KEYS)}"
        before = met
        everybody |= routers

    assert everybody == {"router-0", "router-1"}


async def test_users_stay_through_a_push_that_is_about_something_else(
    stage: Stage, traffic: Traffic
) -> None:
    first, routers = await _with_candidate(stage, replace(traffic, weight_percent=25))

    pushed = replace(traffic, weight_percent=25, timeout_s=5.0, retry="any")
    second, more = await _with_candidate(stage, pushed)

    assert first == second
    assert routers | more == {"router-0", "router-1"}


async def test_another_rollout_meets_other_users_first(stage: Stage, traffic: Traffic) -> None:
    five = replace(traffic, weight_percent=5)
    first, _ = await _with_candidate(stage, five)

    second, _ = await _with_candidate(stage, replace(five, salt="churn-0a1b2c3d4e-g3"))

    assert first
    assert second
    assert not first & second


async def test_a_cookie_sticks_among_others_and_without_it_chance_decides(
    stage: Stage, traffic: Traffic
) -> None:
    quarter = replace(traffic, weight_percent=25, sticky=COOKIE)

    first, _ = await _with_candidate(stage, quarter, field="cookie: a=1; session={}; b=2")
    second, _ = await _with_candidate(stage, quarter, field="cookie: session={}; c=3")
    grown, _ = await _with_candidate(
        stage, replace(quarter, weight_percent=50), field="cookie: session={}"
    )
    nobody, _ = await _with_candidate(stage, quarter, field="x-other: {}")
    again, _ = await _with_candidate(stage, quarter, field="x-other: {}")

    assert first == second
    assert first < grown
    # Binomial: 2500 expected, standard deviation 43; both must not be the same by chance.
    assert all(2250 <= len(met) <= 2750 for met in (first, nobody, again))
    assert nobody != again


async def test_grpc_sends_a_user_where_rest_does(stage: Stage) -> None:
    await stage.canary(50, sticky=HEADER, retry="none")
    await stage.ready(await stage.router("router-1"))
    keys = KEYS[:200]
    rest, _ = await _ask(stage, keys, field="x-user-id: {}")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        call = channel.unary_unary(GRPC_METHOD)
        rpc = []
        for key in keys:
            running = call(b"question", metadata=((HEADER.name, key),), timeout=20)
            await running
            trailing = dict(await running.trailing_metadata())
            rpc.append(trailing[names.HEADER_REVISION])

    assert rest == rpc
    assert {"r1", "r2"} == set(rest)
