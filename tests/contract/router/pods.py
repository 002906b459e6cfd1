"""Model server pods for the router's tests: they answer REST and gRPC, and misbehave on request.

Everything is on loopback: pods have addresses of their own and one port per revision, as in a
cluster.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc
from aiohttp import web

from slipway_api import names
from slipway_operator.engine.traffic import Backend

GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"


def free_port(address: str = "127.0.0.1") -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


async def until(is_true: Callable[[], object], *, timeout_s: float = 5.0) -> None:
    """Poll until the condition holds."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {is_true}"
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Asked:
    """A request as it came to a pod."""

    headers: Mapping[str, str]
    body: bytes


class Pod:
    """A model server pod; `mode` is what it does with a request, REST or gRPC.

    Modes: `ok`; a number: that HTTP status or gRPC code; `shed`: 503 with Retry-After or
    RESOURCE_EXHAUSTED; `kill`: the connection dies; `hang`: no answer ever.
    """

    def __init__(self, revision: str, address: str, *, ports: tuple[int, int]) -> None:
        self.revision, self.address = revision, address
        self.http_port, self.grpc_port = ports
        self.mode = "ok"
        self.delay_s = 0.0
        self.seen: list[float] = []
        self.asked: list[Asked] = []
        self._queues: list[socket.socket] = []

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, keepalive_timeout=75, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self.http_port).start()
        self._grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(self._infer)
        service, method = GRPC_METHOD.strip("/").split("/")
        self._grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),)
        )
        self._grpc.add_insecure_port(f"{self.address}:{self.grpc_port}")
        await self._grpc.start()

    async def stop(self) -> None:
        """Die: connections break, new ones are refused."""
        for queue in self._queues:
            queue.close()
        self._queues.clear()
        await self._runner.cleanup()
        await self._grpc.stop(0)

    async def fall_silent(self) -> None:
        """Be cut off: connections break, and nobody says anything to new ones.

        Full queues of connections let the kernel drop what comes.
        """
        await self.stop()
        for port in (self.http_port, self.grpc_port):
            address = (self.address, port)
            queue = socket.create_server(address, backlog=0)
            self._queues += [queue, socket.create_connection(address)]

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(time.time())
        body = await request.read()
        self.asked.append(Asked({k.lower(): v for k, v in request.headers.items()}, body))
        await asyncio.sleep(self.delay_s)
        headers = {names.HEADER_REVISION: self.revision}
        match self.mode:
            case "ok":
                return web.json_response({"revision": self.revision}, headers=headers)
            case "shed":
                return web.Response(status=503, headers={**headers, "retry-after": "1"})
            case "kill":
                assert request.transport is not None
                request.transport.abort()
            case "hang":
                await asyncio.sleep(60)
            case status:
                return web.Response(status=int(status), headers=headers)
        return web.Response()

    async def _infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.seen.append(time.time())
        metadata = context.invocation_metadata() or ()
        self.asked.append(Asked({str(k): str(v) for k, v in metadata}, request))
        await asyncio.sleep(self.delay_s)
        trailers = ((names.HEADER_REVISION, self.revision),)
        match self.mode:
            case "ok":
                context.set_trailing_metadata(trailers)
                return request
            case "shed":
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", trailers)
            case "hang":
                await asyncio.sleep(60)
            case code:
                status = next(s for s in grpc.StatusCode if s.value[0] == int(code))
                await context.abort(status, "as told", trailers)
        raise AssertionError("not reached")


@dataclass
class Revision:
    """Pods of one revision, and one more that stands for its Service address."""

    name: str
    pods: list[Pod]
    service: Pod

    @property
    def all_pods(self) -> list[Pod]:
        """List the pods, the one behind the Service included."""
        return [*self.pods, self.service]

    @property
    def asked(self) -> list[Asked]:
        """List what its pods were asked."""
        return [asked for pod in self.all_pods for asked in pod.asked]

    def backend(self) -> Backend:
        """Describe it as the operator would."""
        first = self.pods[0]
        return Backend(
            revision=self.name,
            endpoints=tuple(pod.address for pod in self.pods),
            cluster_ip=self.service.address,
            http_port=first.http_port,
            grpc_port=first.grpc_port,
        )

    def set_mode(self, mode: str) -> None:
        """Tell all pods, not the Service's, what to do."""
        for pod in self.pods:
            pod.mode = mode

    @property
    def seen_count(self) -> int:
        """Count the requests that arrived at any of its pods."""
        return sum(len(pod.seen) for pod in self.all_pods)


async def start_revision(name: str, network: str, pod_count: int) -> Revision:
    """Start pods on `<network>.1` and so on, and the one behind the Service on `<network>.100`."""
    ports = (free_port(f"{network}.1"), free_port(f"{network}.1"))
    pods = [Pod(name, f"{network}.{i + 1}", ports=ports) for i in range(pod_count)]
    revision = Revision(name, pods, Pod(name, f"{network}.100", ports=ports))
    for pod in revision.all_pods:
        await pod.start()
    return revision
