"""Polls: asks Prometheus what the gates of running rollouts want to know, when they want it.

Holds no decisions: answers go into one `Sources` for each rollout, and the guards tell when a
verdict changes. Losing it loses at most what was asked since the last status write.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from slipway_operator.adapters.prometheus import Prometheus
from slipway_operator.engine import alerts, sources
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.alerts import AlertsSeen, Owner
from slipway_operator.engine.queries import Answer
from slipway_operator.engine.sources import Sources, SourcesView
from slipway_operator.render import promql

TICK_S: Final = 0.25
ALERTS_EVERY_S: Final = 2.0

_log = logging.getLogger(__name__)


class Polls:
    """Sources by owner (namespace, name); lives in one event loop."""

    def __init__(self, prometheus: Prometheus | None) -> None:
        """None: the operator was told of no Prometheus, and says so wherever one is needed."""
        self._prometheus = prometheus
        self._posts: dict[Owner, Sources] = {}
        self._asking: set[tuple[Owner, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look: asyncio.Task[AlertsSeen] | None = None
        self._looked_s = float("-inf")

    def post(self, owner: Owner, watch: Watch | None) -> None:
        """Let the gates of a rollout be asked about, or no longer."""
        if watch is None or not sources.are_asked(watch.analysis):
            self._posts.pop(owner, None)
            return
        post = self._posts.get(owner)
        if post is not None and post.watch.rollout == watch.rollout:
            post.follow(watch)
            return
        is_configured = self._prometheus is not None
        self._posts[owner] = Sources(owner, watch, is_configured=is_configured)
        self._looked_s = float("-inf")  # a rollout begins with a look at its alerts

    def view(self, owner: Owner) -> SourcesView | None:
        """Tell what the sources of an owner's rollout say; None if it has none."""
        post = self._posts.get(owner)
        return post.view() if post else None

    def asking_about(self, name: str, labels: Mapping[str, str]) -> tuple[Owner, ...]:
        """List the owners whose running rollout has a gate for an alert with these labels."""
        return tuple(
            owner
            for owner, post in self._posts.items()
            if any(
                alerts.is_meant(alert, owner, name=name, labels=labels)
                for alert in post.watch.analysis.alerts
            )
        )

    async def look(self) -> AlertsSeen | None:
        """Look at the alerts now, or share a look that began just now; None: no Prometheus.

        A look under way may have missed what just began, so one more follows it.
        """
        if self._prometheus is None:
            return None
        if self._look is not None:
            await asyncio.wait([self._look])
        return await asyncio.shield(self._begin_look(self._prometheus))

    async def run(self) -> None:
        """Ask until cancelled."""
        prometheus = self._prometheus
        if prometheus is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(TICK_S)
                now = datetime.now(UTC)
                for owner, post in self._posts.items():
                    for gate in post.due(now):
                        self._ask(prometheus, owner, gate)
                is_due = loop.time() - self._looked_s >= ALERTS_EVERY_S
                if is_due and any(post.watch.analysis.alerts for post in self._posts.values()):
                    self._begin_look(prometheus)
        finally:
            for task in (*self._tasks, *filter(None, [self._look])):
                task.cancel()

    async def close(self) -> None:
        """Close what is open towards Prometheus."""
        if self._prometheus is not None:
            await self._prometheus.close()

    def _ask(self, prometheus: Prometheus, owner: Owner, gate: str) -> None:
        """Ask one query, unless its last answer is still awaited."""
        if (owner, gate) in self._asking:
            return
        post = self._posts[owner]
        self._asking.add((owner, gate))
        work = self._answer(prometheus, post, (owner, gate))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, prometheus: Prometheus, post: Sources, asked: tuple[Owner, str]
    ) -> None:
        owner, gate = asked
        at = datetime.now(UTC)
        try:
            query = promql.render(post.query(gate), _values(owner, post.watch))
            answer = await prometheus.ask(query)
        except ValueError as error:
            answer = Answer(at, None, str(error))
        except Exception:  # noqa: BLE001 - a fault of ours must not end the other gates
            _log.exception("%s/%s: asking for %s failed", *owner, gate)
            answer = Answer(at, None, "asking failed, the operator's log says why")
        finally:
            self._asking.discard(asked)
        post.take_answer(gate, answer)

    def _begin_look(self, prometheus: Prometheus) -> asyncio.Task[AlertsSeen]:
        if self._look is None or self._look.done():
            self._looked_s = asyncio.get_running_loop().time()
            self._look = asyncio.get_running_loop().create_task(self._look_once(prometheus))
        return self._look

    async def _look_once(self, prometheus: Prometheus) -> AlertsSeen:
        seen = await prometheus.alerts()
        for post in self._posts.values():
            post.take_alerts(seen)
        return seen


def _values(owner: Owner, watch: Watch) -> dict[str, str]:
    return {
        "namespace": owner[0],
        "name": owner[1],
        "candidate": watch.candidate,
        "stable": watch.stable,
    }
