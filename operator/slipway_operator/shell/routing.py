"""What routers were asked for, and whether each of them really does it.

Pushes traffic through ADS and asks every ready router, on fresh connections, what it shows. It
decides nothing: whoever needs to know is woken when the answer changes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from slipway_api import names
from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.engine.facts import Routing
from slipway_operator.engine.traffic import Opening, Traffic
from slipway_operator.render import envoy, envoy_names

Owner = tuple[str, str]

POLL_S: Final = 0.05  # while something is not verified
ABSENT_EVERY_S: Final = 0.5  # how often a router without a stream is asked whether it lives
RECHECK_S: Final = 1.0  # while access logs run: a probe is logged, so silence is no lack of traffic
PROBES_MAX: Final = 64  # at once
LISTENERS_ASKED: Final = 3  # of a router without a stream; the first may be gone

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """One deployment's traffic and the routers that were seen to obey it."""

    traffic: Traffic
    shown: str  # the configuration's hash
    confirmed: set[str] = field(default_factory=set)
    rechecked_s: float = 0.0


class RoutingTable:
    """Traffic by owner (namespace, name); lives in one event loop."""

    def __init__(
        self,
        ads: AdsServer,
        probe: RouterProbe,
        *,
        wake: Callable[[Owner], None],
        ports: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        """`ports` are of listeners that routers have from another process, best first."""
        self._ads, self._probe, self._wake, self._ports = ads, probe, wake, ports
        self._entries: dict[Owner, _Entry] = {}
        self._routers: tuple[tuple[str, str], ...] = ()
        self._lost: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(PROBES_MAX)

    @property
    def routers(self) -> tuple[tuple[str, str], ...]:
        """The ready router pods, by name and address."""
        return self._routers

    def set_routers(self, routers: Iterable[tuple[str, str]]) -> bool:
        """Take over which router pods are ready; True if that is news."""
        known = tuple(sorted(routers))
        is_news = known != self._routers
        self._routers = known
        self.changed()
        return is_news

    def changed(self) -> None:
        """Look again: a router connected, left, accepted or refused something."""
        acked = {router.node_id: router.acked for router in self._ads.routers()}
        for (namespace, name), entry in self._entries.items():
            owner = envoy_names.owner(namespace, name)
            entry.confirmed = {
                router
                for router in entry.confirmed
                if router not in acked or acked[router].get(owner) == entry.shown
            }
        self._changed.set()

    def applied(self, owner: Owner) -> Traffic | None:
        """Look up what was pushed last."""
        entry = self._entries.get(owner)
        return entry.traffic if entry else None

    def is_held(self, owner: Owner) -> bool:
        """Tell whether routers have something of an owner, be it from another process."""
        return owner in self._entries or envoy_names.owner(*owner) in self._ads.unknown_owners()

    def apply(self, traffic: Traffic) -> None:
        """Push traffic; what is not new is not sent."""
        owner = (traffic.namespace, traffic.name)
        entry = self._entries.get(owner)
        if entry is not None and entry.traffic == traffic:
            return
        shown = envoy.config_hash(traffic)
        was_logged = entry is not None and entry.traffic.is_logged
        if entry is None or entry.shown != shown:
            self._entries[owner] = _Entry(traffic, shown)
        else:
            entry.traffic = traffic
        self._ads.put(envoy_names.owner(*owner), envoy.resources(traffic))
        if traffic.is_logged != was_logged:
            self._push_log_switches()
        self._changed.set()

    def remove(self, owner: Owner) -> None:
        """Take the listener of a deleted deployment away."""
        entry = self._entries.pop(owner, None)
        self._ads.remove(envoy_names.owner(*owner))
        if entry is not None and entry.traffic.is_logged:
            self._push_log_switches()

    async def gather(self, *, timeout_s: float) -> None:
        """Wait until every ready router has connected and said what it has, or the time is over.

        One that answers nobody is not waited for.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            told = {router.node_id for router in self._ads.routers() if router.is_complete}
            if (told | self._lost).issuperset(name for name, _ in self._routers):
                return
            await asyncio.sleep(POLL_S)

    def found(self, traffic: Traffic) -> Opening | None:
        """Tell how little another process left open to the candidate at a router.

        `traffic` is what the status asks for; None if all of them have it, or something unknown.
        """
        owner = envoy_names.owner(traffic.namespace, traffic.name)
        shown = {router.acked.get(owner, "") for router in self._ads.routers()} - {""}
        found = traffic.opening
        for opening in (envoy.opening_of(one, traffic) for one in shown):
            found = found if opening is None else found.narrowed(opening)
        return found if found != traffic.opening else None

    def start(self) -> None:
        """Push what is the same for all deployments."""
        self._push_log_switches()

    def view(self, owner: Owner, *, port: int | None, published: tuple[str, ...]) -> Routing:
        """Tell what is known now."""
        entry = self._entries.get(owner)
        confirmed = entry.confirmed if entry else set()
        unconfirmed = tuple(name for name, _ in self._routers if name not in confirmed)
        return Routing(
            port=port,
            applied=entry.traffic if entry else None,
            is_verified=entry is not None and bool(self._routers) and not unconfirmed,
            unconfirmed=unconfirmed,
            routers=self._routers,
            published=published,
            lost=tuple(name for name, _ in self._routers if name in self._lost),
        )

    async def run(self) -> None:
        """Ask routers until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._confirm())
            group.create_task(self._watch_absent())

    async def _watch_absent(self) -> None:
        """Ask routers whose stream has ended whether they live."""
        while True:
            connected = {router.node_id for router in self._ads.routers()}
            absent = [(name, address) for name, address in self._routers if name not in connected]
            answers = await asyncio.gather(*(self._lives(*router) for router in absent))
            self._set_lost(
                frozenset(
                    name for (name, _), lives in zip(absent, answers, strict=True) if not lives
                )
            )
            await asyncio.sleep(ABSENT_EVERY_S)

    def _set_lost(self, lost: frozenset[str]) -> None:
        if lost == self._lost:
            return
        for name in sorted(lost - self._lost):
            _log.warning("router %s has no stream and answers nobody: it is lost", name)
        for name in sorted(self._lost - lost):
            _log.info("router %s is found again", name)
        self._lost = lost
        for owner in self._entries:
            self._wake(owner)

    async def _lives(self, name: str, address: str) -> bool:
        """Ask at listeners that the router has, if some are known; one that answers is enough."""
        ports = [e.traffic.port for e in self._entries.values() if name in e.confirmed]
        ports += [e.traffic.port for e in self._entries.values()]  # the oldest, most likely there
        ports += self._ports()
        if not ports:
            return True
        asked = tuple(dict.fromkeys(ports))[:LISTENERS_ASKED]
        async with self._slots:
            answers = (self._probe.answers(address, port) for port in asked)
            return any(await asyncio.gather(*answers))

    async def _confirm(self) -> None:
        while True:
            self._changed.clear()
            due = [owner for owner, entry in self._entries.items() if self._is_due(entry)]
            await asyncio.gather(*(self._check(owner) for owner in due))
            is_busy = any(self._is_open(entry) for entry in self._entries.values())
            is_logged = any(entry.traffic.is_logged for entry in self._entries.values())
            if is_busy:
                await asyncio.sleep(POLL_S)
            else:
                timeout_s = RECHECK_S / 4 if is_logged else None
                await _wait(self._changed, timeout_s)

    def _is_open(self, entry: _Entry) -> bool:
        acked = self._acked()
        owner = envoy_names.owner(entry.traffic.namespace, entry.traffic.name)
        return any(
            name not in entry.confirmed and acked.get(name, {}).get(owner) == entry.shown
            for name, _ in self._routers
        )

    def _is_due(self, entry: _Entry) -> bool:
        if self._is_open(entry):
            return True
        return entry.traffic.is_logged and time.monotonic() - entry.rechecked_s >= RECHECK_S

    def _acked(self) -> dict[str, dict[str, str]]:
        return {router.node_id: dict(router.acked) for router in self._ads.routers()}

    async def _check(self, owner: Owner) -> None:
        """Ask every router that may show the configuration; wake the owner if that is news."""
        entry = self._entries[owner]
        entry.rechecked_s = time.monotonic()
        shown = await asyncio.gather(
            *(self._ask(address, entry.traffic.port) for _, address in self._routers)
        )
        confirmed = {
            name
            for (name, _), answer in zip(self._routers, shown, strict=False)
            if answer == entry.shown
        }
        if confirmed != entry.confirmed and self._entries.get(owner) is entry:
            entry.confirmed = confirmed
            self._wake(owner)

    async def _ask(self, address: str, port: int) -> str | None:
        async with self._slots:
            return await self._probe.shown(address, port)

    def _push_log_switches(self) -> None:
        logged = [owner for owner, entry in self._entries.items() if entry.traffic.is_logged]
        self._ads.put(names.RUNTIME_LAYER, [envoy.runtime_resource(logged)])


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    """Wait so long at most. Not by `wait_for`: in Python 3.11 it loses a cancellation that comes
    together with the event, and an operator that was told to end never did.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
