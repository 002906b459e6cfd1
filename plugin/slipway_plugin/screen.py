"""What people read: from values to lines that fit a terminal. Pure; colours are names of styles.

A line is text with at most one style; `terminal` decides whether a style becomes a colour. Nothing
is told by colour alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slipway_plugin import contract, progress, wording
from slipway_plugin.deployment import Deployment, Gate, Past, Revision, Side
from slipway_plugin.overview import Overview, Pod

WIDTH_MIN: Final = 60
LABEL: Final = 13  # columns before the text of a line
WHY_LINES_MAX: Final = 4
PODS_MAX: Final = 12
HISTORY_SHOWN: Final = 3
DIGEST_SHOWN: Final = 15

GOOD: Final = "good"
BAD: Final = "bad"
BUSY: Final = "busy"
STYLES: Final = {
    contract.SERVING: GOOD,
    contract.ROLLING_OUT: BUSY,
    contract.PENDING: BUSY,
    contract.PAUSED: BUSY,
    contract.ABORTING: BAD,
    contract.ROLLED_BACK: BAD,
    contract.STALLED: BAD,
    contract.FAILED: BAD,
    "pass": GOOD,
    "fail": BAD,
    contract.PROMOTED: GOOD,
    contract.ABORTED: BAD,
    contract.SHADOWED: GOOD,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the screen; `style` is a word of `STYLES` or nothing."""

    text: str
    style: str = ""


def status(seen: Overview, now: datetime, *, width: int, is_wide: bool = False) -> list[Line]:
    """Show one deployment: where it stands, why it waits, and what the gates say."""
    width = max(width, WIDTH_MIN)
    of = seen.deployment
    lines = [Line(wording.clip(_headline(seen, now), width), STYLES.get(of.phase, ""))]
    lines += _why(seen, now, width=width)
    if of.candidate is not None and of.stable is not None:
        observed = f"asked {of.asked} %, verified {of.verified} % at every router"
        observed += f"; copies of {of.mirror} %" if of.mirror else ""
        lines += _labelled("traffic", observed, width=width)
    lines += [Line(text) for text in _sides(seen, width=width, is_wide=is_wide)]
    lines += _gates(of, width=width)
    lines += _pods(seen.pods, now, width=width)
    lines += _past(seen, now, width=width)
    if of.answer is not None and not of.answer.is_accepted:
        verb = of.answer.value.partition("@")[0]
        lines += _labelled("refused", f"{verb}: {of.answer.message}", width=width)
    for missing in seen.missing:
        lines += _labelled("not shown", missing, width=width)
    return lines


def listing(found: Iterable[Overview], *, width: int, has_namespace: bool) -> list[Line]:
    """Show many deployments, a line each."""
    rows: list[tuple[str, ...]] = [("NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "WHY")]
    if has_namespace:
        rows = [("NAMESPACE", *rows[0])]
    styles = [""]
    for seen in found:
        of = seen.deployment
        row = (
            of.name,
            of.phase,
            short(seen, of.stable),
            short(seen, of.candidate),
            _share(of) if of.candidate else "–",
            _reason(seen, now=None),
        )
        rows.append((of.namespace, *row) if has_namespace else row)
        styles.append(STYLES.get(of.phase, ""))
    texts = wording.table(rows, width=max(width, WIDTH_MIN))
    return [Line(text, style) for text, style in zip(texts, styles, strict=True)]


def history(seen: Overview, now: datetime, *, width: int) -> list[Line]:
    """Show the rollouts that have ended and the revisions that can be gone back to."""
    width = max(width, WIDTH_MIN)
    of = seen.deployment
    lines = [Line(f"{of.name}  {of.namespace}   rollouts, the newest first")]
    if not of.history:
        lines.append(Line("  none has ended yet; the first revision has no rollout"))
    lines += _rollouts(seen, now, width=width)
    lines.append(Line(""))
    lines.append(Line("kept revisions (kubectl slipway undo --to-revision N)"))
    rows = [
        (
            str(kept.number),
            _model_text(kept),
            _role(of, kept.name),
            kept.name,
        )
        for kept in seen.revisions
    ]
    lines += [Line(text) for text in wording.table(rows, width=width, indent="  ")]
    return lines


def short(seen: Overview, name: str | None) -> str:
    """Name a revision by its number and version if they are known, else by its hash.

    The whole name is long, and its first part is the deployment's.
    """
    if name is None:
        return "–"
    kept = seen.revision(name)
    if kept is None or kept.model is None:
        return name.removeprefix(f"{seen.deployment.name}-")
    return f"{kept.number} ({kept.model.version})"


def _headline(seen: Overview, now: datetime) -> str:
    of = seen.deployment
    parts = [f"{of.name}  {of.namespace}", of.phase]
    if of.candidate and of.stable:
        sides = f"revision {short(seen, of.candidate)} over {short(seen, of.stable)}"
        parts.append(sides)
    elif of.stable or of.candidate:
        parts.append(f"revision {short(seen, of.stable or of.candidate)}")
    if of.step is not None:
        parts.append(f"step {of.step.index}/{of.step.count}")
        parts.append(f"{of.verified} %")
    if of.rollout_started_at is not None:
        parts.append(wording.age(of.rollout_started_at, now))
    return "  ".join(parts)


def _share(of: Deployment) -> str:
    return f"{of.verified} %" + (f", copies {of.mirror} %" if of.mirror else "")


def _reason(seen: Overview, *, now: datetime | None) -> str:
    """Say in a line why it is not ready; `now` None: times are not shown."""
    of = seen.deployment
    if not of.is_seen:
        return "not looked at yet"
    if of.waiting is not None and of.is_in_probation:
        new, old = short(seen, of.candidate), short(seen, of.stable)
        end = of.waiting.until
        till = f" until {wording.until(end, now)}" if end and now else ""
        return f"{contract.PROBATION}: {new} has everything; {old} is kept{till}"
    if of.waiting is not None:
        return f"{of.waiting.reason}: {of.waiting.message}"
    ready = of.stated(contract.READY)
    return f"{ready.reason}: {ready.message}" if ready and not ready.is_true else ""


def _why(seen: Overview, now: datetime, *, width: int) -> list[Line]:
    """Say why nothing goes on just now, what is had and needed, and until when."""
    of = seen.deployment
    if not of.is_seen:
        text = f"the operator has not looked at generation {of.generation} yet"
        return _labelled("why", text, width=width)
    ready = of.stated(contract.READY)
    if ready is not None and ready.is_true:
        return _labelled("why", progress.standing(of).message, width=width)
    if of.waiting is None and ready is None:
        return []
    text = of.abort or _reason(seen, now=now)
    stalled = of.condition(contract.STALLED_CONDITION)
    if stalled is not None:
        text = f"{stalled.reason}: {stalled.message}"
    label = "why waiting" if of.waiting is not None and not of.abort and not stalled else "why"
    lines = _labelled(label, text, width=width)
    scarce = next((g for g in of.gates if g.verdict == "insufficient" and g.need), None)
    is_paused = of.phase == contract.PAUSED
    if scarce is not None and scarce.need is not None and of.waiting and not is_paused:
        have, need = wording.count(scarce.have), wording.count(scarce.have + scarce.need)
        lines += _labelled("have / need", f"{have} of about {need} requests", width=width)
    if of.is_in_probation:
        text = f"{short(seen, of.candidate)} is stable; promote ends it now, abort goes back"
        lines += _labelled("then", text, width=width)
    elif of.waiting is not None and of.waiting.until is not None:
        lines += _labelled("until", wording.until(of.waiting.until, now), width=width)
    elif of.step is not None and of.step.ends_at is not None and of.step.ends_at > now:
        text = wording.until(of.step.ends_at, now)
        lines += _labelled("hold ends", text, width=width)
    elif of.waiting is not None:
        lines += _labelled("until", _open_end(of), width=width)
    return lines


def _open_end(of: Deployment) -> str:
    if of.phase == contract.PAUSED:
        verb = "resume" if of.is_paused_by_person else "approve"
        return f"a person says go on: {verb}, promote or abort"
    return "that is so; there is no time limit"


def _labelled(label: str, text: str, *, width: int) -> list[Line]:
    """Put a label before wrapped text."""
    wrapped = wording.wrap(text, width - LABEL - 2)
    if len(wrapped) > WHY_LINES_MAX:
        wrapped = [*wrapped[: WHY_LINES_MAX - 1], wrapped[WHY_LINES_MAX - 1] + " …"]
    heads = [label, *[""] * len(wrapped)]
    return [
        Line(wording.clip(f"  {head:<{LABEL}}{part}", width))
        for head, part in zip(heads, wrapped, strict=False)
    ]


def _sides(seen: Overview, *, width: int, is_wide: bool) -> list[str]:
    rows = []
    for side in seen.deployment.sides:
        kept = seen.revision(side.revision)
        where = kept.model.uri if kept and kept.model else ""
        rows.append((*_side(seen, side), where))
    lines = wording.table(rows, width=10_000 if is_wide else width, indent="  ")
    if not is_wide:
        return lines
    for side in seen.deployment.sides:
        kept = seen.revision(side.revision)
        digest = kept.model.digest if kept and kept.model else ""
        lines.append(f"  {side.role:<{LABEL}}{side.revision}  {digest or 'no digest'}")
    return lines


def _side(seen: Overview, side: Side) -> tuple[str, ...]:
    role = side.role.ljust(LABEL - 2)
    ready = f"{side.ready}/{side.pods} ready"
    return (role, short(seen, side.revision), ready, f"{side.weight_percent} %")


def _gates(of: Deployment, *, width: int) -> list[Line]:
    if not of.gates:
        return []
    rows: list[tuple[str, ...]] = [("gate", "stable", "candidate", "have/need", "verdict")]
    rows += [_gate(gate) for gate in of.gates]
    texts = wording.table(rows, width=width, indent="  ")
    styles = ["", *(STYLES.get(gate.verdict, "") for gate in of.gates)]
    return [Line(text, style) for text, style in zip(texts, styles, strict=True)]


def _gate(gate: Gate) -> tuple[str, ...]:
    have = wording.count(gate.have)
    if gate.verdict == "insufficient":
        have += "/?" if gate.need is None else f"/{wording.count(gate.have + gate.need)}"
    name = wording.clip(gate.name, 22)
    if gate.value is not None or gate.limit is not None:
        value = "–" if gate.value is None else f"{gate.value:.4g}"
        return (name, f"limit {gate.limit or '–'}", value, "–", gate.verdict)
    return (
        name,
        wording.share(gate.stable_bad, gate.stable_count),
        wording.share(gate.candidate_bad, gate.candidate_count),
        have,
        gate.verdict,
    )


def _pods(pods: tuple[Pod, ...], now: datetime, *, width: int) -> list[Line]:
    rows = [
        (
            "pods" if index == 0 else "",
            pod.name,
            pod.state,
            f"{pod.restarts} restarts",
            wording.age(pod.created_at, now),
            pod.node,
        )
        for index, pod in enumerate(pods[:PODS_MAX])
    ]
    texts = wording.table(rows, width=width, indent="  ")
    if len(pods) > PODS_MAX:
        texts.append(f"        and {len(pods) - PODS_MAX} more")
    return [
        Line(text, BAD if pod.is_troubled else "")
        for text, pod in zip(texts, (*pods, *pods[:1]), strict=False)
    ]


def _past(seen: Overview, now: datetime, *, width: int) -> list[Line]:
    found = seen.deployment.history[:HISTORY_SHOWN]
    rows = [
        ("last" if index == 0 else "", *_rollout(seen, past, now), _told(past))
        for index, past in enumerate(found)
    ]
    texts = wording.table(rows, width=width, indent="  ")
    return _styled(texts, found)


def _rollouts(seen: Overview, now: datetime, *, width: int) -> list[Line]:
    """Show every rollout that has ended, with all that was said of it."""
    found = seen.deployment.history
    rows = [_rollout(seen, past, now) for past in found]
    lines = []
    heads = _styled(wording.table(rows, width=width, indent="  "), found)
    for head, past in zip(heads, found, strict=True):
        lines += [head, *(Line(f"    {text}") for text in wording.wrap(_told(past), width - 4))]
    return lines


def _rollout(seen: Overview, past: Past, now: datetime) -> tuple[str, ...]:
    outcome = past.outcome + (", unproven" if past.is_unproven else "")
    return (outcome, short(seen, past.revision), f"{wording.age(past.ended_at, now)} ago")


def _told(past: Past) -> str:
    """Say why; where all went well that is who let it through, if anybody was asked."""
    is_well = past.outcome in (contract.PROMOTED, contract.SHADOWED)
    return past.message if is_well else f"{past.reason}: {past.message}"


def _styled(texts: list[str], found: tuple[Past, ...]) -> list[Line]:
    return [
        Line(text, STYLES.get(past.outcome, "")) for text, past in zip(texts, found, strict=True)
    ]


def _model_text(kept: Revision) -> str:
    return f"{kept.model.name} {kept.model.version}" if kept.model else "–"


def _role(of: Deployment, name: str) -> str:
    if name == of.stable:
        return "stable"
    if name == of.candidate:
        return "candidate"
    return "rejected" if name in of.rejected else "kept"
