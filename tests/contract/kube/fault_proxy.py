"""A loopback proxy in front of the API server that can refuse, break and swallow requests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from aiohttp import web

from slipway_operator.adapters.kubeconfig import ClusterAccess


class FaultProxy:
    """Forwards plain HTTP with the administrator's certificate, until told otherwise.

    `status` is answered instead of forwarding (only for `path`, where one is given),
    `refusal_count` times so far; `is_frozen` lets requests hang.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._server = access.server
        self._tls: ssl.SSLContext = access.ssl_context()
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[asyncio.Task[None]] = set()
        self.status: int | None = None
        self.path = ""
        self.is_frozen = False
        self.refusal_count = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def run(cls, access: ClusterAccess) -> AsyncIterator[Self]:
        """Listen on a free port of 127.0.0.1 until the block ends."""
        proxy = cls(access)
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", proxy._forward)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}"
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=proxy._tls)
        ) as proxy._session:
            yield proxy
            await runner.cleanup()

    @property
    def access(self) -> ClusterAccess:
        return ClusterAccess(server=self.url)

    def cut(self) -> None:
        """Break every answer that is under way, watches above all."""
        for stream in self._streams:
            stream.cancel()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if self.is_frozen:
            await asyncio.sleep(60)
        if self.status is not None and self.path in ("", request.path):
            self.refusal_count += 1
            reason = {404: "NotFound", 410: "Expired"}.get(self.status, "Injected")
            body = {"kind": "Status", "code": self.status, "reason": reason, "message": "injected"}
            return web.json_response(body, status=self.status)
        assert self._session is not None
        wanted = ("Accept", "Content-Type")
        headers = {name: request.headers[name] for name in wanted if name in request.headers}
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            data=await request.read() or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:
            response = web.StreamResponse(
                status=upstream.status,
                headers={"Content-Type": upstream.headers.get("Content-Type", "text/plain")},
            )
            await response.prepare(request)
            stream = asyncio.create_task(_copy(upstream, response))
            self._streams.add(stream)
            stream.add_done_callback(self._streams.discard)
            await asyncio.wait([stream])
            if stream.cancelled() and request.transport is not None:
                request.transport.abort()
            return response


async def _copy(upstream: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
