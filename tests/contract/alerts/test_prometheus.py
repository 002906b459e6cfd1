"""Asking a real Prometheus, and a server that says what a real one rarely says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from bench import monitoring
from bench.monitoring import Numbers, Program
from slipway_operator.adapters.prometheus import Prometheus
from slipway_operator.engine.queries import Answer
from slipway_operator.render.promql import quote_label

pytestmark = pytest.mark.contract

DEADLINE_S = 30.0
SOON_S = 2  # the timeout where a test waits for it; others must not meet it on a busy machine


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return Numbers(business=0.95, broken=0, endless=float("inf"), none=float("nan"))


@pytest.fixture(scope="module")
def program(numbers: Numbers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    rules = (
        monitoring.alert("Broken", "broken == 1", namespace="ml", modeldeployment="churn"),
        {**monitoring.alert("Pending", "business > 0"), "for": "1h"},
    )
    with numbers.served() as target:
        made = monitoring.prometheus(
            tmp_path_factory.mktemp("real") / "prometheus", targets=(target,), rules=rules
        )
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
async def real(program: Program) -> AsyncIterator[Prometheus]:
    client = Prometheus(program.url)
    yield client
    await client.close()


async def until(ask: Callable[[], Awaitable[Answer]], is_there: Callable[[Answer], bool]) -> Answer:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        answer = await ask()
        if is_there(answer):
            return answer
        assert time.monotonic() < deadline_s, answer
        await asyncio.sleep(0.1)


async def test_one_number_is_an_answer(real: Prometheus) -> None:
    answer = await until(lambda: real.ask("business"), lambda found: found.value is not None)

    assert (0.95, "") == (answer.value, answer.problem)
    assert 42.0 == (await real.ask("scalar(vector(42))")).value


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("absent_metric", "matches no series"),
        ("{__name__=~'business|broken'}", "found 2 series"),
        ("endless", "answered +Inf"),
        ("none", "answered NaN"),
        ("business / 0 * 0", "answered NaN"),
        ('"text"', "answered with a string"),
        ("business[1m]", "answered with a matrix"),
        ("business{", "answered 400: invalid parameter"),
        ("business @ 1000", "matches no series"),
    ],
)
async def test_anything_else_is_a_problem_with_its_reason(
    real: Prometheus, query: str, words: str
) -> None:
    await until(lambda: real.ask("business"), lambda found: found.value is not None)

    answer = await real.ask(query)

    assert answer.value is None
    assert words in answer.problem


@pytest.mark.parametrize("text", ['a "b" \\ c', "two\nlines\t\x00\x7f", "ümlaut 🚢", "{{name}} $1"])
async def test_prometheus_reads_a_quoted_label_as_it_was(program: Program, text: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{program.url}/api/v1/query", data={"query": quote_label(text)}) as answer,
    ):
        body = await answer.json()

    assert text == body["data"]["result"][1]


async def test_alerts_that_fire_come_with_labels_and_their_beginning(
    real: Prometheus, numbers: Numbers
) -> None:
    before = await real.alerts()
    numbers.values["broken"] = 1
    deadline_s = time.monotonic() + DEADLINE_S
    while not (seen := await real.alerts()).firing:
        assert time.monotonic() < deadline_s, seen
        await asyncio.sleep(0.1)
    numbers.values["broken"] = 0

    assert () == before.firing
    (found,) = seen.firing
    assert ("Broken", "ml", "churn") == (
        found.name,
        found.labels["namespace"],
        found.labels["modeldeployment"],
    )
    assert before.at < found.began_at < seen.at


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[Prometheus]:
    """Run a server that answers everything in one way, and a client with little patience."""
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handler)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = Prometheus(f"http://127.0.0.1:{runner.addresses[0][1]}", timeout_s=SOON_S)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def said(text: str, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers)

    return handler


def vector(value: str, *, age_s: float = 0.0) -> str:
    sample = f"[{time.time() - age_s:.3f}, {value}]"
    result = f'[{{"metric": {{}}, "value": {sample}}}]'
    return f'{{"status": "success", "data": {{"resultType": "vector", "result": {result}}}}}'


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def trickling(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(b" " * 65536)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"status"')
    assert request.transport is not None
    request.transport.close()
    return response


PROBLEMS: dict[str, tuple[Handler, str]] = {
    "slow": (slow, f"did not answer within {SOON_S} s"),
    "trickling": (trickling, f"did not answer within {SOON_S} s"),
    "endless": (endless, "answered more than"),
    "cut": (cut, "cannot be asked"),
    "500": (said("oops", 500), "answered 500"),
    "503 in Prometheus' words": (
        said('{"status":"error","errorType":"timeout","error":"query timed out"}', 503),
        "answered 503: query timed out",
    ),
    "redirect": (said("", 302, Location="http://127.0.0.1/"), "answered 302"),
    "HTML": (said("<!doctype html><title>Sign in</title>"), "no JSON: '<!doctype html>"),
    "truncated": (said(vector('"0.95"')[:-9]), "no JSON"),
    "compressed": (said("\x1f\x8b"), "no JSON"),
    "list": (said("[]"), "no object"),
    "without data": (said('{"status":"success"}'), "without success"),
    "null": (said('{"status":"success","data":null}'), "without success"),
    "error with 200": (said('{"status":"error","error":"no"}'), "without success: no"),
    "warning": (
        said(vector('"0.95"')[:-1] + ', "warnings": ["store 2 is away"]}'),
        "warns: ['store 2 is away']",
    ),
    "text": (said(vector('"good"')), "answered 'good' where a number belongs"),
    "negative infinity": (said(vector('"-Inf"')), "answered -Inf"),
    "no sample": (
        said('{"status":"success","data":{"resultType":"vector","result":[{}]}}'),
        "another shape",
    ),
    "scalar": (said('{"status":"success","data":{"resultType":"scalar","result":7}}'), "shape"),
    "stale": (said(vector('"0.95"', age_s=300)), " s old"),
    "in the future": (said(vector('"0.95"', age_s=-300)), " s in the future"),
}


@pytest.mark.parametrize("name", PROBLEMS)
async def test_no_fault_is_taken_for_a_number_or_raises(name: str) -> None:
    handler, words = PROBLEMS[name]

    async with answering(handler) as client:
        answer = await client.ask("business")

    assert answer.value is None
    assert words in answer.problem
    assert len(answer.problem) <= 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"status":"success","data":{"alerts":7}}', "without a list of alerts"),
        ('{"status":"success","data":{"alerts":[7]}}', "without labels"),
        (
            '{"status":"success","data":{"alerts":[{"state":"firing","labels":{}}]}}',
            "without a time",
        ),
        ("<html>", "no JSON"),
    ],
)
async def test_alerts_that_cannot_be_read_are_unknown_and_not_absent(body: str, words: str) -> None:
    async with answering(said(body)) as client:
        seen = await client.alerts()

    assert seen.firing is None
    assert words in seen.problem


async def test_nobody_there_is_a_problem_and_the_next_answer_counts() -> None:
    client = Prometheus("http://127.0.0.1:1")

    answer = await client.ask("business")
    seen = await client.alerts()
    await client.close()

    assert (None, None) == (answer.value, seen.firing)
    assert "cannot be asked" in answer.problem
