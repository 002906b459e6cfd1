"""The laws of the engine, each about one look and the decision that followed from it.

They are written from the design and from what is seen outside, not from how the engine works.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway_api.base import duration_s
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import ModelDeploymentStatus, RolloutState
from slipway_operator.engine import actions, plan
from slipway_operator.engine.actions import Decision
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.podevents import PodSeen
from slipway_operator.engine.traffic import SHUT, Traffic
from slipway_operator.render import envoy_routes

STATUS_BYTES_MAX = 32 * 1024


def check(seen: Observation, decision: Decision, now: datetime) -> None:
    """Hold every law about one decision."""
    before, after = seen.deployment.status, decision.status
    weights_are_shares_of_100(decision)
    the_static_answer_is_the_manifests(seen, decision)
    abort_takes_everything_at_once(seen, before, decision)
    abort_absorbs(before, after)
    nothing_is_open_to_a_candidate_that_stands_still(decision)
    a_restart_raises_nothing(seen, before, after)
    weight_grows_only_along_the_plan(seen, before, after)
    steps_are_left_only_on_merit(seen, before, after, now=now)
    weight_never_exceeds_what_pods_carry(seen, after)
    pods_that_come_and_go_have_a_deadline_before_they_serve(seen, before, after, now=now)
    pause_holds(before, after)
    stable_changes_only_when_everything_was_seen_to_go_to_the_candidate(seen, before, after)
    stable_keeps_its_pods(seen, decision)
    rejected_revisions_stay_rejected(seen, before, after)
    clients_are_never_sent_to_nobody(seen, decision)
    clients_are_led_on_before_they_are_taken_from_where_they_are(seen, decision)
    actions_can_be_carried_out(seen, decision)
    conditions_agree(after)
    the_next_look_is_in_the_future(decision, now)


def weights_are_shares_of_100(decision: Decision) -> None:
    asked, traffic = decision.status.weight.asked, decision.traffic
    assert 0 <= asked <= 100
    if traffic is None:
        assert asked == 0
        return
    assert traffic.weight_percent == asked
    if decision.status.stable is not None:
        assert traffic.stable is not None
    shares = envoy_routes.shares(traffic)
    assert sum(weight for _, weight in shares) == (envoy_routes.WEIGHT_TOTAL if shares else 0)
    given = sum(weight for backend, weight in shares if backend is traffic.candidate)
    assert given * 100 == asked * envoy_routes.WEIGHT_TOTAL


def the_static_answer_is_the_manifests(seen: Observation, decision: Decision) -> None:
    wanted, traffic = seen.deployment.spec.traffic.static_answer, decision.traffic
    given = None if traffic is None else traffic.static_answer
    assert traffic is None or (given is None) == (wanted is None)
    if given is not None and wanted is not None:
        assert (given.body, given.status) == (wanted.body, wanted.status)


def abort_takes_everything_at_once(
    seen: Observation, before: ModelDeploymentStatus, decision: Decision
) -> None:
    running, after = before.rollout, decision.status
    if running is None:
        return
    is_convicted = (
        seen.guard is not None
        and seen.guard.rollout == running.id
        and seen.guard.failed is not None
    )
    is_aborted = after.rollout is None or after.rollout.abort is not None
    if not is_convicted and not (is_aborted and after.stable == before.stable):
        return
    has_no_way_back = (
        seen.endpoint_count(before.stable) == 0 and seen.endpoint_count(before.candidate) > 0
    )
    if _held(seen) and has_no_way_back:
        assert after.weight.asked == _held(seen)
        assert any(c.type == "Stalled" and c.reason == "NoWayBack" for c in after.conditions)
    else:
        assert after.weight.asked == 0 or _is_next_rollout(before, after)
        assert _is_shut(decision.traffic) or _is_next_rollout(before, after)


def nothing_is_open_to_a_candidate_that_stands_still(decision: Decision) -> None:
    waiting = decision.status.waiting
    if waiting is not None and waiting.reason == Reason.DETACHED:
        assert _is_shut(decision.traffic)


def abort_absorbs(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    if before.rollout is None or before.rollout.abort is None:
        return
    assert after.stable == before.stable
    if _is_next_rollout(before, after):
        return
    assert after.weight.asked <= before.weight.asked
    if after.rollout is not None:
        assert after.rollout.abort == before.rollout.abort


def a_restart_raises_nothing(
    seen: Observation, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> None:
    """A process that has told routers nothing yet knows less than the one before it did."""
    if seen.routing.applied is not None:
        return
    assert after.weight.asked <= before.weight.asked
    if _is_same_rollout(before, after):
        assert after.weight.asked <= _held(seen)


def weight_grows_only_along_the_plan(
    seen: Observation, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> None:
    if after.weight.asked <= before.weight.asked:
        return
    assert after.rollout is not None
    assert after.rollout.abort is None
    if not after.rollout.promote_asked:
        assert after.weight.asked == _next_weight(seen, after.rollout)
        assert seen.guard is None or seen.guard.away is None, "nothing rises unmeasured"


def steps_are_left_only_on_merit(
    seen: Observation,
    before: ModelDeploymentStatus,
    after: ModelDeploymentStatus,
    *,
    now: datetime,
) -> None:
    if not _is_same_rollout(before, after):
        return
    was, is_ = before.rollout, after.rollout
    assert was is not None
    assert is_ is not None
    index = _plan(seen).find(was, _held(seen))  # an edited plan goes on at another step
    is_held = seen.is_detaching and is_.step_index == was.step_index  # no plan is followed then
    if is_.step_index <= index or is_held:
        return
    step = _steps(seen)[index]
    assert is_.passed_weight >= step.weight
    if step.weight and index + 1 < len(_steps(seen)) and _steps(seen)[index + 1].hold_s:
        assert is_.step_index == index + 1, "one step at a time"
    assert not is_.paused
    assert seen.routing.applied is not None
    assert seen.routing.is_verified
    assert seen.routing.applied.weight_percent == step.weight
    started = was.step_started_at or now
    stopped_s = was.stopped_seconds if was.step_started_at else 0.0
    assert was.stopped_since is None or (seen.guard and seen.guard.away is None)
    measured_s = (now - started).total_seconds() - stopped_s
    assert measured_s >= step.hold_s - 0.01
    assert seen.guard is None or seen.guard.rollout != is_.id or not seen.guard.is_shedding
    if not step.needs_proof:
        assert is_.unproven or _all_passed(seen)
        return
    assert seen.guard is not None
    assert seen.guard.rollout == is_.id
    allowed = {VerdictState.PASS}
    insufficient = seen.deployment.spec.analysis.insufficient
    is_over = now - started >= timedelta(seconds=duration_s(insufficient.after))
    is_answered = was.pause_step is not None or is_.pause_step is not None
    if is_over and (
        insufficient.then == "promote" or (insufficient.then == "pause" and is_answered)
    ):
        allowed.add(VerdictState.INSUFFICIENT)
        assert is_.unproven or _all_passed(seen)
    assert {verdict.state for verdict in seen.guard.verdicts} <= allowed
    assert not step.pause or is_answered


def weight_never_exceeds_what_pods_carry(seen: Observation, after: ModelDeploymentStatus) -> None:
    if after.weight.asked == 0 or _has_reason(after, Reason.NO_WAY_BACK):
        return
    needed = plan.pods_for(after.weight.asked, seen.deployment.spec.compute.replicas)
    assert seen.endpoint_count(after.candidate) >= needed


def pods_that_come_and_go_have_a_deadline_before_they_serve(
    seen: Observation,
    before: ModelDeploymentStatus,
    after: ModelDeploymentStatus,
    *,
    now: datetime,
) -> None:
    """Ten minutes from the first loss of readiness, unless all pods were ready for a minute."""
    was, is_ = before.rollout, after.rollout
    if was is None or was.abort is not None or is_ is None or is_.id != was.id:
        return
    workload = seen.workload(before.candidate)
    pods = workload.pods if workload else ()
    is_cut_off = any(not pod.is_reachable for pod in pods)
    if is_.abort is not None or is_cut_off or seen.is_detaching:
        return
    is_lost = any(_has_lost_readiness(pod) for pod in pods)
    if is_lost and not (was.step_started_at or was.step_index or was.unready_since):
        assert is_.unsteady_since == (was.unsteady_since or now)
        assert now - is_.unsteady_since < timedelta(minutes=10), "nobody waits for ever"
    if is_.unsteady_since is None and was.unsteady_since is not None:
        ready_s = [now.timestamp() - (pod.ready_since_s or 0.0) for pod in pods if pod.is_ready]
        assert not is_lost
        assert min(ready_s, default=60.0) >= 60.0


def _has_lost_readiness(pod: PodSeen) -> bool:
    """Whether a pod was ready, is not, and nothing but its probe says so."""
    is_taken = pod.is_terminating or pod.is_disrupted or pod.pod_reason or not pod.is_node_ready
    has_ended = pod.terminated or pod.last_terminated or pod.waiting_reason
    return pod.was_ready and not pod.is_ready and not is_taken and not has_ended


def pause_holds(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    if after.rollout is not None and after.rollout.paused:
        assert after.weight.asked <= before.weight.asked
    if before.rollout is not None and before.rollout.paused and after.command == before.command:
        assert after.weight.asked <= before.weight.asked
        assert after.stable == before.stable


def stable_changes_only_when_everything_was_seen_to_go_to_the_candidate(
    seen: Observation, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> None:
    if after.stable == before.stable:
        return
    applied = seen.routing.applied
    assert applied is not None
    assert seen.routing.is_verified
    assert after.stable is not None
    assert seen.endpoint_count(after.stable) > 0
    if before.stable is None:
        assert applied.stable is not None
        assert applied.stable.revision == after.stable
    else:
        assert applied.candidate is not None
        assert applied.candidate.revision == after.stable == before.candidate
        assert applied.weight_percent == 100


def stable_keeps_its_pods(seen: Observation, decision: Decision) -> None:
    before, after = seen.deployment.status, decision.status
    replicas = seen.deployment.spec.compute.replicas
    wanted = {a.revision: a.replicas for a in _ensured(decision)}
    assert wanted.get(after.stable or "", replicas) == replicas
    if before.stable is not None and before.stable != after.stable:
        assert before.stable not in wanted, "what served until now drains before its pods end"
    if after.candidate is not None and after.stable is not None:
        was = seen.workload(after.candidate)
        current = (was.replicas or 0) if was else 0
        assert wanted.get(after.candidate, 0) <= max(replicas, current)


def rejected_revisions_stay_rejected(
    seen: Observation, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> None:
    rejected = {entry.revision for entry in after.rejected}
    retried = set()
    if after.command != before.command and after.command and after.command.result == "Accepted":
        retried = set(re.findall("^retry@([^#]+)#", after.command.value))
    if len(after.rejected) < 10:
        assert {entry.revision for entry in before.rejected} - rejected <= retried
    if _is_same_rollout(before, after) or after.candidate is None:
        return
    if after.stable is not None or before.candidate != after.candidate:
        assert after.candidate == _wanted(seen, after)
    assert after.candidate not in rejected


def clients_are_never_sent_to_nobody(seen: Observation, decision: Decision) -> None:
    routing = seen.routing
    for action in decision.actions:
        if isinstance(action, actions.PublishAddress):
            assert action.addresses
            assert set(action.addresses) <= {address for _, address in routing.routers}
            assert not set(action.addresses) & {a for n, a in routing.routers if n in routing.lost}


def clients_are_led_on_before_they_are_taken_from_where_they_are(
    seen: Observation, decision: Decision
) -> None:
    front, stable = seen.front, decision.status.stable
    for action in decision.actions:
        match action:
            case actions.LeadToPods(revision):
                assert revision == stable
                assert seen.endpoint_count(revision) > 0
            case actions.WithdrawAddress():
                assert front is not None
                assert (front.selected, front.has_ready_pods) == (stable, True)
            case actions.SweepEndpoints():
                assert front is not None
                assert front.selected is None
                assert seen.routing.published


def actions_can_be_carried_out(seen: Observation, decision: Decision) -> None:
    after = decision.status
    known = {record.revision for record in seen.records}
    wanted = _wanted(seen, after)
    kept = {after.stable, after.candidate, *(entry.revision for entry in after.drain)}
    for action in decision.actions:
        match action:
            case actions.RecordRevision(revision, number, _):
                assert seen.pool is not None, "pods are rendered from a pool"
                assert revision == wanted, "only what is asked for can be rendered from the spec"
                assert revision not in known
                assert all(number > record.number for record in seen.records)
                known.add(revision)
            case actions.RecordDigest(revision, digest):
                assert revision in known
                assert digest, "a server that does not tell pins nothing"
            case actions.EnsureWorkload(revision, replicas):
                assert revision in known, "pods are made from a record"
                assert replicas >= 0
            case actions.LeadPreview(revision):
                assert revision in known, "its record tells the port of its pods"
            case actions.RemoveRevision(revision):
                assert revision not in kept
                known.discard(revision)


def status_keeps_its_bounds(after: ModelDeploymentStatus) -> None:
    text = json.dumps(after.to_wire())
    status_is_read_as_written(ModelDeploymentStatus.model_validate_json(text), after, text=text)


def status_is_read_as_written(
    read: ModelDeploymentStatus, after: ModelDeploymentStatus, *, text: str
) -> None:
    assert read == after
    assert len(text.encode()) <= STATUS_BYTES_MAX


def conditions_agree(after: ModelDeploymentStatus) -> None:
    types = [condition.type for condition in after.conditions]
    assert len(types) == len(set(types))
    true = {condition.type for condition in after.conditions if condition.status == "True"}
    assert len(true & {"Ready", "Reconciling", "Stalled"}) == 1, true
    assert {"Available", "Ready"} <= set(types)


def the_next_look_is_in_the_future(decision: Decision, now: datetime) -> None:
    assert decision.wake_at is None or decision.wake_at > now
    if decision.status.waiting is not None:
        assert decision.wake_at is not None


@dataclass(frozen=True, slots=True)
class _Step:
    """What a strategy promises to do before it goes on."""

    weight: int
    hold_s: float
    pause: bool
    needs_proof: bool


def _steps(seen: Observation) -> list[_Step]:
    """List the steps of a strategy as its documentation tells them."""
    spec = seen.deployment.spec
    if not _is_of_weights(seen):
        return [
            _Step(one.setting.weight_percent, one.hold_s, one.pause, needs_proof=one.needs_proof)
            for one in _plan(seen).steps
        ]
    if spec.strategy.direct is not None:
        return []
    if spec.strategy.rolling is not None:
        count = spec.compute.replicas
        weights = [100 * pods // count for pods in range(1, count)]
        return [_Step(weight, 0.0, pause=False, needs_proof=False) for weight in weights]
    assert spec.strategy.canary is not None
    return [
        _Step(step.weight, duration_s(step.hold), step.pause, needs_proof=True)
        for step in spec.strategy.canary.steps
    ]


def _next_weight(seen: Observation, rollout: RolloutState) -> int:
    weights = [step.weight for step in _steps(seen)]
    return weights[rollout.step_index] if rollout.step_index < len(weights) else 100


def _is_of_weights(seen: Observation) -> bool:
    """Whether a strategy is told by weights alone."""
    strategy = seen.deployment.spec.strategy
    told = (strategy.canary, strategy.rolling, strategy.direct)
    return strategy.probation is None and any(one is not None for one in told)


def _plan(seen: Observation) -> plan.Plan:
    spec = seen.deployment.spec
    return plan.compile_strategy(spec.strategy, spec.compute.replicas)


def _wanted(seen: Observation, after: ModelDeploymentStatus) -> str:
    metadata, spec = seen.deployment.metadata, seen.deployment.spec
    return plan.wanted_revision(metadata.name, spec, after.chosen)


def _all_passed(seen: Observation) -> bool:
    verdicts = seen.guard.verdicts if seen.guard else ()
    return bool(verdicts) and all(v.state is VerdictState.PASS for v in verdicts)


def _held(seen: Observation) -> int:
    """The weight that this look begins with: what status asks for, or less at the routers."""
    asked, found = seen.deployment.status.weight.asked, seen.routing.found
    return asked if found is None else min(asked, found.weight_percent)


def _is_shut(traffic: Traffic | None) -> bool:
    return traffic is None or traffic.opening == SHUT


def _is_same_rollout(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    if before.rollout is None or after.rollout is None:
        return False
    return before.rollout.id == after.rollout.id


def _is_next_rollout(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    return after.rollout is not None and not _is_same_rollout(before, after)


def _has_reason(after: ModelDeploymentStatus, reason: Reason) -> bool:
    return any(c.type == "Stalled" and c.reason == reason for c in after.conditions)


def _ensured(decision: Decision) -> list[actions.EnsureWorkload]:
    return [a for a in decision.actions if isinstance(a, actions.EnsureWorkload)]
