"""A stage for the router's tests: the operator's servers, real routers, and clients.

Routers are real processes, `python -m slipway_operator.router` with the real Envoy.
"""

import asyncio
import contextlib
import datetime
import itertools
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import grpc

from slipway_api import names
from slipway_operator.adapters import certificates
from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.ads_stream import Timing
from slipway_operator.adapters.als import AccessLogServer, Answer
from slipway_operator.adapters.xds import XdsServer
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.traffic import Traffic
from slipway_operator.render import envoy
from tests.contract.router.pods import GRPC_METHOD, Revision, free_port, start_revision, until

ROOT = Path(__file__).resolve().parents[3]
OWNER = "ml/churn"
MOUNTED = ("ca.crt", "router.crt", "router.key")
SETTINGS = envoy.RouterSettings(bind_address="127.0.0.1")


@dataclass
class Router:
    """A router process and where to ask it."""

    name: str
    process: asyncio.subprocess.Process
    health_port: int

    async def is_ready(self) -> bool:
        """Ask as the kubelet does."""
        url = f"http://127.0.0.1:{self.health_port}/ready"
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

    async def kill(self) -> None:
        """End it and its Envoy at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@dataclass
class Load:
    """What clients got."""

    statuses: Counter[object] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    configs: list[str] = field(default_factory=list)
    routers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def seconds_p95(self) -> float:
        """Tell how long all but one of twenty took at most."""
        return sorted(self.seconds)[len(self.seconds) * 95 // 100]

    @property
    def count(self) -> int:
        """Count the requests."""
        return self.statuses.total()

    @property
    def error_count(self) -> int:
        """Count what is neither 200 nor OK."""
        return self.count - self.statuses[200] - self.statuses[grpc.StatusCode.OK]


class Stage:
    """One control plane with one deployment, its revisions and its routers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        now, life = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
        self.certificates = certificates.make(now, life=life)
        self.connection_s_max = 900.0
        self.attempts: list[Attempt] = []
        self.answers: list[Answer] = []
        self.routers: list[Router] = []
        self.revisions: list[Revision] = []
        self.xds_port = free_port()
        self.port = free_port()
        self.other_port = free_port()
        self.first_hash = ""
        self.is_holder = True
        self._numbers = itertools.count(1)

    async def open(self, *, is_released: bool = True) -> None:
        """Start the operator's side, empty, on the same port each time."""
        self.als = AccessLogServer(self.attempts.append, self.answers.append)
        self.ads = AdsServer(lambda: None, timing=Timing(removal_delay_s=0.2))
        self.ads.put(names.RUNTIME_LAYER, [envoy.runtime_resource([("ml", "churn")])])
        if is_released:
            self.ads.release()
        self.xds = XdsServer(self.ads, self.als, may_serve=lambda: self.is_holder)
        credentials = certificates.server_credentials(lambda: self.certificates)
        address = f"127.0.0.1:{self.xds_port}"
        await self.xds.start(address, credentials, connection_s_max=self.connection_s_max)

    async def close(self) -> None:
        """End everything."""
        for router in self.routers:
            await router.kill()
        await self.xds.stop(0)
        for revision in self.revisions:
            for pod in revision.all_pods:
                await pod.stop()

    async def revision(self, pod_count: int = 2) -> Revision:
        """Start the next revision: r1, r2, ..."""
        number = next(self._numbers)
        revision = await start_revision(f"r{number}", f"127.0.{number}", pod_count)
        self.revisions.append(revision)
        return revision

    async def router(self, name: str = "router-0") -> Router:
        """Start a router and wait until it is ready."""
        directory = self.directory / name
        self._mount_certificates(directory / "certificates")
        health_port = free_port()
        settings = {
            "XDS_ADDRESS": f"127.0.0.1:{self.xds_port}",
            "NAME": name,
            "CERTIFICATES_DIR": str(directory / "certificates"),
            "RUN_DIR": str(directory / "run"),
            "HEALTH_ADDRESS": "127.0.0.1",
            "HEALTH_PORT": str(health_port),
            "CONCURRENCY": "2",
            "DRAIN_QUIET_S": "1",
        }
        environment = {f"SLIPWAY_ROUTER_{key}": value for key, value in settings.items()}
        environment["PYTHONPATH"] = f"{ROOT / 'crds'}:{ROOT / 'operator'}"
        with (directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "slipway_operator.router"),
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        router = Router(name, process, health_port)
        self.routers.append(router)
        return router

    def _mount_certificates(self, directory: Path) -> None:
        """Lay files out as kubelet mounts a Secret: links through a directory link."""
        directory.mkdir(parents=True)
        self._write_certificates(directory)
        for file in MOUNTED:
            (directory / file).symlink_to(f"..data/{file}")

    def remount(self, router: str) -> None:
        """Bring a router the present certificates, as kubelet does: by renaming a link."""
        self._write_certificates(self.directory / router / "certificates")

    def _write_certificates(self, directory: Path) -> None:
        fresh = directory / f"..{time.monotonic_ns()}"
        fresh.mkdir()
        for file in MOUNTED:
            (fresh / file).write_bytes(self.certificates[file])
        (directory / "..new").symlink_to(fresh.name)
        (directory / "..new").rename(directory / "..data")

    def put(self, traffic: Traffic) -> str:
        """Hand traffic to the routers; returns its hash."""
        self.ads.put(OWNER, envoy.resources(traffic, settings=SETTINGS))
        return envoy.config_hash(traffic)

    async def set(self, traffic: Traffic) -> str:
        """Hand traffic to the routers and wait until all have taken it."""
        shown = self.put(traffic)
        assert await self.ads.settled(OWNER), self.ads.nacks()
        return shown

    def new_traffic(self, stable: Revision, candidate: Revision | None = None) -> Traffic:
        """Describe plain traffic; tests change what they are about."""
        return Traffic(
            namespace="ml",
            name="churn",
            port=self.port,
            stable=stable.backend(),
            candidate=candidate.backend() if candidate is not None else None,
            weight_percent=0,
            drain=(),
            timeout_s=10.0,
            per_try_timeout_s=None,
            retry="any",
            salt="rollout-1",
            is_logged=True,
        )

    async def canary(self, weight_percent: int, **changes: object) -> tuple[Revision, Revision]:
        """Start a stable revision, a candidate with a weight, and a ready router."""
        stable, candidate = await self.revision(), await self.revision()
        whole = self.new_traffic(stable, candidate)
        traffic = replace(whole, weight_percent=weight_percent, **changes)  # type: ignore[arg-type]
        self.first_hash = self.put(traffic)
        await self.ready(await self.router())
        return stable, candidate

    async def ready(self, router: Router) -> None:
        """Wait until a router is ready."""
        deadline_s = time.monotonic() + 15
        while not await router.is_ready():
            log = (self.directory / router.name / "log").read_text()
            assert router.process.returncode is None, log
            assert time.monotonic() < deadline_s, log
            await asyncio.sleep(0.05)

    async def rest(self, count: int, *, rate: float = 100.0, body: bytes = b"{}") -> Load:
        """Send REST requests at a steady rate, however fast the answers come."""
        load = Load()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await _steadily(count, rate, lambda: self._post(session, load, body))
        return load

    async def rpc(self, count: int, *, rate: float = 100.0) -> Load:
        """Send gRPC calls at a steady rate."""
        load = Load()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_unary(GRPC_METHOD)
            await _steadily(count, rate, lambda: self._call(call, load))
        return load

    async def logged(self, count: int) -> None:
        """Wait until that many attempts have ended in the log."""
        await until(lambda: len(self.ended()) >= count)

    def ended(self) -> list[Attempt]:
        """List the attempts that have ended."""
        return [a for a in self.attempts if a.duration_s is not None]

    async def _post(self, session: aiohttp.ClientSession, load: Load, body: bytes) -> None:
        began_s = time.monotonic()
        url = f"http://127.0.0.1:{self.port}/v2/models/churn/infer"
        try:
            async with session.post(url, data=body) as answer:
                await answer.read()
                load.statuses[answer.status] += 1
                load.revisions[answer.headers.get(names.HEADER_REVISION, "")] += 1
                load.attempts[answer.headers.get(names.HEADER_ATTEMPTS, "")] += 1
                load.configs.append(answer.headers.get(names.HEADER_CONFIG, ""))
                load.routers[answer.headers.get(names.HEADER_ROUTER, "")] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            load.statuses[repr(error)] += 1
        load.seconds.append(time.monotonic() - began_s)

    async def _call(self, call: grpc.aio.UnaryUnaryMultiCallable, load: Load) -> None:
        running = call(b"question", timeout=20)
        began_s = time.monotonic()
        try:
            await running
        except grpc.aio.AioRpcError as error:
            load.statuses[error.code()] += 1
        else:
            load.statuses[grpc.StatusCode.OK] += 1
        initial = dict(await running.initial_metadata())
        trailing = dict(await running.trailing_metadata())
        load.revisions[str(trailing.get(names.HEADER_REVISION, ""))] += 1
        load.attempts[str(initial.get(names.HEADER_ATTEMPTS, ""))] += 1
        load.routers[str(initial.get(names.HEADER_ROUTER, ""))] += 1
        load.seconds.append(time.monotonic() - began_s)


async def admin(stage: Stage, path: str) -> str:
    """Ask the first router's Envoy."""
    socket = stage.directory / stage.routers[0].name / "run" / "admin.sock"
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://envoy{path}") as answer,
    ):
        return await answer.text()


async def metrics(stage: Stage) -> str:
    """Read what Prometheus would get from the first router."""
    url = f"http://127.0.0.1:{stage.routers[0].health_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def _steadily(count: int, rate: float, send: object) -> None:
    assert callable(send)
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
            group.create_task(send())
