"""Why a deployment is as it is, in sentences, and what a person can do now, as commands.

Pure. Advice is the exact command, with namespace and name filled in.
"""

from datetime import datetime
from typing import Final

from slipway_plugin import contract, wording
from slipway_plugin.deployment import Deployment
from slipway_plugin.overview import Event, Overview
from slipway_plugin.screen import Line

EVENTS_MAX: Final = 6
SLIPWAY: Final = "kubectl slipway"

# What to look at, for reasons whose message alone does not help; `{…}` are filled in.
LOOK: Final = {
    "WaitingForPods": "kubectl describe pods {space} -l {selector}",
    "WaitingForRouters": "kubectl get pods -A -l app.kubernetes.io/component=router",
    "MeasurementUnavailable": "kubectl get pods -A -l app.kubernetes.io/component=router",
    "Shedding": "kubectl top pods {space} -l {selector}",
    "PodsDisturbed": "kubectl get nodes",
    "NoWayBack": "kubectl describe pods {space} -l {selector}",
    "ContainerFailed": "kubectl logs {space} -l {selector} --previous --prefix --tail=50",
    "ReadinessLost": "kubectl logs {space} -l {selector} --prefix --tail=50",
    "StartDeadlineExceeded": "kubectl describe pods {space} -l {selector}",
    "ImageUnavailable": "kubectl describe pods {space} -l {selector}",
    "ModelRejected": "kubectl logs {space} -l {selector} --previous --prefix --tail=50",
    "UnknownPool": "kubectl get computepools",
    "NameConflict": "kubectl get services,deployments {space}",
}


def because(seen: Overview) -> list[str]:
    """Say why the deployment is where it is, the most important first."""
    of = seen.deployment
    said = [_traffic(seen)]
    if not of.is_seen:
        said.append(f"The operator has not looked at generation {of.generation} yet.")
    if of.abort:
        said.append(f"The candidate is being taken back: {of.abort}")
    stalled = of.condition(contract.STALLED_CONDITION)
    ready = of.stated(contract.READY)
    if stalled is not None:
        said.append(f"Nothing goes on by itself ({stalled.reason}): {stalled.message}")
    elif of.is_in_probation:
        said.append(_probation(of))
    elif of.waiting is not None:
        said.append(f"It waits ({of.waiting.reason}): {of.waiting.message}")
    elif ready is not None:
        said.append(f"{ready.reason}: {ready.message}")
    told = [gate for gate in of.gates if of.candidate is not None or gate.verdict == "fail"]
    said += [f"Gate {gate.name} says {gate.verdict}: {gate.message}" for gate in told]
    said += [f"Pod {pod.name} is not ready: {pod.state}" for pod in seen.pods if pod.is_troubled]
    past = of.history[0] if of.history else None
    if past is not None and past.outcome == contract.SHADOWED:
        said.append(
            f"The last rollout, of {past.revision}, was a shadow: it passed and went, as it was"
            " asked. Another strategy rolls it out."
        )
    elif past is not None and past.outcome == contract.PROMOTED and past.message:
        said.append(f"The last rollout, of {past.revision}, was let through: {past.message}")
    elif past is not None and past.outcome != contract.PROMOTED:
        said.append(
            f"The last rollout, of {past.revision}, ended as {past.outcome}:"
            f" {past.reason}: {past.message}"
        )
    if of.answer is not None and not of.answer.is_accepted:
        what = of.answer.value.partition("#")[0]
        said.append(f"The last command, {what}, was refused: {of.answer.message}")
    return said


def advice(seen: Overview) -> list[str]:
    """Name the commands that make sense now."""
    of = seen.deployment
    where = f"{of.name} -n {of.namespace}"
    steer = {
        contract.ROLLING_OUT: ("promote", "pause", "abort"),
        contract.PAUSED: ("resume" if of.is_paused_by_person else "approve", "promote", "abort"),
    }
    found = [f"{SLIPWAY} {verb} {where}" for verb in steer.get(of.phase, ())]
    if of.phase == contract.ROLLED_BACK:
        found.append(f"{SLIPWAY} retry {where}")
    if of.phase in (contract.ROLLED_BACK, contract.STALLED) and of.stable:
        found.append(f"{SLIPWAY} undo {where}")
    if of.phase == contract.SERVING and len(seen.revisions) > 1:
        found.append(f"{SLIPWAY} history {where}")
        found.append(f"{SLIPWAY} undo {where}")
    found += _looks(of)
    if of.phase in (contract.ROLLING_OUT, contract.PENDING, contract.ABORTING):
        found.append(f"{SLIPWAY} status {where} --watch")
    return found


def recent(events: tuple[Event, ...]) -> list[Event]:
    """Choose the Events that are worth reading: the last ones."""
    return list(events[-EVENTS_MAX:])


def _looks(of: Deployment) -> list[str]:
    reasons = [of.waiting.reason] if of.waiting else []
    reasons += [c.reason for c in of.conditions if c.type == contract.STALLED_CONDITION]
    reasons += [past.reason for past in of.history[:1] if past.outcome == contract.ABORTED]
    revision = of.candidate or (of.history[0].revision if of.history else None)
    pods = contract.LABEL_REVISION if revision and of.stable else contract.LABEL_DEPLOYMENT
    selector = f"{pods}={revision if pods == contract.LABEL_REVISION else of.name}"
    space = f"-n {of.namespace}"
    looks = [
        LOOK[reason].format(space=space, selector=selector) for reason in reasons if reason in LOOK
    ]
    return list(dict.fromkeys(looks))


def _traffic(seen: Overview) -> str:
    of = seen.deployment
    if of.stable is None:
        return f"{of.name} is {of.phase}: its first revision does not serve yet."
    if of.candidate is None:
        return f"{of.name} is {of.phase}: {_revision(seen, of.stable)} serves everything."
    new, old = _revision(seen, of.candidate), _revision(seen, of.stable)
    if of.verified == 100:
        return f"{of.name} is {of.phase}: candidate {new} gets everything, stable {old} is kept."
    copies = f" and copies of {of.mirror} %" if of.mirror else ""
    return (
        f"{of.name} is {of.phase}: candidate {new} gets {of.verified} % of live"
        f" traffic{copies}, stable {old} the rest."
    )


def _probation(of: Deployment) -> str:
    assert of.waiting is not None
    until = of.waiting.until
    when = f"until {until:%H:%M:%S} UTC" if until else "until the gates have passed"
    return (
        f"It is in probation {when}: {of.candidate} has everything, {of.stable} keeps its pods and"
        " gets all traffic back the moment a gate fails."
    )


def _revision(seen: Overview, name: str) -> str:
    kept = seen.revision(name)
    if kept is None or kept.model is None:
        return name
    return f"{name} ({kept.model.name} {kept.model.version})"


def screen(seen: Overview, now: datetime, *, width: int) -> list[Line]:
    """Show reasons, the last Events and the commands that make sense now."""
    lines = []
    for sentence in because(seen):
        first, *rest = wording.wrap(sentence, width - 2)
        lines += [Line(first), *(Line(f"  {text}") for text in rest)]
    rows = [
        (f"{wording.age(event.at, now)} ago", event.reason, event.message)
        for event in recent(seen.events)
    ]
    if rows:
        lines += [Line(""), Line("lately:")]
        lines += [Line(text) for text in wording.table(rows, width=width, indent="  ")]
    lines += [Line(""), Line("what you can do:")]
    # Commands are for copying: they are never shortened.
    lines += [Line(f"  {command}") for command in advice(seen)]
    return lines
