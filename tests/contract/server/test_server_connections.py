"""What a client may take of a connection, over real sockets, with limits short enough to see."""

import asyncio
import threading
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from slipway_server.attempts import Attempts
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.registry import Model, Registry
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.core.workers import Workers
from slipway_server.fronts import HttpListener
from slipway_server.metrics import LABELS, Metrics
from slipway_server.rest import app
from slipway_server.rest.connection import Connection, HttpLimits
from slipway_server.rest.front import Front
from slipway_server.rest.infer import InferPath

BODY = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [7]}]})
HEAD = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n" % len(BODY)
INFER = HEAD + b"\r\n" + BODY
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n"
UPGRADING = HEAD + H2C + b"\r\n" + BODY
INDEX = b"POST /v2/repository/index HTTP/1.1\r\nhost: a\r\n"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n"
DEADLINE_S = 10.0


class Gate:
    """A model that returns its input once it may."""

    platform, name = "test", "test"
    signature = Signature(
        (TensorSpec("x", Datatype.FP32, (-1, 1)),), (TensorSpec("y", Datatype.FP32, (-1, 1)),)
    )

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.factor = 1

    def infer(self, feed, outputs):
        self.is_open.wait(DEADLINE_S)
        return [np.repeat(feed["x"], self.factor, axis=0)]


class Server:
    """The REST listener in this process."""

    def __init__(self, limits: HttpLimits) -> None:
        self.gate, self.metrics_registry = Gate(), CollectorRegistry()
        self.workers = Workers(asyncio.get_running_loop(), thread_count=1)
        registry = Registry()
        registry.publish([Model("echo", "1", self.gate)])
        dataplane = Dataplane(registry, self.workers)
        metrics = Metrics(self.metrics_registry, dict.fromkeys(LABELS[:3], "a"))
        infer = InferPath(dataplane, Attempts(metrics, None), body_bytes_max=1000)
        stamp = (b"x-slipway-revision", b"r1")
        connection = partial(Connection, infer=infer, limits=limits, stamp=stamp)
        front = Front(dataplane, api=app.build(dataplane, self.metrics_registry), revision="r1")
        self.http = HttpListener(front, connection, host="127.0.0.1", port=0, drain_s=1)

    def counted(self, code: str) -> float:
        samples = [s for family in self.metrics_registry.collect() for s in family.samples]
        found = [s for s in samples if s.name == "slipway_server_requests_total"]
        return sum(s.value for s in found if s.labels["code"] == code)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.http.port)

    async def ask(self, sent: bytes) -> list[tuple[int, dict]]:
        """Send bytes and read answers until the server closes."""
        reader, writer = await self.connect()
        writer.write(sent)
        found = await answers(reader)
        writer.close()
        return found


async def answers(reader: asyncio.StreamReader, count: int | None = None) -> list[tuple[int, dict]]:
    """So many answers, or all until the end: statuses and bodies."""
    found: list[tuple[int, dict]] = []
    async with asyncio.timeout(DEADLINE_S):
        while count is None or len(found) < count:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except (asyncio.IncompleteReadError, ConnectionResetError):
                break
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await reader.readexactly(int(fields["content-length"]))
            content = orjson.loads(body)
            named = content if isinstance(content, dict) else {"models": content}
            found.append((int(head.split()[1]), named | {"headers": fields}))
    return found


@asynccontextmanager
async def serving(**limits):
    server = Server(HttpLimits(**limits))
    await server.http.start()
    yield server
    server.gate.is_open.set()
    await server.http.close()
    server.workers.close()


async def until(claim, what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not claim():
            await asyncio.sleep(0.01)
    assert claim(), what


async def test_headers_that_do_not_end_are_answered_and_cut():
    async with serving(head_s=0.5) as server:
        ((status, fields),) = await server.ask(b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: a")

    assert (status, fields["error"]) == (408, "the headers did not end within 0.5 s")


async def test_a_body_that_stops_is_answered_cut_and_counted():
    async with serving(body_idle_s=0.5) as server:
        ((status, fields),) = await server.ask(HEAD + b"\r\n" + BODY[:10])

        assert (status, fields["error"]) == (408, "nothing more of the body came for 0.5 s")
        assert server.counted("408") == 1
        assert [s for s, _ in await server.ask(INDEX + b"content-length: 9\r\n\r\n{")] == [408]


async def test_a_header_without_an_end_is_refused_however_it_is_cut():
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(HEAD + b"x-long: ")
        for _ in range(40):
            writer.write(b"a" * 1000)
            await asyncio.sleep(0)
        ((status, fields),) = await answers(reader)
        writer.close()

    assert (status, fields["error"]) == (431, "the headers exceed 32768 bytes")


@pytest.mark.parametrize("trailers", [False, True])
async def test_more_headers_than_may_be_are_refused_as_trailers_too(trailers):
    more = b"".join(b"x-%d: 1\r\n" % number for number in range(101))
    chunked = b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
    async with serving() as server:
        ((status, fields),) = await server.ask((chunked if trailers else HEAD) + more + b"\r\n")

    assert (status, fields["error"]) == (431, "there are more than 100 headers")


async def test_answers_come_in_the_order_of_the_requests_on_both_ways():
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(INFER + LIVE + INFER + LIVE + LIVE + INFER)
        found = await answers(reader, 6)
        writer.close()

    assert [status for status, _ in found] == [200] * 6
    assert ["live" in fields for _, fields in found] == [False, True, False, True, True, False]


async def test_thousands_of_refusals_on_one_connection_are_answered_one_by_one():
    wrong = b"POST /v2/models/other/infer HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(wrong * 3000)
        found = await answers(reader, 3000)
        writer.close()

    assert {status for status, _ in found} == {400}


async def test_what_was_asked_whole_is_answered_before_a_bad_request_ends_the_connection():
    async with serving() as server:
        server.gate.is_open.clear()
        reader, writer = await server.connect()
        writer.write(INFER)
        await until(lambda: server.workers.running_count, "it runs")
        writer.write(b"no http at all\r\n\r\n")
        (connection,) = server.http._server.server_state.connections
        await until(lambda: connection._is_refused, "the bad request is read")
        server.gate.is_open.set()
        found = await answers(reader)
        writer.close()

    assert [status for status, _ in found] == [200]


async def test_all_that_was_asked_whole_is_answered_before_a_bad_request_ends_the_connection():
    async with serving() as server:
        server.gate.is_open.clear()
        reader, writer = await server.connect()
        writer.write(INFER + LIVE + INFER + b"no http at all\r\n\r\n")
        await until(lambda: server.workers.running_count, "the first runs")
        server.gate.is_open.set()
        found = await answers(reader)  # until the server closes
        writer.close()

    assert [status for status, _ in found] == [200, 200, 200]


async def test_a_body_behind_an_unanswered_request_has_its_time_when_its_turn_comes():
    async with serving(body_idle_s=0.5) as server:
        server.gate.is_open.clear()
        reader, writer = await server.connect()
        writer.write(INFER + HEAD + b"\r\n" + BODY[:10])
        await until(lambda: server.workers.running_count, "the first runs")
        (connection,) = server.http._server.server_state.connections
        connection.look(asyncio.get_running_loop().time() + 1000)  # nothing of it is read so long
        server.gate.is_open.set()
        found = await answers(reader)
        writer.close()

    assert [status for status, _ in found] == [200, 408]


@pytest.mark.parametrize("head", [b"POST /v2/models/echo/infer HTTP/1.1\r\n", INDEX])
async def test_what_was_asked_whole_is_answered_before_a_bad_body_is_refused(head):
    async with serving() as server:
        server.gate.is_open.clear()
        reader, writer = await server.connect()
        writer.write(INFER + LIVE + head + b"transfer-encoding: chunked\r\n\r\nno number\r\n")
        await until(lambda: server.workers.running_count, "the first runs")
        server.gate.is_open.set()
        found = await answers(reader)
        writer.close()

    assert [status for status, _ in found] == [200, 200, 400]
    assert found[-1][1]["error"] == "this is no HTTP/1.1 that can be read"


async def test_headers_begun_behind_an_unanswered_request_must_end_too():
    async with serving(head_s=0.5) as server:
        found = await server.ask(INFER + b"GET /v2 HTT")

    assert [status for status, _ in found] == [200, 408]


async def test_headers_are_not_counted_with_what_was_sent_before_them():
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(LIVE[:20])
        connections = server.http._server.server_state.connections
        await until(lambda: [c for c in connections if c._is_in_head], "half a head is read")
        writer.write(LIVE[20:] + LIVE * 800 + LIVE[:20])
        await answers(reader, 801)
        writer.write(LIVE[20:])

        assert [status for status, _ in await answers(reader, 1)] == [200]
        writer.close()


async def test_an_idle_connection_gives_way_to_a_new_one():
    async with serving(connection_count_max=2) as server:
        first, second = await server.connect(), await server.connect()
        for reader, writer in (first, second):
            writer.write(LIVE)
            await answers(reader, 1)
        third = await server.connect()
        third[1].write(LIVE)

        assert [status for status, _ in await answers(third[0], 1)] == [200]
        assert await answers(first[0]) == []  # closed
        second[1].write(LIVE)
        assert [status for status, _ in await answers(second[0], 1)] == [200]
        for _, writer in (first, second, third):
            writer.close()


async def test_a_client_too_many_is_told_to_come_later_when_all_are_busy():
    async with serving(connection_count_max=1) as server:
        server.gate.is_open.clear()
        reader, writer = await server.connect()
        writer.write(INFER)
        await until(lambda: server.workers.running_count, "it runs")
        ((status, fields),) = await server.ask(b"")
        server.gate.is_open.set()

        assert (status, fields["error"]) == (503, "too many connections; try again later")
        assert fields["headers"]["retry-after"] == "1"
        assert [status for status, _ in await answers(reader, 1)] == [200]
        writer.close()


async def test_a_client_that_reads_nothing_is_not_read_either_and_is_cut():
    async with serving(answer_idle_s=0.5) as server:
        server.gate.factor = 200_000  # of a row: an answer that fills every buffer on its way
        reader, writer = await server.connect()
        reader._transport.pause_reading()
        for _ in range(200):
            writer.write(INFER)
        await until(lambda: server.counted("200") > 0, "the first is answered")
        connections = server.http._server.server_state.connections
        await until(lambda: not connections, "it is cut")

        assert server.counted("200") < 50
        writer.close()


async def test_who_has_gone_is_counted_as_gone():
    async with serving() as server:
        server.gate.is_open.clear()
        _, writer = await server.connect()
        writer.write(INFER)
        await until(lambda: server.workers.running_count, "it runs")
        writer.close()
        await until(lambda: server.counted("499"), "it is noticed")

        assert server.counted("200") == 0


async def test_a_client_that_asks_first_is_told_to_go_on():
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(HEAD + b"expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)

        assert [status for status, _ in await answers(reader, 1)] == [200]
        writer.close()


async def test_a_body_beyond_the_limit_is_refused_before_it_comes_or_as_it_comes():
    long = b"POST /v2/models/echo/infer HTTP/1.1\r\nexpect: 100-continue\r\n"
    async with serving() as server:
        ((told, _),) = await server.ask(long + b"content-length: 1001\r\n\r\n")
        chunks = (b"%x\r\n" % 400 + b"a" * 400 + b"\r\n") * 3
        ((seen, _),) = await server.ask(
            b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
        )

    assert (told, seen) == (413, 413)


CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
async def test_who_offers_another_protocol_is_answered_in_this_one(size):
    """RFC 9110, 7.8: a server may ignore Upgrade, but not the request, nor its body."""
    asked = [
        INFER,
        UPGRADING,
        b"POST /v2/models/echo/infer HTTP/1.1\r\n" + H2C + CHUNKED,
        UPGRADING,
        LIVE.replace(b"\r\n\r\n", b"\r\n" + H2C + b"\r\n"),
        INDEX + H2C + b"content-length: 14\r\n\r\n" + b'{"ready":true}',
        INDEX + H2C + b"content-length: 14\r\n\r\n" + b'{"ready":"yes}',
        INFER,
    ]
    sent = b"".join(asked)
    async with serving() as server:
        reader, writer = await server.connect()
        for begin in range(0, len(sent), size):
            writer.write(sent[begin : begin + size])
            await asyncio.sleep(0)
        found = await answers(reader, len(asked))
        writer.close()

    assert [status for status, _ in found] == [200, 200, 200, 200, 200, 200, 400, 200]
    assert found[1][1]["outputs"][0]["data"] == [7]


async def test_thousands_of_offers_on_one_connection_are_ignored_one_by_one():
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(UPGRADING * 2000)
        found = await answers(reader, 2000)
        writer.close()

    assert {status for status, _ in found} == {200}


async def test_an_offer_changes_no_limit_and_no_wish_of_the_client():
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(101))
    closing = H2C.replace(b"Upgrade,", b"close, Upgrade,")
    async with serving(body_idle_s=0.5) as server:
        assert [s for s, _ in await server.ask(HEAD + H2C + many + b"\r\n")] == [431]
        assert [s for s, _ in await server.ask(HEAD + H2C + b"\r\n" + BODY[:9])] == [408]
        assert [s for s, _ in await server.ask(HEAD + closing + b"\r\n" + BODY)] == [200]
        reader, writer = await server.connect()
        writer.write(HEAD + H2C + b"expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert [status for status, _ in await answers(reader, 1)] == [200]
        writer.close()


async def test_a_client_that_wants_a_tunnel_is_told_that_there_is_none():
    async with serving() as server:
        found = await server.ask(b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n" + LIVE)

    assert [status for status, _ in found] == [400]
