"""Leadership: waits for the Lease, keeps it, gives it back, and says what may be done meanwhile.

Of several operators the holder of the Lease acts. `fence` is asked before every write, `may_serve`
before every answer to a router; both go by our own clock alone, so that a process which was frozen
knows it before it has spoken to anybody.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from slipway_operator.adapters import lease as stored
from slipway_operator.adapters.kube_errors import ApiError, Conflict, NotFound, WindowClosed
from slipway_operator.adapters.lease import LeaseStore, Stored
from slipway_operator.engine import lease
from slipway_operator.engine.lease import Sighting, Tenure

BEAT_S: Final = 0.25

_log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Somebody else holds the Lease, or nobody could be asked for too long: the process ends."""


class Leadership:
    """One operator's part in the Lease; belongs to one event loop."""

    def __init__(
        self, store: LeaseStore, *, me: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._me = me
        self._now_s = now_s
        self._found: Stored | None = None
        self._sighting: Sighting | None = None
        self._tenure: Tenure | None = None
        self._reached_s = now_s()

    @property
    def is_standby(self) -> bool:
        """Whether another operator is known to hold the Lease."""
        holder = self._sighting.claim.holder if self._sighting else ""
        return self._tenure is None and holder not in ("", self._me)

    def may_serve(self) -> bool:
        """Tell whether routers may be answered now."""
        return self._tenure is not None and lease.may_serve(self._tenure, self._now_s())

    def fence(self) -> None:
        """Raise `WindowClosed` unless a write may be sent now."""
        if self._tenure is None or not lease.may_write(self._tenure, self._now_s()):
            raise WindowClosed(self._me)

    async def win(self) -> None:
        """Wait until the Lease is ours."""
        while self._tenure is None:
            try:
                await self._try_to_take()
            except Conflict:
                continue  # somebody was faster, or the holder lives: look again
            except ApiError as error:
                _log.warning("waiting for the Lease: %s", error)
            if self._tenure is None:
                await asyncio.sleep(lease.look_again_s(self._sighting))
        _log.info("%s holds the Lease", self._me)

    async def keep(self) -> None:
        """Renew until cancelled; raises `LeadershipLostError`."""
        due_s = self._now_s() + lease.RENEW_S
        while True:
            await asyncio.sleep(BEAT_S)
            assert self._tenure is not None
            self._tenure = lease.awake(self._tenure, self._now_s())
            if self._now_s() < due_s and self.may_serve():
                continue
            try:
                await self._renew()
            except ApiError as error:
                _log.warning("the Lease could not be renewed: %s", error)
                if lease.is_absent(self._reached_s, self._now_s()):
                    self._lose(f"no API server for {lease.ABSENCE_S_MAX:.0f} s")
                due_s = self._now_s() + lease.POLL_SOON_S
            else:
                due_s = self._tenure.renewed_s + lease.RENEW_S

    async def give_back(self) -> None:
        """Let another operator take over at once; what we still wanted to write is refused."""
        tenure, self._tenure = self._tenure, None
        if tenure is None or self._found is None:
            return
        claim = lease.give_back(self._found.claim, renewed=stored.now())
        try:
            await self._store.write(claim, over=self._found)
        except ApiError as error:
            _log.warning("the Lease could not be given back, it runs out by itself: %s", error)

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()

    async def _try_to_take(self) -> None:
        found = await self._store.read()
        if found is not None:
            self._sighting = lease.sight(self._sighting, found.claim, now_s=self._now_s())
            if not lease.may_take(self._sighting, me=self._me):
                return
        await self._claim(found)

    async def _renew(self) -> None:
        """Renew; a renewal whose answer got lost shows as a conflict with ourselves."""
        try:
            await self._claim(self._found)
        except (Conflict, NotFound):
            found = await self._store.read()
            self._reached_s = self._now_s()
            holder = found.claim.holder if found is not None else ""
            if holder != self._me:
                self._lose(f"it is held by {holder or 'nobody'}")
            await self._claim(found)

    async def _claim(self, over: Stored | None) -> None:
        sent_s = self._now_s()
        claim = lease.take(over.claim if over else None, me=self._me, renewed=stored.now())
        self._found = await self._store.write(claim, over=over)
        self._reached_s = self._now_s()
        self._tenure = lease.renewed(sent_s=sent_s)

    def _lose(self, why: str) -> None:
        self._tenure = None
        raise LeadershipLostError(f"{self._me} has lost the Lease: {why}")
