"""The composition root: builds every part, starts them in order, ends them in reverse."""

import asyncio
import contextlib
import itertools
import logging
import random
import signal
import time
import uuid
from collections.abc import Coroutine
from importlib import metadata
from typing import Any, Final

from aiohttp import web

from slipway_api import logs, names
from slipway_operator.adapters import http_server, kubeconfig, prometheus
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.als import AccessLogServer, Answer
from slipway_operator.adapters.event_source import Key, KeyKind
from slipway_operator.adapters.events import EventRecorder
from slipway_operator.adapters.http_server import HttpServer
from slipway_operator.adapters.kopf_source import KopfSource
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.adapters.lease import REQUEST_TIMEOUT_S, LeaseStore
from slipway_operator.adapters.metrics import Metrics
from slipway_operator.adapters.model_probe import ModelProbe
from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.adapters.xds import XdsServer
from slipway_operator.engine import lease
from slipway_operator.engine.traffic import SHUT, Opening
from slipway_operator.shell import gauges, readings
from slipway_operator.shell.act import Actor
from slipway_operator.shell.alert_hook import AlertHook
from slipway_operator.shell.attachment import Attachment
from slipway_operator.shell.census import Census
from slipway_operator.shell.guards import Guards
from slipway_operator.shell.insight import Insight
from slipway_operator.shell.keys import Keys
from slipway_operator.shell.leadership import Leadership
from slipway_operator.shell.observe import Observer, Owner
from slipway_operator.shell.polls import Polls
from slipway_operator.shell.ports import PortBook
from slipway_operator.shell.reconcile import Reconciler, Rooms
from slipway_operator.shell.record import StatusWriter
from slipway_operator.shell.routing import RoutingTable
from slipway_operator.shell.settings import Settings
from slipway_operator.shell.vitals import Vitals
from slipway_operator.shell.work_queue import WorkQueue

RESYNC_S: Final = 60.0
GATHER_S: Final = 5.0  # for ready routers to connect; a restart raises no weight that they tell of
RETRY_S: Final = 2.0  # at start, until the API server answers
BACKOFF_S_FIRST: Final = 0.2
BACKOFF_S_MAX: Final = 5.0

_log = logging.getLogger(__name__)


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings, access: kubeconfig.ClusterAccess) -> None:
        self._settings = settings
        self._metrics = Metrics(version=_version())
        self._leadership = _leadership(settings, access)
        self._client = KubeClient(
            access, fence=self._leadership.fence, told=self._metrics.kube_answered
        )
        self._source = KopfSource(access, operator_namespace=settings.namespace)
        self._queue: WorkQueue[Key] = WorkQueue(
            self._handle,
            backoff_s=_backoff_s,
            about=lambda key: logs.about(namespace=key.namespace, name=key.name),
        )
        self._probe = RouterProbe()
        self._models = ModelProbe()
        self._ads = AdsServer(self._routers_changed)
        self._ports = PortBook()
        self._table = RoutingTable(self._ads, self._probe, wake=self._wake, ports=self._ports.taken)
        self._polls = Polls(prometheus.client(settings.prometheus_url))
        self._guards = Guards(
            opening=self._opening,
            last_heard_s=self._last_heard_s,
            wake=self._verdict_changed,
            polls=self._polls,
        )
        self._als = AccessLogServer(self._guards.observe, _ignore)
        self._xds = XdsServer(self._ads, self._als, may_serve=self._leadership.may_serve)
        self._keys = Keys(
            self._client, namespace=settings.namespace, life=settings.certificate_life
        )
        self._events = EventRecorder(self._client, instance=settings.pod)
        self._vitals = Vitals(lambda: self._queue.stuck_s)
        self._insight = Insight(
            self._metrics, pod=settings.pod, routers=lambda: self._table.routers
        )
        self._attachment = Attachment(self._client, settings.namespace, changed=self._add_all)
        rooms = Rooms(
            observer=Observer(
                self._client,
                table=self._table,
                guards=self._guards,
                ports=self._ports,
                models=self._models,
                is_detaching=lambda: self._attachment.is_detaching,
            ),
            actor=Actor(self._client, server=settings.server),
            writer=StatusWriter(self._client),
            table=self._table,
            guards=self._guards,
            ports=self._ports,
            events=self._events,
            insight=self._insight,
        )
        self._reconciler = Reconciler(rooms, wake_in=self._wake_in)
        self._census = Census(self._client, routers=self._ads, wake=self._wake)
        self._is_ready = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        gauges.show(
            self._metrics,
            queue=self._queue,
            vitals=self._vitals,
            table=self._table,
            ads=self._ads,
            leads=self._leadership.may_serve,
        )
        server = HttpServer(
            self._routes(), port=names.PORT_OPERATOR_HTTP, address=self._settings.bind_address
        )
        await server.start()
        parts = (self._lead(stopped), self._vitals.run())
        tasks = [loop.create_task(self._guarded(part)) for part in parts]
        try:
            await stopped.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._xds.stop()
            await self._leadership.give_back()
            await self._source.stop()
            await self._probe.close()
            await self._models.close()
            await self._polls.close()
            await self._client.close()
            await self._leadership.close()
            await server.stop()

    async def _guarded(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except Exception:  # noqa: BLE001 - told, and then the process ends
            _log.exception("the operator cannot go on, its pod is started again")
            raise SystemExit(1) from None

    async def _lead(self, stopped: asyncio.Event) -> None:
        """Act as long as the Lease is ours. A standby waits: its routers' port is closed."""
        await self._leadership.win()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leadership.keep())
            await self._live(stopped)

    async def _live(self, stopped: asyncio.Event) -> None:
        """Start in order: certificates, routers' server (held), state, release, events."""
        await _until_reached(self._keys.read)
        await self._xds.start(
            f"{self._settings.bind_address}:{names.PORT_XDS}",
            self._keys.credentials(),
            connection_s_max=self._keys.connection_s_max,
        )
        await _until_reached(self._attachment.read)
        await _until_reached(self._read_ports)
        await _until_reached(self._read_routers)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._guards.run())
            group.create_task(self._polls.run())
            group.create_task(self._table.run())
            group.create_task(self._events.run())
            await self._take_over()
            self._insight.complete()
            self._source.start(self._heard)
            self._is_ready = True
            _log.info("ready: %d ModelDeployments", len(self._census.known))
            group.create_task(self._resync())
            group.create_task(self._attachment.run())
            group.create_task(self._keys.run())
            await stopped.wait()

    async def _take_over(self) -> None:
        """Put the state of every deployment, then let routers have it.

        A deployment that cannot be read now stays unknown: routers keep what they have of it. One
        that nobody foresaw must not keep all others from their operator.
        """
        await _until_reached(self._census.take)
        self._table.start()
        await self._table.gather(timeout_s=GATHER_S)
        for owner in self._census.known:
            try:
                with self._insight.timed():
                    await self._reconciler.run(owner)
            except Exception as error:  # noqa: BLE001 - told; the queue tries it again
                about = logs.about(namespace=owner[0], name=owner[1], reason=type(error).__name__)
                _log.warning("%s/%s is left as it is for now: %s", *owner, error, extra=about)
                self._queue.add(_key(owner))
        self._ads.release()
        await self._census.drop_unknown()

    async def _handle(self, key: Key) -> None:
        match key.kind:
            case KeyKind.MODEL_DEPLOYMENT:
                with self._insight.timed():
                    await self._reconciler.run((key.namespace, key.name))
            case KeyKind.ROUTER:
                await self._read_routers()
            case KeyKind.COMPUTE_POOL:
                self._add_all()

    async def _read_routers(self) -> None:
        selector = f"{names.LABEL_COMPONENT}={names.COMPONENT_ROUTER}"
        listing = await self._client.list(
            kinds.PODS, namespace=self._settings.namespace, label_selector=selector
        )
        ready = [
            (pod["metadata"]["name"], pod["status"]["podIP"])
            for pod in listing.items
            if readings.is_serving(pod)
        ]
        if self._table.set_routers(ready):
            self._add_all()

    async def _read_ports(self) -> None:
        selector = f"{names.LABEL_MANAGED_BY}={names.MANAGER}"
        listing = await self._client.list(kinds.ENDPOINT_SLICES, label_selector=selector)
        for item in listing.items:
            labels = item["metadata"].get("labels") or {}
            if labels.get("kubernetes.io/service-name") == labels.get(names.LABEL_DEPLOYMENT):
                owner = (item["metadata"]["namespace"], item["metadata"]["name"])
                for port in item.get("ports") or ():
                    self._ports.record(owner, int(port["port"]))

    async def _resync(self) -> None:
        """Look now and then at what has changed: heals events that were lost.

        And in every round at one deployment as it is, however many there are: what nobody foresaw
        is healed too, in time, and a hundred that nobody touches ask for no more than one.
        """
        for turn in itertools.count():
            await asyncio.sleep(RESYNC_S)
            with contextlib.suppress(ApiError):
                await self._census.take()
                await self._read_routers()
                await self._census.drop_unknown()
            known = self._census.known
            if known:
                self._queue.add(_key(known[turn % len(known)]))

    def _routes(self) -> tuple[web.RouteDef, ...]:
        """Everything that the HTTP port answers."""
        hook = AlertHook(
            self._client,
            self._polls,
            token_file=self._settings.alerts_token_file,
            is_active=lambda: self._is_ready,
        )
        return (
            http_server.probe("/healthz", self._trouble),
            http_server.probe("/readyz", self._readiness),
            self._metrics.route(),
            self._insight.route(),
            hook.route(),
        )

    def _trouble(self) -> str | None:
        return self._vitals.trouble(asyncio.get_running_loop().time())

    def _readiness(self) -> str | None:
        """Tell what is missing. A standby is ready too, once it knows of a holder."""
        return None if self._is_ready or self._leadership.is_standby else "not ready yet"

    def _heard(self, key: Key) -> None:
        if key.kind is KeyKind.MODEL_DEPLOYMENT:
            self._census.heard((key.namespace, key.name))
        self._queue.add(key)

    def _routers_changed(self) -> None:
        self._table.changed()

    def _verdict_changed(self, owner: Owner, is_failed: bool) -> None:
        """Lower at once, whatever the API server or the queue are busy with; then look anew."""
        if is_failed:
            self._reconciler.lower(owner)
        self._queue.add(_key(owner), urgent=is_failed)

    def _wake(self, owner: Owner) -> None:
        self._queue.add(_key(owner))

    def _wake_in(self, key: Key, delay_s: float) -> None:
        self._queue.add_at(key, asyncio.get_running_loop().time() + delay_s)

    def _add_all(self) -> None:
        for owner in self._census.known:
            self._queue.add(_key(owner))

    def _opening(self, owner: Owner) -> Opening:
        traffic = self._table.applied(owner)
        return traffic.opening if traffic else SHUT

    def _last_heard_s(self) -> float | None:
        """Tell how long the quietest ready router has sent no records."""
        now_s = time.monotonic()
        seen = [self._als.last_seen(name) for name, _ in self._table.routers]
        ages = [now_s - at_s for at_s in seen if at_s is not None]
        return max(ages) if ages and len(ages) == len(seen) else None


def _version() -> str:
    """Tell which release this is; a checkout is none."""
    try:
        return metadata.version("slipway")
    except metadata.PackageNotFoundError:
        return "unreleased"


def _leadership(settings: Settings, access: kubeconfig.ClusterAccess) -> Leadership:
    client = KubeClient(access, timeout_s=REQUEST_TIMEOUT_S)
    store = LeaseStore(client, namespace=settings.namespace, name=names.LEASE)
    return Leadership(store, me=lease.identity(settings.pod, nonce=uuid.uuid4().hex[:8]))


async def _until_reached(step: Any) -> Any:
    """Repeat a step of the start until the API server answers."""
    while True:
        try:
            return await step()
        except ApiError as error:
            _log.warning("waiting for the API server: %s", error)
            await asyncio.sleep(RETRY_S)


def _key(owner: Owner) -> Key:
    return Key(KeyKind.MODEL_DEPLOYMENT, *owner)


def _backoff_s(failures: int) -> float:
    pause_s = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(failures - 1, 10))
    return pause_s * random.uniform(0.5, 1.0)


def _ignore(_: Answer) -> None:
    """Client-side records prove that a router's log works; their content is not needed yet."""
