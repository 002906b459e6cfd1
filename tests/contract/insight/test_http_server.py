"""The operator's HTTP port answers what its parts bring, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from slipway_operator.adapters import http_server
from slipway_operator.adapters.http_server import HttpServer

pytestmark = pytest.mark.contract


@asynccontextmanager
async def serving(*routes: web.RouteDef) -> AsyncIterator[aiohttp.ClientSession]:
    server = HttpServer(routes, port=0)
    port = await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("trouble", "said"), [(None, (200, "ok")), ("not ready yet", (503, "not ready yet"))]
)
async def test_a_probe_says_what_it_is_told(trouble: str | None, said: tuple[int, str]) -> None:
    async with (
        serving(http_server.probe("/readyz", lambda: trouble)) as session,
        session.get("/readyz") as answer,
    ):
        assert said == (answer.status, await answer.text())


@pytest.mark.parametrize(("trouble", "ending"), [(None, None), ("a standby", "close")])
async def test_who_is_refused_comes_back_by_another_connection(
    trouble: str | None, ending: str | None
) -> None:
    """A Service leads each connection to any operator, and one of them may answer."""
    async with (
        serving(http_server.probe("/alerts", lambda: trouble)) as session,
        session.get("/alerts") as answer,
    ):
        assert answer.headers.get("Connection") == ending


async def test_a_path_that_nobody_brought_is_not_found() -> None:
    async with (
        serving(http_server.probe("/healthz", lambda: None)) as session,
        session.get("/") as answer,
    ):
        assert answer.status == 404


async def test_a_body_above_the_limit_is_refused() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    body = b"x" * (http_server.BODY_BYTES_MAX + 1)
    async with (
        serving(web.post("/alerts", read)) as session,
        session.post("/alerts", data=body) as answer,
    ):
        assert answer.status == 413
