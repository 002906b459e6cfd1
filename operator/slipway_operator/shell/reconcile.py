"""Reconcile: observe, decide, act, record, for one key at a time.

The order of effects is the only thing decided here, and it is one rule: what shuts the way to a
candidate (weight, copies, matches) goes to the routers before anything else, what opens it only
after status says so.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from slipway_api import logs
from slipway_operator.adapters.event_source import Key, KeyKind
from slipway_operator.adapters.events import EventRecorder, Notice, Subject
from slipway_operator.adapters.kube_errors import Conflict
from slipway_operator.engine import standing, traffic
from slipway_operator.engine.actions import Decision
from slipway_operator.engine.decide import decide, told
from slipway_operator.engine.verdicts import GuardView
from slipway_operator.shell.act import Actor
from slipway_operator.shell.guards import Guards
from slipway_operator.shell.insight import Insight
from slipway_operator.shell.observe import LeftoverError, Observer, Owner, Snapshot, Unreadable
from slipway_operator.shell.ports import PortBook
from slipway_operator.shell.record import StatusWriter
from slipway_operator.shell.routing import RoutingTable

LISTENER_LIFE_S: Final = 12.0  # from the EndpointSlice's end until nobody comes any more
AGAIN_S: Final = 0.2  # after a write that lost a race

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts that a reconciliation works with."""

    observer: Observer
    actor: Actor
    writer: StatusWriter
    table: RoutingTable
    guards: Guards
    ports: PortBook
    events: EventRecorder
    insight: Insight


class Reconciler:
    """Runs one ModelDeployment after the other; safe to run again at any point."""

    def __init__(self, rooms: Rooms, *, wake_in: Callable[[Key, float], None]) -> None:
        """`wake_in(key, seconds)` lets a key run again."""
        self._rooms = rooms
        self._wake_in = wake_in
        self._snapshots: dict[Owner, Snapshot] = {}
        self._gone_s: dict[Owner, float] = {}

    async def run(self, owner: Owner) -> None:
        """Bring one ModelDeployment as far as it goes now; raises `ApiError`."""
        self.lower(owner)
        try:
            snapshot = await self._rooms.observer.look(owner)
        except LeftoverError as error:
            _log.info("%s/%s: %s", *owner, error, extra=_about(owner))
            self._wake_in(_key(owner), AGAIN_S)
            return
        if snapshot is None:
            self._let_go(owner)
            return
        if isinstance(snapshot, Unreadable):
            await self._refuse(snapshot)
            return
        self._gone_s.pop(owner, None)
        snapshot = self._with_found(snapshot)
        self._snapshots[owner] = snapshot
        if self._is_outrun(snapshot):
            self._wake_in(_key(owner), AGAIN_S)
            return
        now = datetime.now(UTC)
        decision = decide(snapshot.observation, now)
        try:
            await self._apply(snapshot, decision, now)
        except Conflict as error:
            about = _about(owner, reason=error.reason)
            _log.info("%s/%s changed meanwhile, once more: %s", *owner, error, extra=about)
            self._wake_in(_key(owner), AGAIN_S)
            return
        if decision.wake_at is not None:
            self._wake_in(_key(owner), max(0.0, (decision.wake_at - now).total_seconds()))

    async def _refuse(self, found: Unreadable) -> None:
        """Say in the status that the object cannot be read; its routers and pods are left alone."""
        now, generation = datetime.now(UTC), found.metadata.generation
        status = standing.unreadable(found.status, found.message, generation=generation, now=now)
        await self._rooms.writer.write(
            found, status, resource_version=found.metadata.resource_version
        )

    def _with_found(self, snapshot: Snapshot) -> Snapshot:
        """Add, before the first push, what routers were left with by another process."""
        seen = snapshot.observation
        asked = told(seen) if seen.routing.applied is None else None
        if asked is None or asked.opening == traffic.SHUT:
            return snapshot
        routing = replace(seen.routing, found=self._rooms.table.found(asked))
        return replace(snapshot, observation=replace(seen, routing=routing))

    def lower(self, owner: Owner) -> None:
        """Push at once what shuts the way to the candidate: what the last look and the guard say.

        Needs no API server and waits for nothing; the look that follows comes to the same end and
        tells it in status.
        """
        snapshot = self._snapshots.get(owner)
        applied = self._rooms.table.applied(owner)
        if snapshot is None or applied is None or applied.candidate is None:
            return
        routing, guard = self._rooms.observer.refresh(snapshot)
        if not _is_convicted(guard):
            return
        seen = replace(snapshot.observation, routing=routing, guard=guard)
        wanted = decide(seen, datetime.now(UTC)).traffic
        lowered = traffic.shut(applied, wanted) if wanted is not None else applied
        if lowered != applied:
            self._rooms.insight.lowered(owner)
            self._rooms.table.apply(lowered)

    def _is_outrun(self, snapshot: Snapshot) -> bool:
        """Tell whether the candidate was convicted during the look, and lowered at once.

        What would follow from the look gives it its traffic back until the next one.
        """
        return _is_convicted(self._rooms.guards.view(snapshot.owner)) and not _is_convicted(
            snapshot.observation.guard
        )

    async def _apply(self, snapshot: Snapshot, decision: Decision, now: datetime) -> None:
        rooms, seen = self._rooms, snapshot.observation
        is_opened = _is_opened(snapshot, decision)
        if decision.traffic is not None and not is_opened:
            rooms.table.apply(decision.traffic)
        rooms.guards.post(snapshot.owner, decision.watch)
        _, numbers_s = await asyncio.gather(
            rooms.actor.act(snapshot, decision.actions),
            rooms.writer.write(
                seen.deployment, decision.status, resource_version=snapshot.resource_version
            ),
        )
        is_convicted = _is_convicted(rooms.guards.view(snapshot.owner))  # while status was written
        if decision.traffic is not None and is_opened and not is_convicted:
            rooms.table.apply(decision.traffic)
        rooms.insight.decided(snapshot, decision, now)
        self._tell(snapshot, decision, now)
        if numbers_s is not None:
            self._wake_in(_key(snapshot.owner), numbers_s)
        if decision.actions:
            self._wake_in(_key(snapshot.owner), AGAIN_S)

    def _tell(self, snapshot: Snapshot, decision: Decision, now: datetime) -> None:
        metadata = snapshot.observation.deployment.metadata
        subject = Subject(metadata.namespace, metadata.name, metadata.uid)
        before, after = snapshot.observation.deployment.status, decision.status
        revision = after.candidate or before.candidate or after.stable
        for note in decision.notes:
            notice = Notice(
                subject=subject,
                type=note.type,
                reason=note.reason,
                action=note.action,
                note=note.message,
                identity=note.identity,
            )
            self._rooms.events.record(notice, at=now)
            about = _about(snapshot.owner, revision=revision, reason=note.reason)
            _log.info("%s/%s %s: %s", *snapshot.owner, note.reason, note.message, extra=about)

    def _let_go(self, owner: Owner) -> None:
        """Take a deleted deployment's listener away, once its clients had time to leave."""
        now_s = asyncio.get_running_loop().time()
        self._snapshots.pop(owner, None)
        self._rooms.guards.post(owner, None)
        self._rooms.writer.forget(owner)
        self._rooms.insight.forget(owner)
        gone_s = self._gone_s.setdefault(owner, now_s)
        if not self._rooms.table.is_held(owner):
            self._rooms.ports.free(owner)
            del self._gone_s[owner]
        elif now_s - gone_s >= LISTENER_LIFE_S:
            self._rooms.table.remove(owner)
            self._rooms.ports.free(owner)
            del self._gone_s[owner]
        else:
            self._wake_in(_key(owner), LISTENER_LIFE_S - (now_s - gone_s) + 0.1)


def _key(owner: Owner) -> Key:
    return Key(KeyKind.MODEL_DEPLOYMENT, *owner)


def _about(
    owner: Owner, *, revision: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    return logs.about(namespace=owner[0], name=owner[1], revision=revision, reason=reason)


def _is_convicted(guard: GuardView | None) -> bool:
    return guard is not None and guard.failed is not None


def _is_opened(snapshot: Snapshot, decision: Decision) -> bool:
    """Tell whether the candidate is to get more than status says so far."""
    seen = snapshot.observation
    return decision.traffic is not None and traffic.is_opened(told(seen), decision.traffic)
