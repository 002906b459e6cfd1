"""The witness: laws about what happens one after the other, and the count of what was visited.

Laws about one look and its decision are in `tests/unit/engine/laws.py`; the witness holds them too.
"""

import copy
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from slipway_api import status
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import actions, budget, upkeep
from slipway_operator.engine.actions import Action, Decision
from slipway_operator.engine.decide import decide
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.traffic import SHUT, Opening, Traffic
from slipway_operator.shell import record
from tests.unit.engine import laws
from tests.unit.model import clients, table
from tests.unit.model.clients import Answer
from tests.unit.model.stage import Stage

ASKED_AGAIN: Final = 8  # one look of so many is decided twice
A_MOMENT: Final = timedelta(milliseconds=1)
A_WHILE: Final = timedelta(hours=1)  # with nothing due


class Ledger:
    """How often each state and each transition was visited."""

    def __init__(self) -> None:
        self.states: Counter[table.State] = Counter()
        self.transitions: Counter[table.Transition] = Counter()
        self.causes: Counter[str] = Counter()
        self.looks = 0
        self.rests = 0

    def take(self, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        """Count what a written status says."""
        self.states[table.state_of(after)] += 1
        if before.phase != after.phase:
            self.transitions[table.Transition(before.phase, str(after.phase))] += 1
        self.causes.update(table.causes_of(before, after))


class Witness:
    """Watches one stage."""

    def __init__(self, stage: Stage, ledger: Ledger) -> None:
        self._stage = stage
        self.ledger = ledger
        self._given: dict[str, Opening] = {}  # by rollout, as pushed last; over restarts
        self._aborted: set[str] = set()  # rollouts whose abort is in the status
        self._doomed: set[str] = set()  # rollouts whose abort this process has decided
        self._lowered: set[str] = set()  # by a verdict that no look has seen yet
        self._is_only_candidate_left = False  # as far as the last look saw
        self._is_first = True  # of this process

    def fork(self, stage: Stage, ledger: Ledger) -> "Witness":
        """Copy what was seen so far, to go on with a copy of the stage."""
        other = copy.copy(self)
        other._stage, other.ledger = stage, ledger
        other._given, other._aborted = dict(self._given), set(self._aborted)
        other._doomed, other._lowered = set(self._doomed), set(self._lowered)
        return other

    def restarted(self) -> None:
        """Another process: what the one before it decided and told nobody is lost with it."""
        self._is_first, self._doomed, self._lowered = True, set(), set()

    def decided(self, seen: Observation, decision: Decision, now: datetime) -> None:
        """Hold the laws about one look."""
        self.ledger.looks += 1
        if self.ledger.looks % ASKED_AGAIN == 0:
            assert decide(seen, now) == decision, "equal input, equal output"
        laws.check(seen, decision, now)
        _pods_are_for_who_serves(seen, decision)
        _traffic_goes_to_who_answers(seen, decision)
        _actions_name_what_is_ours(seen, decision)
        if seen.guard is not None and seen.guard.failed is not None:
            self._lowered.clear()
        after = decision.status
        why = table.state_of(after).why
        self._is_only_candidate_left = why == Reason.NO_WAY_BACK
        if after.rollout is not None and after.rollout.abort is not None:
            self._doomed.add(after.rollout.id)
        if is_at_rest(seen, decision) and not _has_pods_on_their_way(seen):
            until = now + A_WHILE if decision.wake_at is None else decision.wake_at - A_MOMENT
            later = decide(seen, until)
            assert is_at_rest(seen, later), f"nobody was to look, and time changed it: {later}"

    def lowered(self, traffic: Traffic) -> None:
        """Remember what a verdict took at once: only who has seen the verdict may give it back."""
        self._lowered.add(traffic.salt)

    def pushed(self, traffic: Traffic) -> None:
        """Hold the laws about what routers are asked for."""
        rollout, weight, said = traffic.salt, traffic.weight_percent, self._stage.status
        before = self._given.get(rollout, SHUT)
        if traffic.opening.exceeds(before):
            is_over = rollout in self._aborted | self._doomed and not self._is_only_candidate_left
            assert not is_over, "after an abort the weight never rises"
            assert rollout not in self._lowered, "a verdict took it, and the look knew none"
            assert said.rollout is not None
            assert said.rollout.id == rollout, "a raise is in the status first"
            assert said.weight.asked >= weight, "a raise is in the status first"
            assert said.weight.mirror >= traffic.mirror_percent, "copies are in the status first"
            assert said.rollout.opened or not traffic.match, "matches are in the status first"
        if self._is_first:
            found = self._stage.weights_at_routers(rollout)
            assert weight <= min(found, default=100), "a new process raises nothing"
        if rollout:
            self._given[rollout] = traffic.opening
        self._is_first = False

    def ticked(self, seen: Observation) -> None:
        """A budget is a bound: the tick that spends it shuts the way to the candidate."""
        guard, traffic = self._stage.guard(), self._stage.applied
        if guard is None or traffic is None or traffic.salt != guard.rollout:
            return
        said = {verdict.state for verdict in guard.verdicts if verdict.gate == budget.GATE}
        is_the_last = not seen.endpoint_count(seen.deployment.status.stable)
        if VerdictState.FAIL in said and not is_the_last:
            assert traffic.opening == SHUT, "no answer more than the budget allows"
            self.ledger.causes[table.SPENT] += 1

    def served(self) -> None:
        """Clients are answered by pods as long as stable has one, and statically only after that.

        What routers were asked for is looked at; those that are stuck lose their clients.
        """
        stage, traffic = self._stage, self._stage.applied
        if traffic is None or not stage.published:
            return
        found = clients.answers(stage, traffic)
        self.ledger.causes.update(found)
        if found - {Answer.POD}:
            assert not clients.pods_up(stage, stage.status.stable), "stable could have answered"

    def acted(self, action: Action) -> None:
        """Hold the laws about what is done to objects, at the moment that it is done."""
        match action:
            case actions.EnsureWorkload(revision, 0) | actions.RemoveRevision(revision):
                self._nobody_is_sent_there(revision)
            case _:
                pass

    def _nobody_is_sent_there(self, revision: str) -> None:
        if revision not in self._stage.revisions or not self._stage.workload(revision).endpoints:
            return
        for router in self._stage.routers_with_clients():
            if router.is_lost or router.is_stuck or router.does is None:
                continue
            stable, candidate, weight, (*_, rollout), _ = router.does
            if weight == 100:
                stable = None
            if revision == candidate and rollout in self._aborted | self._doomed:
                continue  # it had its time: without pods, its requests fall back to stable
            assert revision != stable, f"{revision} is what {router.address} sends clients to"
            assert revision != candidate, f"{router.address} still gives {revision} a share"

    def wrote(self, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        """Count what the status says now."""
        if after.rollout is not None and after.rollout.abort is not None:
            self._aborted.add(after.rollout.id)
        stage = self._stage
        laws.status_is_read_as_written(stage.status, after, text=stage.status_text)
        self.ledger.take(before, after)

    def created(self) -> None:
        """A new object of the name: nothing that was before binds it."""
        self._given, self._aborted = {}, set()


def is_at_rest(seen: Observation, decision: Decision) -> bool:
    """Tell whether a decision asks for nothing new; numbers that grow with time are nothing."""
    return (
        record.words(decision.status) == record.words(seen.deployment.status)
        and decision.traffic in (None, seen.routing.applied)
        and not decision.actions
        and not decision.notes
    )


def _has_pods_on_their_way(seen: Observation) -> bool:
    """Deadlines of images and starts are looked at every few seconds, not to the moment."""
    return any(not pod.is_ready for one in seen.workloads for pod in one.pods)


def _pods_are_for_who_serves(seen: Observation, decision: Decision) -> None:
    """At most one rollout: besides stable and one candidate nobody is given pods."""
    after = decision.status
    given = {
        a.revision for a in decision.actions if isinstance(a, actions.EnsureWorkload) and a.replicas
    }
    assert given <= {after.stable, after.candidate}
    gone = {a.revision for a in decision.actions if isinstance(a, actions.RemoveRevision)}
    kept = [r for r in seen.records if r.revision not in gone]
    in_service = {after.stable, after.candidate, *(entry.revision for entry in after.drain)}
    assert sum(r.revision not in in_service for r in kept) <= upkeep.REVISIONS_KEPT
    assert len(after.history) <= status.HISTORY_COUNT_MAX
    assert len(after.rejected) <= status.REJECTED_COUNT_MAX


def _traffic_goes_to_who_answers(seen: Observation, decision: Decision) -> None:
    """No share for a candidate without a ready pod, whoever else may serve."""
    traffic = decision.traffic
    if traffic is None or traffic.weight_percent == 0:
        return
    assert traffic.candidate is not None
    assert traffic.candidate.endpoints, "the candidate has nobody who answers"
    assert seen.endpoint_count(traffic.candidate.revision)


def _actions_name_what_is_ours(seen: Observation, decision: Decision) -> None:
    name = seen.deployment.metadata.name
    for action in decision.actions:
        match action:
            case actions.SweepEndpoints(slices):
                assert seen.front is not None
                assert set(slices) <= set(seen.front.slices)
            case actions.LeadPreview() | actions.RemovePreview():
                assert not _is_taken(seen, f"/{name}-preview"), "a stranger's object is left alone"
            case actions.PublishAddress() | actions.WithdrawAddress():
                assert not _is_taken(seen, f"/{name}"), "a stranger's object is left alone"
            case _:
                revision = action.revision
                assert revision.startswith(f"{name}-")
                assert not _is_taken(seen, f"/{revision}"), "a stranger's object is left alone"


def _is_taken(seen: Observation, suffix: str) -> bool:
    return any(one.endswith(suffix) for one in seen.conflicts)
