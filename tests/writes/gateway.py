"""The gateway: all that one operator process sees of the API server, and where its writes meet
their fate.

It shows one namespace as if it were the whole cluster, so that many operators work beside each
other on one API server. It puts router and pod addresses of loopback in the place of those that
the API server has, which takes no loopback address in an EndpointSlice.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Self

import aiohttp
from aiohttp import web

from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kubeconfig import ClusterAccess
from tests.writes.writes import Fault

# Two numbers of two digits, so that bodies keep their length. RFC 2544 gives the first to tests;
# the second differs from one process to the next, so that two of them may run at once.
NETWORK_STORED: Final = "198.18"
NETWORK_USED: Final = f"127.{10 + os.getpid() % 90}"
_STORED: Final = f'"{NETWORK_STORED}.'.encode()
_USED: Final = f'"{NETWORK_USED}.'.encode()
_NAMESPACED: Final = (
    kinds.MODEL_DEPLOYMENTS,
    kinds.DEPLOYMENTS,
    kinds.PODS,
    kinds.SERVICES,
    kinds.ENDPOINT_SLICES,
    kinds.CONTROLLER_REVISIONS,
)
_BODY_BYTES_MAX: Final = 2**24
_PASSED: Final = ("Accept", "Content-Type")


@dataclass(frozen=True, slots=True)
class Sent:
    """A write on its way to the API server."""

    method: str
    path: str
    body: bytes


# What happens to a write: told before it is sent, and of what the API server answered.
Meet = Callable[[Sent], Fault | None]
Landed = Callable[[Sent, int, bytes], None]


class Upstream:
    """The API server, with the administrator's certificate; shared by all gateways of a loop."""

    def __init__(self, access: ClusterAccess) -> None:
        self.server = access.server
        connector = aiohttp.TCPConnector(limit=0, ssl=access.ssl_context())
        self.session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept-Encoding": "identity"},  # else long lists come packed: bodies are read
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()


class Gateway:
    """One operator process' way to the API server; `url` is where it listens."""

    def __init__(
        self,
        upstream: Upstream,
        namespace: str,
        *,
        meet: Meet,
        landed: Landed,
        crash: Callable[[], None],
    ) -> None:
        self._upstream = upstream
        self._meet, self._landed, self._crash = meet, landed, crash
        self._scoped = {kind.path(): kind.path(namespace=namespace) for kind in _NAMESPACED}
        self._is_cut = False
        self._transports: set[asyncio.BaseTransport] = set()
        self._under_way: set[asyncio.Task[web.Response]] = set()
        self.url = ""

    async def start(self) -> Self:
        """Listen on a free port of loopback."""
        server = web.Server(self._forward, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    def cut(self) -> None:
        """Let nothing through any more: whoever asks is dead. What was sent before still lands."""
        self._is_cut = True
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]  # of TCP all are

    async def close(self) -> None:
        """Stop to listen, once what was under way has landed."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=5)
        await self._runner.cleanup()

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        if self._is_cut:
            request.transport.abort()
            return web.Response(status=503)
        self._transports.add(request.transport)
        if request.method != "GET":
            return await self._write(request)
        async with self._send(request, b"") as answer:
            if "watch=true" not in request.query_string:
                return _whole(answer, await answer.read())
            response = web.StreamResponse(status=answer.status, headers=_headers(answer))
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):  # whoever watched is gone
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            return response

    async def _write(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send a write on, in a task of its own: what is sent lands, whoever dies meanwhile."""
        assert request.transport is not None
        sent = Sent(request.method, request.path, await request.read())
        if self._is_cut:
            request.transport.abort()
            return web.Response(status=503)
        fate = self._meet(sent)
        if fate is Fault.CRASH_BEFORE:
            self._crash()
            return web.Response(status=503)
        task: asyncio.Task[web.Response] = asyncio.create_task(self._land(request, sent))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        response = await asyncio.shield(task)
        if fate is Fault.CRASH_AFTER:
            self._crash()
        elif fate is Fault.REPLY_LOST:
            request.transport.abort()
        return response

    async def _land(self, request: web.BaseRequest, sent: Sent) -> web.Response:
        async with self._send(request, sent.body) as answer:
            body = await answer.read()
            self._landed(sent, answer.status, body)
            return _whole(answer, body)

    def _send(
        self, request: web.BaseRequest, body: bytes
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        path = self._scoped.get(request.path, request.path)
        query = f"?{request.query_string}" if request.query_string else ""
        return self._upstream.session.request(
            request.method,
            self._upstream.server + path + query,
            data=body.replace(_USED, _STORED) or None,
            headers={name: request.headers[name] for name in _PASSED if name in request.headers},
        )


def _whole(answer: aiohttp.ClientResponse, body: bytes) -> web.Response:
    shown = body.replace(_STORED, _USED)
    return web.Response(status=answer.status, body=shown, headers=_headers(answer))


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {"Content-Type": answer.headers.get("Content-Type", "text/plain")}
