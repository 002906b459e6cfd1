"""The one engine that runs every plan: from the candidate's first pod to everything or nothing.

Up: pods ready, then weight, then seen at every router, then the step's clock starts. Down: weight
0 and nothing before it. A weight grows only along the plan, and a step is left only when every gate
passed, a person said so, or `analysis.insufficient` allows it.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from slipway_api.base import duration_s
from slipway_api.conditions import Reason
from slipway_operator.engine import course, looks, plan, proof, questions, readiness, stepclock
from slipway_operator.engine.course import Course, Stall
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.looks import Look
from slipway_operator.engine.plan import Setting
from slipway_operator.engine.podevents import FindingKind

CONFIRM_S: Final = 2.0  # a router that has not shown weight 0 by then loses its clients
PER_TRY_TIMEOUT_S_MIN: Final = 1.0
PER_TRY_FACTOR: Final = 3.0  # of stable's p99.9
STABLE_FAILED_MIN: Final = 20
STABLE_FAILED_SHARE: Final = 0.02


def advance(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Bring the running rollout as far as this look allows."""
    if now_course.rollout is None or now_course.candidate is None:
        return now_course
    look = looks.take(now_course, seen, now)
    judged = _judge(_spare_stable(_follow_plan(now_course, look), look), look)
    if judged.is_aborting:
        return _take_back(judged, look)
    if judged.is_acquitted:
        return _wait_for_pods(judged, look, looks.target(judged, look))
    assert judged.rollout is not None
    stepped = _step(_grow(judged, look), look)
    if stepped.is_aborting:  # the end of a plan that promotes nothing
        return _take_back(stepped, look)
    if stepped.rollout is None or stepped.rollout.step_index == judged.rollout.step_index:
        return stepped
    return _step(_grow(stepped, look), look)  # ask for the next setting in the same breath


def _follow_plan(now_course: Course, look: Look) -> Course:
    """Find the step again if the user changed the plan."""
    rollout = now_course.rollout
    assert rollout is not None
    index = look.plan.find(rollout, now_course.asked)
    way = look.plan.way_to(index)
    if index == rollout.step_index and way == rollout.way:
        return now_course
    found = course.with_rollout(now_course, step_index=index, way=way)
    if index == rollout.step_index:
        return found
    # What a plan that begins anew had passed before counts no more.
    passed = rollout.passed_weight if look.plan.gives_weight or index else 0
    return course.with_rollout(found, passed_weight=passed, step_started_at=None, pause_step=None)


def _judge(now_course: Course, look: Look) -> Course:
    """Abort on anything that speaks against the candidate."""
    if now_course.is_aborting:
        return now_course
    failed = look.guard.failed if look.guard else None
    if failed is not None and not look.is_excused:
        return course.abort(now_course, failed.reason, failed.message, now=look.now)
    if look.finding is not None and look.finding.kind is FindingKind.EVIDENCE:
        return course.abort(now_course, look.finding.reason, look.finding.message, now=look.now)
    if look.is_excused:
        return course.acquit(now_course, look.finding)
    return readiness.judge(now_course, look)


def _take_back(now_course: Course, look: Look) -> Course:
    """Weight 0, unless stable cannot serve and the candidate can."""
    assert now_course.rollout is not None
    assert now_course.rollout.abort is not None
    cause = now_course.rollout.abort
    if now_course.asked and look.ready_count and not look.seen.endpoint_count(now_course.stable):
        message = (
            f"stable {now_course.stable} has no pod that answers, so candidate"
            f" {now_course.candidate} keeps its {now_course.asked} %."
            f" It is taken back the moment stable has one. Cause: {cause.message}"
        )
        return replace(now_course, stall=Stall(Reason.NO_WAY_BACK, message))
    lowered = replace(now_course, asked=0)
    assert now_course.candidate is not None
    if look.is_out(now_course.candidate):
        return course.finish_abort(lowered, is_drained_first=True, now=look.now)
    since = now_course.rollout.lowered_at
    if since is None or not look.is_asked_for_nothing(now_course.candidate):
        since = look.now  # also after a restart of the operator: routers hear it now
    lowered = course.with_rollout(lowered, lowered_at=since)
    if not is_late(lowered, look.now):
        message = f"weight 0 is asked of {look.seen.routing.router_count} routers"
        until = since + timedelta(seconds=CONFIRM_S)
        return course.wait(lowered, Reason.WAITING_FOR_ROUTERS, message, until=until)
    late = _late_routers(look.seen)
    if not late:
        return course.finish_abort(lowered, is_drained_first=False, now=look.now)
    message = f"routers that do not confirm weight 0 lose their clients: {', '.join(late)}"
    return course.wait(lowered, Reason.WAITING_FOR_ROUTERS, message)


def is_late(now_course: Course, now: datetime) -> bool:
    """Tell whether routers had their time to confirm that the candidate gets nothing."""
    since = now_course.rollout.lowered_at if now_course.rollout is not None else None
    return since is not None and now - since >= timedelta(seconds=CONFIRM_S)


def _late_routers(seen: Observation) -> tuple[str, ...]:
    """Name routers that still have clients, should not, and are not the last ones."""
    routing = seen.routing
    if all(name in routing.unconfirmed or name in routing.lost for name, _ in routing.routers):
        return ()
    return tuple(
        name
        for name, address in routing.routers
        if name in routing.unconfirmed and address in routing.published
    )


def _grow(now_course: Course, look: Look) -> Course:
    """Ask for the setting of the step, as far as ready pods carry it."""
    rollout = now_course.rollout
    assert rollout is not None
    target = looks.target(now_course, look)
    weight, is_carried = target.weight_percent, look.ready_count >= target.pods
    carried = plan.weight_for(look.ready_count, look.replicas)
    if rollout.paused:
        wanted = min(now_course.asked, carried)
    else:
        wanted = weight if is_carried else min(now_course.asked, weight, carried)
    is_unmeasured = look.hindrance is not None and not rollout.promote_asked
    # Routers are first told what they have already.
    may_open = not is_unmeasured and look.seen.routing.applied is not None
    if not may_open:
        wanted = min(wanted, now_course.asked)
    opened = rollout.opened
    if is_carried and may_open and not rollout.paused:
        opened = target.opens
    if wanted == now_course.asked and opened == rollout.opened and is_carried:
        return now_course
    grown = now_course
    if wanted > now_course.asked or (opened and opened != rollout.opened):
        since = rollout.weighted_at or look.now
        grown = course.with_rollout(_with_try_timeout(now_course, look), weighted_at=since)
    return course.with_rollout(replace(grown, asked=wanted), step_started_at=None, opened=opened)


def _with_try_timeout(now_course: Course, look: Look) -> Course:
    """Fix the limit of one attempt, once, before the candidate gets its first request.

    A candidate that hangs must cost its clients little; an attempt of stable must never be cut.
    None as long as stable was not seen to answer.
    """
    assert now_course.rollout is not None
    slowest_s = look.guard.stable_latency_s_p999 if look.guard else None
    if now_course.rollout.per_try_timeout_seconds is not None or slowest_s is None:
        return now_course
    limit_s = max(PER_TRY_TIMEOUT_S_MIN, PER_TRY_FACTOR * slowest_s)
    return course.with_rollout(now_course, per_try_timeout_seconds=round(limit_s, 3))


def _spare_stable(now_course: Course, look: Look) -> Course:
    """Give the limit of one attempt up where stable itself fails more than rarely.

    It was measured in a quieter moment, it seems. Cutting slow answers off and asking for them
    again makes a busy machine busier, until nothing is answered at all.
    """
    assert now_course.rollout is not None
    limit_s = now_course.rollout.per_try_timeout_seconds
    whole_s = duration_s(look.seen.deployment.spec.traffic.timeout)
    verdicts = look.guard.verdicts if look.guard else ()
    is_cut = any(
        verdict.gate == questions.GATE_ERRORS
        and verdict.stable_bad_count >= STABLE_FAILED_MIN
        and verdict.stable_bad_count > STABLE_FAILED_SHARE * verdict.stable_count
        for verdict in verdicts
    )
    if limit_s is None or limit_s >= whole_s or not is_cut:
        return now_course
    return course.with_rollout(now_course, per_try_timeout_seconds=whole_s)


def _step(now_course: Course, look: Look) -> Course:
    """Run the clock of the step, and leave it when everything it asks for is given."""
    assert now_course.rollout is not None
    assert now_course.candidate is not None
    target = looks.target(now_course, look)
    is_asked = (now_course.asked, now_course.rollout.opened) == (
        target.weight_percent,
        target.opens,
    )
    if not is_asked or look.ready_count < target.pods:
        if now_course.rollout.paused:
            return _wait_for_person(now_course)
        if look.seen.routing.applied is None:
            message = f"the operator takes over at {now_course.asked} %, {_named(target)} is next"
            return course.wait(now_course, Reason.WAITING_FOR_ROUTERS, message)
        return _wait_for_pods(now_course, look, target)
    if not look.is_shown(now_course.candidate, target):
        message = f"{_named(target)} is asked of {look.seen.routing.router_count} routers"
        if look.seen.routing.router_count == 0:
            message = "no router is ready (kubectl get pods in the operator's namespace)"
        return course.wait(now_course, Reason.WAITING_FOR_ROUTERS, message)
    rollout = now_course.rollout
    if rollout.promote_asked or rollout.step_index >= len(look.plan.steps):
        if rollout.paused:
            return _wait_for_person(now_course)
        return course.finish_promotion(proof.note(now_course, look), now=look.now)
    if rollout.step_started_at is None:
        now_course = stepclock.start(now_course, look.now)
        message = f"candidate {now_course.candidate} has {_named(target)} at every router"
        key = f"{rollout.step_index}"
        now_course = course.tell(now_course, "WeightVerified", message, key=key)
    away_since = look.guard.away_since if look.guard else None
    return _leave_step(stepclock.keep(now_course, away_since=away_since, now=look.now), look)


def _wait_for_person(now_course: Course) -> Course:
    return course.wait(now_course, Reason.PAUSED, "a person paused; resume, promote or abort")


def _named(setting: Setting) -> str:
    """Say what a setting gives the candidate.

    >>> _named(Setting(5)), _named(Setting(0, 10)), _named(Setting(0))
    ('weight 5 %', 'weight 0 %, mirror 10 %', 'weight 0 %')
    """
    mirror = f", mirror {setting.mirror_percent} %" if setting.mirror_percent else ""
    match = ", matched requests" if setting.match else ""
    return f"weight {setting.weight_percent} %{mirror}{match}"


def _wait_for_pods(now_course: Course, look: Look, target: Setting) -> Course:
    taken = look.seen.stranger(now_course.candidate)
    if taken is not None:
        message = f"{taken} exists and was not made for this deployment; it is left alone"
        return course.wait(now_course, Reason.NAME_CONFLICT, message)
    if look.hindrance is not None and look.ready_count >= target.pods:
        return course.wait(now_course, *look.hindrance)
    message = f"{_named(target)} needs {target.pods} ready candidate pods, {look.ready_count} are"
    reason = Reason.WAITING_FOR_PODS
    if look.finding is not None and look.finding.reason is not Reason.SERVING:
        message, reason = f"{message}: {look.finding.message}", look.finding.reason
    return course.wait(now_course, reason, message)


def _leave_step(now_course: Course, look: Look) -> Course:
    """Go to the next step, or say what is still missing."""
    assert now_course.rollout is not None
    rollout = now_course.rollout
    step = look.plan.steps[rollout.step_index]
    if rollout.paused:
        return _wait_for_person(now_course)
    if look.hindrance is not None:
        return course.wait(now_course, *look.hindrance)
    started = stepclock.counted_from(rollout)
    assert started is not None, "the clock stands only while something hinders"
    ends = started + timedelta(seconds=step.hold_s)
    if look.now < ends:
        return course.wait(now_course, *_holding(now_course, look), until=ends)
    held = _held_by_pods(now_course, look)
    if held is None and step.needs_proof:
        held = proof.missing(now_course, look, started)
    if held is not None:
        return held
    if step.pause and rollout.pause_step != rollout.step_index:
        message = f"step {rollout.step_index + 1} asks a person: approve, promote or abort"
        return course.wait(now_course, Reason.PAUSED, message)
    proven = proof.note(now_course, look)
    following = rollout.step_index + 1
    if following == len(look.plan.steps) and look.plan.ends == "stop":
        message = f"{now_course.candidate} has passed its shadow, which was all that was asked"
        return course.abort(proven, Reason.SHADOWED, message, now=look.now)
    return course.with_rollout(
        proven,
        step_index=following,
        way=look.plan.way_to(following),
        passed_weight=step.setting.weight_percent,
        step_started_at=None,
    )


def _holding(now_course: Course, look: Look) -> tuple[Reason, str]:
    """Say what the step's hold is for."""
    assert now_course.rollout is not None
    index = now_course.rollout.step_index
    if look.plan.steps[index].is_probation:
        message = f"{now_course.candidate} has everything, {now_course.stable} keeps its pods"
        return Reason.PROBATION, message
    return Reason.HOLDING, f"step {index + 1} of {len(look.plan.steps)} holds"


def _held_by_pods(now_course: Course, look: Look) -> Course | None:
    """Say why the pods cannot take more at this moment; None if they can."""
    if look.finding is not None and look.finding.kind is FindingKind.DISTURBANCE:
        return course.wait(now_course, Reason.PODS_DISTURBED, look.finding.message)
    if look.guard is not None and look.guard.is_shedding:
        message = "the candidate sheds load (429, 503 with Retry-After, RESOURCE_EXHAUSTED)"
        return course.wait(now_course, Reason.SHEDDING, message)
    return None
