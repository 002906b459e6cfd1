"""The guards of all running rollouts, fed by access logs and polls, ticked by the clock.

Holds no decisions: it wakes the queue when a verdict changes, urgently when one fails. Losing it
loses at most the evidence since the last status write.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from slipway_operator.engine import sources
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.guard import TICK_S, Guard
from slipway_operator.engine.podevents import PodSeen
from slipway_operator.engine.traffic import Opening
from slipway_operator.engine.verdicts import GuardView
from slipway_operator.shell.polls import Polls

Owner = tuple[str, str]

SILENCE_S_MAX: Final = 5.0  # judgement: a source that says nothing for this long is unavailable


@dataclass(slots=True)
class _Post:
    """One guard on duty and what it was told last."""

    watch: Watch
    guard: Guard
    told: tuple[str, ...] = ()


class Guards:
    """Guards by owner (namespace, name); lives in one event loop."""

    def __init__(
        self,
        *,
        opening: Callable[[Owner], Opening],
        last_heard_s: Callable[[], float | None],
        wake: Callable[[Owner, bool], None],
        polls: Polls,
    ) -> None:
        """`last_heard_s` is the age of the quietest ready router's last record, None: never."""
        self._opening = opening
        self._last_heard_s = last_heard_s
        self._wake = wake
        self._polls = polls
        self._posts: dict[Owner, _Post] = {}

    def post(self, owner: Owner, watch: Watch | None) -> None:
        """Let a rollout be judged, or no longer."""
        self._polls.post(owner, watch)
        post = self._posts.get(owner)
        if watch is None:
            self._posts.pop(owner, None)
            return
        if post is None or post.watch.rollout != watch.rollout or watch.is_anew:
            self._posts[owner] = _Post(watch, _guard(watch, watch.evidence))
            return
        if (watch.per_try_timeout_s, watch.analysis) != (
            post.watch.per_try_timeout_s,
            post.watch.analysis,
        ):
            post.guard = _guard(watch, post.guard.view().evidence)
        if watch.step_index != post.watch.step_index:
            post.guard.step_started()
        post.watch = watch

    def tell_pods(self, owner: Owner, pods: Iterable[PodSeen]) -> None:
        """Tell since when pods run: latency leaves out their first half minute."""
        post = self._posts.get(owner)
        if post is None:
            return
        for pod in pods:
            if pod.host and pod.ready_since_s is not None:
                post.guard.pods_started(pod.host, pod.ready_since_s)

    def observe(self, attempt: Attempt) -> None:
        """Take in one record of an attempt."""
        post = self._posts.get((attempt.namespace, attempt.deployment))
        if post is not None:
            post.guard.observe(attempt)

    def view(self, owner: Owner) -> GuardView | None:
        """Tell what the guard of an owner says."""
        post = self._posts.get(owner)
        return sources.join(post.guard.view(), self._polls.view(owner)) if post else None

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            heard_s = self._last_heard_s()
            is_alive = heard_s is not None and heard_s < SILENCE_S_MAX
            for owner, post in list(self._posts.items()):
                self._tick(owner, post, is_alive=is_alive)

    def _tick(self, owner: Owner, post: _Post, *, is_alive: bool) -> None:
        post.guard.tick(time.time(), opening=self._opening(owner), is_source_alive=is_alive)
        view = sources.join(post.guard.view(), self._polls.view(owner))
        told = (*(verdict.state for verdict in view.verdicts), str(view.is_shedding))
        if told != post.told:
            post.told = told
            self._wake(owner, view.failed is not None)


def _guard(watch: Watch, evidence: str | None) -> Guard:
    return Guard(
        watch.rollout,
        candidate=watch.candidate,
        stable=watch.stable,
        analysis=watch.analysis,
        per_try_timeout_s=watch.per_try_timeout_s,
        evidence=evidence,
        phi=watch.phi,
    )
