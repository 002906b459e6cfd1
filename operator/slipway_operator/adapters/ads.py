"""The ADS server: gives every connected router what the catalogue says, and knows what it took.

It decides nothing: what routers should have is put here, what they have can be read here. One
event loop, no locks; every call returns at once, deadlines are timers. The protocol itself is in
`ads_stream`.

A server that has just started answers nothing until `release`: silence is safe, routers serve on
with what they have, while an answer from half a state would take traffic away.
"""

import asyncio
import logging
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from slipway_operator.adapters.ads_catalogue import Catalogue
from slipway_operator.adapters.ads_stream import DEFAULT_TIMING, DeltaStream, Nack, Timing
from slipway_operator.render.envoy_names import owner_of
from slipway_operator.render.envoy_wire import ROUTES, Resource

NACKS_KEPT: Final = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectedRouter:
    """A router with an open stream; `acked` are the configuration hashes it accepted, by owner.

    `is_complete`: it has said of every listener that it has which routes it has for it.
    """

    node_id: str
    address: str
    acked: Mapping[str, str]
    is_complete: bool


class _Session:
    """A stream with its way out."""

    def __init__(self, stream: DeltaStream, address: str) -> None:
        self.stream = stream
        self.address = address
        self.outbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.outbox.put_nowait(None)


class AdsServer:
    """Serves `DeltaAggregatedResources`; `on_change` is called when `routers` or `nacks` change."""

    def __init__(self, on_change: Callable[[], None], *, timing: Timing = DEFAULT_TIMING) -> None:
        self._on_change = on_change
        self._timing = timing
        self._catalogue = Catalogue()
        self._sessions: list[_Session] = []
        self._nacks: deque[Nack] = deque(maxlen=NACKS_KEPT)
        self._is_released = False
        self._changed = asyncio.Event()

    def put(self, owner: str, resources: Sequence[Resource]) -> None:
        """Make `resources` everything that routers have of `owner` ("namespace/name").

        What may go out goes out before this returns; new routes wait for new clusters.
        """
        strangers = [r.name for r in resources if owner_of(r.name) != owner]
        assert not strangers, f"{strangers} do not belong to {owner}"
        self._catalogue.put(owner, resources)
        for session in self._sessions:
            self._advance(session, (owner,))
        self._forget_removed((owner,))

    def remove(self, owner: str) -> None:
        """Take the listener of `owner` away, and its clusters a little later."""
        self.put(owner, ())

    def release(self) -> None:
        """Begin to answer: everything that is to be served has been put, be it nothing."""
        self._is_released = True
        for session in self._sessions:
            self._advance(session, list(self._catalogue.owners()))

    def unknown_owners(self) -> frozenset[str]:
        """List the owners of which routers have something and that were never put here.

        What routers have of them stays until `confirm_removed`.
        """
        return frozenset(
            owner
            for session in self._sessions
            for owner in session.stream.owners()
            if not self._catalogue.knows(owner)
        )

    def confirm_removed(self, owner: str) -> None:
        """Say that an unknown owner is known to be gone, so that routers drop it."""
        if not self._catalogue.knows(owner):
            self.remove(owner)

    def routers(self) -> tuple[ConnectedRouter, ...]:
        """List the routers whose streams are open and have said who they are."""
        return tuple(
            ConnectedRouter(
                s.stream.node_id, s.address, s.stream.acked(ROUTES), s.stream.has_told_routes()
            )
            for s in self._sessions
            if s.stream.node_id
        )

    def nacks(self) -> tuple[Nack, ...]:
        """List the last refusals, oldest first."""
        return tuple(self._nacks)

    async def settled(self, owner: str, *, timeout_s: float = 2.0) -> bool:
        """Wait until every connected router has accepted all of `owner`; False at the timeout."""
        deadline_s = time.monotonic() + timeout_s
        while not all(session.stream.is_settled(owner) for session in self._sessions):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline_s - time.monotonic())
            except TimeoutError:
                return False
        return True

    async def stream(
        self,
        requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest],
        context: grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, bytes],
    ) -> AsyncIterator[bytes]:
        """Serve one router until either side ends the stream."""
        session = _Session(DeltaStream(self._catalogue, self._timing), _address(context.peer()))
        self._sessions.append(session)
        reader = asyncio.create_task(self._read(session, requests))
        try:
            while (response := await session.outbox.get()) is not None:
                yield response
        finally:
            reader.cancel()
            session.close()
            self._sessions.remove(session)
            _log.info("router %s disconnected", session.stream.node_id or session.address)
            self._notify()

    async def _read(
        self, session: _Session, requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest]
    ) -> None:
        try:
            async for request in requests:
                self._receive(session, request)
        except Exception:
            # The router comes back and is served anew from what it then says it has.
            _log.exception("stream of router %s is ended by an error", session.stream.node_id)
            raise
        finally:
            session.outbox.put_nowait(None)

    def _receive(self, session: _Session, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        is_new = not session.stream.node_id
        touched, nack = session.stream.receive(request)
        if is_new and session.stream.node_id:
            _log.info("router %s connected from %s", session.stream.node_id, session.address)
            self._supersede(session)
        if nack is not None:
            self._nacks.append(nack)
            _log.error(
                "router %s refused %s of %s, it keeps what it had: %s",
                nack.router,
                ", ".join(nack.resources),
                nack.type_url.rpartition(".")[2],
                nack.message,
            )
        self._advance(session, touched)
        self._forget_removed(touched)
        self._notify()

    def _supersede(self, session: _Session) -> None:
        """End the router's earlier stream, whose end may not have been noticed yet."""
        for other in self._sessions:
            if other is not session and other.stream.node_id == session.stream.node_id:
                other.close()

    def _advance(self, session: _Session, owners: Iterable[str]) -> None:
        if not self._is_released:
            return
        for response in session.stream.advance(owners, time.monotonic()):
            session.outbox.put_nowait(response)
        if session.stream.is_overrun:
            _log.error("router %s takes nothing in, its stream is ended", session.stream.node_id)
            session.close()
            return
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None
        if session.stream.wake_at_s is not None:
            delay_s = max(0.0, session.stream.wake_at_s - time.monotonic())
            session.timer = asyncio.get_running_loop().call_later(delay_s, self._wake, session)

    def _wake(self, session: _Session) -> None:
        waiting = session.stream.waiting
        self._advance(session, waiting)
        self._forget_removed(waiting)

    def _forget_removed(self, owners: Iterable[str]) -> None:
        for owner in owners:
            is_removed = self._catalogue.knows(owner) and not self._catalogue.of(owner)
            if is_removed and not any(owner in s.stream.owners() for s in self._sessions):
                self._catalogue.forget(owner)

    def _notify(self) -> None:
        self._changed.set()
        self._on_change()


def _address(peer: str) -> str:
    """Take the IP address out of gRPC's peer, `ipv4:10.0.0.7:4242` or `ipv6:%5B::1%5D:4242`."""
    host = urllib.parse.unquote(peer).partition(":")[2].rpartition(":")[0]
    return host.strip("[]")
