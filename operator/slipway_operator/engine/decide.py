"""The one entry point: from what was seen to everything that follows. Total and deterministic.

Reading order: `orders` (commands), `aims` (what is wanted), `rollout` (how far the candidate may
go), `standing` (what it is called), `upkeep` (which pods that takes), and here what it asks of
routers and status.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

from slipway_api import names, static_answer, status
from slipway_api.base import duration_s
from slipway_api.conditions import Phase, Reason
from slipway_api.model_deployment import Sticky
from slipway_operator.engine import (
    actions,
    aims,
    course,
    detachment,
    orders,
    plan,
    podevents,
    preview,
    readiness,
    resumption,
    rollout,
    standing,
    stepclock,
    upkeep,
)
from slipway_operator.engine.actions import Action, Decision
from slipway_operator.engine.course import Course, Stall
from slipway_operator.engine.facts import Observation
from slipway_operator.engine.podevents import FindingKind
from slipway_operator.engine.traffic import Backend, StaticAnswer, StickyKey, Traffic

DRAIN_S: Final = 10.0  # without new requests before pods are told to end; they then drain again
LOOK_AGAIN_S: Final = 5.0  # while pods start: deadlines of images and starts have no event


def decide(seen: Observation, now: datetime) -> Decision:
    """Decide. `now` is aware, UTC."""
    before = resumption.resume(course.of_status(seen.deployment.status), seen)
    is_going = detachment.is_due(before.stable, seen)
    ahead = detachment.freeze(before, seen) if is_going else _go_on(before, seen, now)
    drained = _end_drains(ahead, seen, now)
    seen_weight = _with_verified(drained, seen)
    return _decision(seen_weight, seen, now)


def _go_on(before: Course, seen: Observation, now: datetime) -> Course:
    """Do what the user wants now, as far as this look allows."""
    obeyed = orders.obey(before, seen, now)
    aimed = aims.aim(obeyed, seen, now)
    first = _serve_first(aimed, seen, now)
    ahead = rollout.advance(first, seen, now)
    if ahead.candidate is None and aimed.candidate is not None:
        return rollout.advance(aims.aim(ahead, seen, now), seen, now)  # what follows its end
    return ahead


def told(seen: Observation) -> Traffic | None:
    """Work out what the status, as it stands, asks of the routers."""
    return _traffic(course.of_status(seen.deployment.status), seen)


def _serve_first(now_course: Course, seen: Observation, now: datetime) -> Course:
    """The first revision becomes stable as soon as one pod and every router are ready."""
    if now_course.stable is not None or now_course.candidate is None:
        return now_course
    workload = seen.workload(now_course.candidate)
    applied = seen.routing.applied
    is_shown = (
        seen.routing.is_verified
        and applied is not None
        and applied.stable is not None
        and applied.stable.revision == now_course.candidate
    )
    if workload is not None and workload.endpoints and is_shown:
        return replace(now_course, stable=now_course.candidate, candidate=None)
    found = podevents.worst(podevents.findings(workload.pods if workload else (), now.timestamp()))
    if found is not None and found.kind is FindingKind.EVIDENCE:
        message = f"{found.message}; nothing served before: correct the specification"
        return replace(now_course, stall=now_course.stall or Stall(found.reason, message))
    if workload is None or not workload.endpoints:
        message = found.message if found else "no pod yet"
        reason = found.reason if found else Reason.WAITING_FOR_PODS
        return course.wait(now_course, reason, message)
    count = seen.routing.router_count
    message = f"{count} routers are asked to serve {now_course.candidate}"
    return course.wait(now_course, Reason.WAITING_FOR_ROUTERS, message)


def _end_drains(now_course: Course, seen: Observation, now: datetime) -> Course:
    """Forget revisions that have been without new requests for long enough."""
    ends = timedelta(seconds=DRAIN_S)
    kept = tuple(
        entry
        for entry in now_course.drain
        if now - entry.since < ends and seen.workload(entry.revision) is not None
    )
    return replace(now_course, drain=kept)


def _with_verified(now_course: Course, seen: Observation) -> Course:
    """Take over the weight that every router was seen to give."""
    applied = seen.routing.applied
    if now_course.candidate is None or now_course.stable is None:
        return replace(now_course, verified=0)
    if not seen.routing.is_verified or applied is None or applied.candidate is None:
        return now_course
    if applied.candidate.revision != now_course.candidate:
        return now_course
    return replace(now_course, verified=applied.weight_percent)


def _decision(now_course: Course, seen: Observation, now: datetime) -> Decision:
    stand = standing.stand(now_course, seen)
    return Decision(
        status=_status(now_course, seen, stand, now=now),
        actions=(
            *upkeep.revisions(now_course, seen, now),
            *preview.follow(now_course, seen),
            *_publication(now_course, seen, now),
        ),
        traffic=resumption.withhold(_traffic(now_course, seen), seen),
        watch=_watch(now_course, seen),
        notes=(*now_course.notes, *_phase_note(now_course, seen, stand)),
        wake_at=_wake_at(now_course, seen, now),
    )


def _traffic(now_course: Course, seen: Observation) -> Traffic | None:
    """Work out what every router should do; None while there is nothing it could do."""
    port = seen.routing.port
    stable = _backend(seen, now_course.stable or now_course.candidate)
    if now_course.stable is not None and stable is None:
        stable = Backend(now_course.stable, (), None, names.PORT_HTTP, names.PORT_GRPC)
    if port is None or stable is None:
        return None
    candidate = _backend(seen, now_course.candidate) if now_course.rollout else None
    memory = now_course.rollout
    opened = _plan(seen).opened(memory) if memory is not None else plan.CLOSED
    policy = seen.deployment.spec.traffic
    drain = (_backend(seen, entry.revision) for entry in now_course.drain)
    return Traffic(
        namespace=seen.deployment.metadata.namespace,
        name=seen.deployment.metadata.name,
        port=port,
        stable=stable,
        candidate=candidate,
        weight_percent=now_course.asked if candidate is not None else 0,
        drain=tuple(backend for backend in drain if backend is not None),
        timeout_s=duration_s(policy.timeout),
        per_try_timeout_s=memory.per_try_timeout_seconds if memory else None,
        retry=policy.retry,
        salt=memory.id if memory else "",
        is_logged=memory is not None,
        sticky=_sticky(policy.sticky),
        mirror_percent=opened.mirror_percent if candidate is not None else 0,
        match=opened.match if candidate is not None else (),
        static_answer=_static_answer(policy.static_answer),
    )


def _sticky(wanted: Sticky | None) -> StickyKey | None:
    if wanted is None:
        return None
    if wanted.header is not None:
        return StickyKey("header", wanted.header)
    assert wanted.cookie is not None
    return StickyKey("cookie", wanted.cookie)


def _static_answer(wanted: static_answer.StaticAnswer | None) -> StaticAnswer | None:
    return None if wanted is None else StaticAnswer(wanted.body, wanted.status)


def _backend(seen: Observation, revision: str | None) -> Backend | None:
    workload = seen.workload(revision)
    if workload is None:
        return None
    return Backend(
        revision=workload.revision,
        endpoints=workload.endpoints,
        cluster_ip=workload.cluster_ip,
        http_port=names.PORT_HTTP,
        grpc_port=names.PORT_GRPC,
    )


def _publication(now_course: Course, seen: Observation, now: datetime) -> tuple[Action, ...]:
    """Send clients to the routers that are known to serve them, and never to none."""
    if detachment.is_due(now_course.stable, seen):
        return detachment.lead_away(now_course, seen)
    if seen.stranger(seen.deployment.metadata.name) is not None:
        return ()
    routing = seen.routing
    if routing.port is None or routing.applied is None or routing.applied.stable is None:
        return ()
    if not routing.published and not routing.is_verified:
        return ()
    is_late = rollout.is_late(now_course, now)
    addresses = tuple(
        sorted(
            address
            for name, address in routing.routers
            if name not in routing.lost
            and (name not in routing.unconfirmed or (address in routing.published and not is_late))
        )
    )
    if not addresses:
        return ()
    if addresses == routing.published and detachment.is_led_back(seen):
        return detachment.leftovers(seen)
    return (actions.PublishAddress(routing.port, addresses),)


def _watch(now_course: Course, seen: Observation) -> actions.Watch | None:
    memory = now_course.rollout
    if memory is None or now_course.stable is None or now_course.candidate is None:
        return None
    timeout_s = duration_s(seen.deployment.spec.traffic.timeout)
    return actions.Watch(
        rollout=memory.id,
        candidate=now_course.candidate,
        stable=now_course.stable,
        analysis=seen.deployment.spec.analysis,
        per_try_timeout_s=memory.per_try_timeout_seconds or timeout_s,
        step_index=memory.step_index,
        evidence=memory.evidence or None,
        phi=memory.phi,
        step_started_at=memory.step_started_at,
        weighted_at=memory.weighted_at,
        queries=memory.queries,
        is_anew=now_course.is_acquitted,
    )


def _status(
    now_course: Course, seen: Observation, stand: standing.Standing, *, now: datetime
) -> status.ModelDeploymentStatus:
    metadata = seen.deployment.metadata
    guard = seen.guard
    memory = now_course.rollout
    if guard is not None and memory is not None and guard.rollout == memory.id:
        evidence = "" if now_course.is_acquitted else guard.evidence
        known = {"evidence": evidence, "phi": guard.phi, "queries": guard.queries}
        memory = memory.model_copy(update=known)
    return status.ModelDeploymentStatus(
        observed_generation=metadata.generation,
        phase=stand.phase,
        stable=now_course.stable,
        candidate=now_course.candidate,
        weight=_weight(now_course, seen),
        step=_step(now_course, seen),
        waiting=now_course.waiting,
        address=_address(seen),
        replicas=_pods(now_course, seen),
        selector=f"{names.LABEL_DEPLOYMENT}={metadata.name}",
        verdicts=_verdicts(now_course, seen),
        rollout=memory,
        drain=now_course.drain,
        rejected=now_course.rejected,
        history=now_course.history,
        chosen=now_course.chosen,
        command=now_course.command,
        phi=now_course.phi,
        conditions=standing.conditions(stand, seen, now),
    )


def _plan(seen: Observation) -> plan.Plan:
    spec = seen.deployment.spec
    return plan.compile_strategy(spec.strategy, spec.compute.replicas)


def _weight(now_course: Course, seen: Observation) -> status.Weight:
    memory = now_course.rollout
    opened = _plan(seen).opened(memory) if memory is not None else plan.CLOSED
    return status.Weight(
        asked=now_course.asked, verified=now_course.verified, mirror=opened.mirror_percent
    )


def _step(now_course: Course, seen: Observation) -> status.Step | None:
    memory = now_course.rollout
    if memory is None:
        return None
    steps = _plan(seen)
    if not steps.steps:
        return None
    index = min(memory.step_index, len(steps.steps))
    ends, counted_from = None, stepclock.counted_from(memory)
    if counted_from is not None and index < len(steps.steps):
        ends = counted_from + timedelta(seconds=steps.steps[index].hold_s)
    return status.Step(
        index=min(index + 1, len(steps.steps)),
        count=len(steps.steps),
        weight=100 if memory.promote_asked else steps.setting(index).weight_percent,
        started_at=memory.step_started_at,
        ends_at=ends,
    )


def _address(seen: Observation) -> status.Address | None:
    metadata, port = seen.deployment.metadata, seen.routing.port
    if port is None or not seen.routing.published:
        return None
    host = f"{metadata.name}.{metadata.namespace}"
    return status.Address(
        url=f"http://{host}", grpc=f"{host}:{names.SERVICE_PORT}", router_port=port
    )


def _pods(now_course: Course, seen: Observation) -> status.Replicas:
    stable, candidate = seen.workload(now_course.stable), seen.workload(now_course.candidate)
    return status.Replicas(
        stable=(stable.replicas or 0) if stable else 0,
        stable_ready=len(stable.endpoints) if stable else 0,
        candidate=(candidate.replicas or 0) if candidate else 0,
        candidate_ready=len(candidate.endpoints) if candidate else 0,
    )


def _verdicts(now_course: Course, seen: Observation) -> tuple[status.VerdictStatus, ...]:
    """Show the gates of the running rollout; after its end the last ones stay to be read."""
    running = now_course.rollout or seen.deployment.status.rollout  # which may end at this look
    if seen.guard is None or running is None or seen.guard.rollout != running.id:
        return () if now_course.rollout else seen.deployment.status.verdicts
    return tuple(
        status.VerdictStatus(
            gate=verdict.gate,
            verdict=verdict.state,
            message=status.clip(verdict.message, status.NOTE_LENGTH_MAX),
            candidate=status.Sample(count=verdict.candidate_count, bad=verdict.candidate_bad_count),
            stable=status.Sample(count=verdict.stable_count, bad=verdict.stable_bad_count),
            have=verdict.have,
            need=verdict.need,
            value=verdict.value,
            limit=verdict.limit,
        )
        for verdict in seen.guard.verdicts[: status.VERDICT_COUNT_MAX]
    )


def _phase_note(
    now_course: Course, seen: Observation, stand: standing.Standing
) -> tuple[actions.Note, ...]:
    """Tell a new phase that no step of the rollout tells in words of its own.

    The answer to a command is no such step: it says what was asked, not what came of it.
    """
    is_told = any(note.reason != course.NOTE_ACCEPTED for note in now_course.notes)
    if seen.deployment.status.phase == stand.phase or is_told:
        return ()
    memory = now_course.rollout
    key = "/".join(
        str(part)
        for part in (
            *(seen.deployment.metadata.generation, stand.phase, now_course.stable),
            *((memory.id, memory.step_index) if memory else ()),
            now_course.command.value if now_course.command else "",
        )
    )
    is_trouble = stand.phase in (Phase.FAILED, Phase.STALLED)
    reason = stand.reason if is_trouble else stand.phase
    type_: Literal["Normal", "Warning"] = "Warning" if is_trouble else "Normal"
    return (actions.Note(type_, reason, "Decide", stand.message, key),)


def _wake_at(now_course: Course, seen: Observation, now: datetime) -> datetime | None:
    """Tell when time alone changes something."""
    times = [entry.since + timedelta(seconds=DRAIN_S) for entry in now_course.drain]
    times += detachment.look_again_at(seen, now)
    if now_course.waiting is not None and now_course.waiting.until is not None:
        times.append(now_course.waiting.until)
    times += readiness.look_again_at(now_course, seen)
    memory = now_course.rollout
    if memory is not None and memory.lowered_at is not None:
        times.append(memory.lowered_at + timedelta(seconds=rollout.CONFIRM_S))
    times = [at for at in times if at > now]  # a rollout that stands still may be past some
    active = (now_course.stable, now_course.candidate)
    is_starting = any(
        workload.replicas and len(workload.endpoints) < workload.replicas
        for workload in map(seen.workload, active)
        if workload is not None
    )
    if is_starting or now_course.stall is not None or now_course.waiting is not None:
        times.append(now + timedelta(seconds=LOOK_AGAIN_S))
    return min(times) if times else None
