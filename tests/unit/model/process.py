"""The operator's process, as `shell/reconcile.py` acts: one effect after the other.

The decision is the engine's own. The order of effects is repeated here from the shell, so that the
process can end, or a write be lost, between any two of them: what lowers a weight goes to the
routers first, then the guard is posted, then objects and status are written side by side, and a
raise comes last. One thing is left out: writes of a run that failed never overlap the next run.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import standing
from slipway_operator.engine.actions import Action, Decision
from slipway_operator.engine.budget import Budget
from slipway_operator.engine.decide import decide, told
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.traffic import Traffic, is_opened, shut
from slipway_operator.shell import record
from slipway_operator.shell.reconcile import AGAIN_S, LISTENER_LIFE_S
from tests.unit.model.stage import ConflictError, Stage
from tests.unit.model.witness import Ledger, Witness

Effect = Callable[[], bool]  # False: it failed
LATER: Final = datetime.max.replace(tzinfo=UTC)


def _nothing() -> None:
    """Let nothing happen."""


class Loss(StrEnum):
    """What goes wrong with the writes of one run."""

    NOTHING = "nothing"
    STATUS = "status"  # the write of the status is refused
    REPLY = "reply"  # it is done, and the answer is lost
    ACTION = "action"  # one write of an object is refused, and those that would follow never made


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one run; the numbers count from its beginning and may be beyond its end.

    `status_at` is how many objects are written before the status is, `ends_after` after how many
    effects the process ends, None: it lives on. `lost_at` is which action is refused.
    """

    status_at: int = 0
    ends_after: int | None = None
    loss: Loss = Loss.NOTHING
    lost_at: int = 0


WELL: Final = Fate()


class Process:
    """One operator after the other, at work on one name."""

    def __init__(self, stage: Stage, witness: Witness) -> None:
        self._stage = stage
        self.witness = witness
        self.due: datetime = stage.now  # when the key is to be looked at at the latest
        self._snapshot: Observation | None = None
        self._gone_at: datetime | None = None
        self._written_at: datetime | None = None

    def fork(self, stage: Stage, ledger: Ledger) -> "Process":
        """Copy the process for a copy of its stage."""
        other = copy.copy(self)
        other._stage, other.witness = stage, self.witness.fork(stage, ledger)
        return other

    def end(self) -> None:
        """Lose everything that only this process knew, and let another one begin."""
        self._stage.restart_operator()
        self._stage.conviction, self._stage.verdicts, self._stage.budget = None, (), Budget(None)
        self._snapshot = self._gone_at = self._written_at = None
        self.due = self._stage.now
        self.witness.restarted()

    def wake(self) -> None:
        """Hear that something changed; heard twice is the same as heard once."""
        self.due = min(self.due, self._stage.now)

    def lower(self) -> None:
        """Push a lower weight from the last look and what the guard says now."""
        stage, seen = self._stage, self._snapshot
        applied, guard = stage.applied, stage.guard()
        if seen is None or applied is None or applied.candidate is None:
            return
        if guard is None or guard.failed is None:
            return
        port, published = seen.routing.port, seen.routing.published
        routing = replace(stage.routing(), port=port, published=published)
        wanted = decide(replace(seen, routing=routing, guard=guard), stage.now).traffic
        lowered = shut(applied, wanted) if wanted is not None else applied
        if lowered != applied:
            self._push(lowered)
            self.witness.lowered(lowered)
        self.witness.ticked(seen)

    def run(
        self,
        fate: Fate = WELL,
        *,
        during: Callable[[], None] = _nothing,
        meanwhile: Callable[[], None] = _nothing,
    ) -> None:
        """Look, decide and act.

        `during` happens before the look is over, `meanwhile` after it and before any write.
        """
        stage = self._stage
        self.due = LATER
        self.lower()
        if not stage.is_there:
            return self._let_go()
        self._gone_at = None
        if stage.has_leftovers:
            return self._wake_in(AGAIN_S)
        version = stage.resource_version
        if not stage.is_readable:
            return self._refuse(version)
        seen = self._snapshot = stage.observation()
        during()
        if self._is_outrun(seen):
            return self._wake_in(AGAIN_S)
        decision = decide(seen, stage.now)
        self.witness.decided(seen, decision, stage.now)
        meanwhile()
        effects = self._effects(seen, decision, version=version, fate=fate)
        is_done = True
        for count, effect in enumerate(effects):
            if count == fate.ends_after:
                return self.end()
            is_done = effect() and is_done
            if not is_done and count == len(effects) - 2:
                return self._wake_in(AGAIN_S)
        self.witness.served()
        if decision.actions:
            self._wake_in(AGAIN_S)
        if decision.wake_at is not None:
            self.due = min(self.due, decision.wake_at)
        return None

    def _is_outrun(self, seen: Observation) -> bool:
        """Tell whether the candidate was convicted during the look, and lowered at once."""
        before, after = seen.guard, self._stage.guard()
        was_convicted = before is not None and before.failed is not None
        return after is not None and after.failed is not None and not was_convicted

    def _effects(
        self, seen: Observation, decision: Decision, *, version: int, fate: Fate
    ) -> list[Effect]:
        """Put what follows from a decision in its order; the last one waits for all the others."""
        traffic = decision.traffic
        is_raised = traffic is not None and is_opened(told(seen), traffic)
        writes: list[Effect] = [partial(self._do, action) for action in decision.actions]
        if fate.loss is Loss.ACTION and fate.lost_at < len(writes):
            writes = [*writes[: fate.lost_at], lambda: False]
        write = partial(self._write, seen, decision.status, version=version, loss=fate.loss)
        writes.insert(min(fate.status_at, len(writes)), write)
        return [
            *([] if is_raised else [partial(self._push, traffic)]),
            partial(self._post, decision),
            *writes,
            partial(self._raise, traffic if is_raised else None),
        ]

    def _push(self, traffic: Traffic | None) -> bool:
        if traffic is not None:
            self.witness.pushed(traffic)
            self._stage.applied = traffic
        return True

    def _raise(self, traffic: Traffic | None) -> bool:
        """Push a raise, unless the candidate was convicted while the status was written."""
        guard = self._stage.guard()
        return self._push(None if guard is not None and guard.failed is not None else traffic)

    def _post(self, decision: Decision) -> bool:
        self._stage.post(decision.watch)
        return True

    def _do(self, action: Action) -> bool:
        self.witness.acted(action)
        self._stage.carry_out(action)
        return True

    def _write(
        self, seen: Observation, after: ModelDeploymentStatus, *, version: int, loss: Loss
    ) -> bool:
        """Write the status as `shell/record.py` does: at once if it says something new."""
        stage, before = self._stage, seen.deployment.status
        if before == after:
            return True
        if record.words(before) == record.words(after) and self._written_at is not None:
            numbers_at = self._written_at + timedelta(seconds=record.NUMBERS_S)
            if stage.now < numbers_at:
                self.due = min(self.due, numbers_at)
                return True
        if loss is Loss.STATUS:
            return False
        try:
            stage.write(after, resource_version=version)
        except ConflictError:
            return False
        self._written_at = stage.now
        self.witness.wrote(before, after)
        return loss is not Loss.REPLY

    def _refuse(self, version: int) -> None:
        """Say of an object that nobody can read that it is so."""
        stage, before = self._stage, self._stage.status
        message = "spec.strategy breaks a newer rule"
        after = standing.unreadable(before, message, generation=stage.generation, now=stage.now)
        if before != after:
            stage.write(after, resource_version=version)
            self.witness.wrote(before, after)

    def _let_go(self) -> None:
        """Take a deleted object's listener away, once its clients had time to leave."""
        stage = self._stage
        self._snapshot = None
        stage.post(None)
        self._gone_at = self._gone_at or stage.now
        if stage.applied is None:
            return
        if stage.now - self._gone_at >= timedelta(seconds=LISTENER_LIFE_S):
            stage.applied = None
            for router in stage.routers.values():
                router.does = None
        else:
            self._wake_in(LISTENER_LIFE_S + 0.1)

    def _wake_in(self, seconds: float) -> None:
        self.due = min(self.due, self._stage.now + timedelta(seconds=seconds))
