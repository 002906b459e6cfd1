"""One run of a story: an operator, its routers and its cluster, and one write that goes wrong."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from slipway_api import names
from slipway_operator.adapters.kube import KubeClient
from tests.writes import writes
from tests.writes.cluster import NAME, Cluster
from tests.writes.comparison import Outcome
from tests.writes.gateway import NETWORK_STORED, NETWORK_USED, Gateway, Sent, Upstream
from tests.writes.router import PlayedRouter, Pushed, Told
from tests.writes.shells import HostedShell, ProcessShell, Shell
from tests.writes.ways import Shares
from tests.writes.writes import Fault, Write

Object = dict[str, Any]

ROUTERS: Final = 2
POLL_S: Final = 0.02
READY_POLL_S: Final = 0.1
QUIET_S: Final = 1.0  # without a write but the Lease's: nothing more comes by itself
# Deadlines are counted in looks: a machine that starves us starves the operator, too.
PHASE_S_MAX: Final = 90.0  # of looks; an operator looks at everything once a minute
READY_S_MAX: Final = 20.0


class StuckError(Exception):
    """A story did not get where it should in time."""


@dataclass(frozen=True, slots=True)
class Point:
    """A write and what is to happen to it."""

    write: Write
    fault: Fault


@dataclass(frozen=True, slots=True)
class Ground:
    """What runs share: the API server, two ways to it, and a folder for logs."""

    client: KubeClient
    upstream: Upstream
    folder: Path


class Run:
    """The stage of one story; everything happens in one event loop."""

    def __init__(
        self, ground: Ground, namespace: str, *, slot: int, point: Point | None, is_process: bool
    ) -> None:
        self._ground, self.namespace, self._point = ground, namespace, point
        self._is_process = is_process
        self.cluster = Cluster(ground.client, namespace, slot=slot)
        self.told = Told()
        self.md: Object = {}  # the ModelDeployment as it was written last
        self.outcome = Outcome()
        self._secret: dict[str, bytes] | None = None
        self._published: set[str] = set()  # routers that clients are led to
        self._violations: set[str] = set()
        self._is_armed = self._is_counting = False
        self._written_s = time.monotonic()
        self._generation = 0
        self._address = ""
        self._crashed = asyncio.Event()
        self._routers = [
            PlayedRouter(
                f"router-{number}",
                self.cluster.local(1 + number),
                secret=lambda: self._secret,
                meet=self._meet_push,
                crash=self._crash,
                told=self.told,
            )
            for number in range(ROUTERS)
        ]

    async def open(self) -> None:
        """Make the cluster, without an operator yet."""
        await self.cluster.open(ROUTERS)

    async def start(self) -> None:
        """Start the operator for the first time."""
        await self._begin()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End everything."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._drop()
        for router in self._routers:
            await router.close()
        await self._shell.gone()
        await self._gateway.close()
        await self.cluster.close()

    def arm(self) -> None:
        """Let the fault happen from now on, and write down what is written."""
        self._is_armed = self._is_counting = True
        self.outcome.counts.clear()
        for router in self._routers:
            del router.history[:-1]

    def stop_counting(self) -> None:
        """Count and watch nothing any more.

        What a collector takes may be made once more meanwhile, and pods go before routes do.
        """
        self.outcome.violations = self._seen()
        self._is_counting = False

    @property
    def status(self) -> Object:
        """The status as it was written last."""
        return dict(self.md.get("status") or {})

    @property
    def weights(self) -> list[Shares]:
        """What clients get now, by router."""
        return [router.shares for router in self._routers]

    @property
    def are_routers_empty(self) -> bool:
        return all(router.is_empty for router in self._routers)

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        """Poll until something holds."""
        for _ in range(round(PHASE_S_MAX / POLL_S)):
            if is_so():
                return
            self.cluster.check()
            await asyncio.sleep(POLL_S)
        raise StuckError(f"not within {PHASE_S_MAX:.0f} s: {what}; {self._where()}")

    async def settle(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until something holds and nothing is written any more, with an operator at work."""
        await self.until(
            lambda: (
                is_so()
                and not self._crashed.is_set()
                and self.cluster.is_settled()
                and all(router.is_connected for router in self._routers)
                and time.monotonic() - self._written_s > QUIET_S
            ),
            what,
        )
        await self._ready()
        if not is_so() or time.monotonic() - self._written_s < QUIET_S:
            await self.settle(is_so, what)

    async def finish(self) -> None:
        """Read what it has come to."""
        self.outcome.histories = [list(router.history) for router in self._routers]
        if self._is_counting:
            self.outcome.violations = self._seen()
        for key, item in (await self.cluster.objects()).items():
            if key.startswith("Pod "):
                item = item["metadata"]["labels"]
            if key.startswith("EndpointSlice "):
                del item["metadata"]["generation"]  # a router may be thought lost for a moment
            self.outcome.objects[key] = writes.stripped(item, self.namespace)

    def _seen(self) -> list[str]:
        return sorted(self._violations.union(*(router.violations for router in self._routers)))

    def _where(self) -> str:
        state = f"[{writes.state_of(self.status)}] weights {self.weights}"
        return f"{state}; {self._shell.last_words()}"

    async def _ready(self) -> None:
        url = f"http://{self._address}:{names.PORT_OPERATOR_HTTP}/readyz"
        async with aiohttp.ClientSession() as session:
            for _ in range(round(READY_S_MAX / READY_POLL_S)):
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(READY_POLL_S)
        raise StuckError(f"the operator is not ready again: {self._where()}")

    async def _begin(self) -> None:
        """Start the next operator, at an address of its own."""
        self._generation += 1
        self._address = self.cluster.local(10 + self._generation)
        self._gateway = await Gateway(
            self._ground.upstream,
            self.namespace,
            meet=self._meet_request,
            landed=self._landed,
            crash=self._crash,
        ).start()
        self._shell: Shell
        if self._is_process:
            self._shell = await ProcessShell.start(
                self._gateway.url,
                self.namespace,
                address=self._address,
                folder=self._ground.folder,
            )
        else:
            self._shell = await HostedShell.start(
                self._gateway.url, self.namespace, address=self._address
            )
        for router in self._routers:
            router.attach(self._address)

    def _drop(self) -> None:
        """Let the operator be dead, at this very moment, for everybody."""
        self._gateway.cut()
        for router in self._routers:
            router.detach()
        self._shell.crash()

    def _crash(self) -> None:
        self._drop()
        self._crashed.set()

    async def _keep(self) -> None:
        """Start an operator again after a crash, as a kubelet does."""
        while True:
            await self._crashed.wait()
            shell, gateway = self._shell, self._gateway
            await gateway.close()
            await self._begin()
            self._crashed.clear()
            await shell.gone()

    def _meet_request(self, sent: Sent) -> Fault | None:
        write = writes.api_write(
            sent.method,
            sent.path,
            sent.body,
            namespace=self.namespace,
            state=writes.state_of(self.status),
        )
        if "leases" not in sent.path:
            self._written_s = time.monotonic()
        return self._fate(write)

    def _meet_push(self, pushed: Pushed) -> Fault | None:
        self._written_s = time.monotonic()
        write = writes.push(
            pushed.router,
            pushed.kind,
            words=pushed.words,
            namespace=self.namespace,
            state=writes.state_of(self.status),
        )
        return self._fate(write)

    def _fate(self, write: Write) -> Fault | None:
        if not self._is_armed:
            return None
        self.outcome.trace.append(write)
        if self._point is None or self.outcome.is_hit or write != self._point.write:
            return None
        self.outcome.is_hit = True
        return self._point.fault

    def _landed(self, sent: Sent, status: int, body: bytes) -> None:
        """Take in what a write has come to."""
        plural, _, name = sent.path.rpartition("/")
        kind = plural.rpartition("/")[2]
        if status >= 400:
            return
        self._count(sent, status)
        if sent.path.endswith(f"{names.MODEL_DEPLOYMENT_PLURAL}/{NAME}/status"):
            self.md = json.loads(body)
        elif sent.path.endswith("/secrets") or kind == "secrets":
            data = json.loads(body)["data"]
            self._secret = {key: base64.b64decode(value) for key, value in data.items()}
        elif kind == "endpointslices" and name == NAME:
            self._publish({} if sent.method == "DELETE" else json.loads(body))
        elif kind == "deployments":
            deployment = {} if sent.method == "DELETE" else json.loads(body)
            self._watch_pods(name, deployment.get("spec", {}).get("replicas", 0))
            if deployment:
                self.cluster.deployment_written(deployment)
            else:
                self.cluster.deployment_deleted(name)

    def _publish(self, endpoint_slice: Object) -> None:
        endpoints = endpoint_slice.get("endpoints") or ()
        stored = [address for endpoint in endpoints for address in endpoint["addresses"]]
        self._published = {address.replace(NETWORK_STORED, NETWORK_USED) for address in stored}

    def _watch_pods(self, revision: str, replicas: int) -> None:
        """Note if pods go while clients are led to their revision."""
        if replicas >= self.cluster.replicas_of(revision):
            return
        self._violations.update(
            f"{revision} is given {replicas} pods while {router.name} leads to it"
            for router in self._routers
            if router.address in self._published and router.leads_to(revision)
        )

    def _count(self, sent: Sent, status: int) -> None:
        """Count what was made and what was deleted; Events and the Lease tell nothing here."""
        what = {201: "made", 200: "deleted" if sent.method == "DELETE" else ""}.get(status, "")
        path = sent.path.partition(f"/namespaces/{self.namespace}/")[2]
        if self._is_counting and what and not path.startswith(("events", "leases")):
            self.outcome.counts[f"{what} {path}"] += 1
