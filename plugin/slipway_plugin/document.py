"""What programs read: the same values as the screen's, as versioned JSON documents.

Keys are only ever added to a version; a new meaning is a new version.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from slipway_plugin import contract, progress
from slipway_plugin.deployment import Gate, Past, Revision, Side
from slipway_plugin.overview import Overview

VERSION: Final = "cli.slipway.dev/v1"

Document = dict[str, Any]


def headed(kind: str, body: Document) -> Document:
    """Put version and kind before a document."""
    return {"apiVersion": VERSION, "kind": kind, **body}


def status(seen: Overview) -> Document:
    """Describe where a deployment stands."""
    return headed("DeploymentStatus", _status(seen))


def listing(found: Iterable[Overview]) -> Document:
    """Describe many deployments."""
    return headed("DeploymentStatusList", {"items": [_status(seen) for seen in found]})


def history(seen: Overview) -> Document:
    """Describe the rollouts that have ended and the revisions that are kept."""
    body = {
        **_place(seen),
        "rollouts": [_past(seen, past) for past in seen.deployment.history],
        "revisions": [_revision(kept) for kept in seen.revisions],
    }
    return headed("RolloutHistory", body)


def explanation(seen: Overview, sentences: Iterable[str], advice: Iterable[str]) -> Document:
    """Describe why a deployment is as it is and what can be done."""
    body = {**_place(seen), "because": list(sentences), "next": list(advice)}
    body["events"] = [
        {
            "at": _time(event.at),
            "warning": event.is_warning,
            "reason": event.reason,
            "message": event.message,
        }
        for event in seen.events
    ]
    return headed("Explanation", body)


def _place(seen: Overview) -> Document:
    return {"namespace": seen.deployment.namespace, "name": seen.deployment.name}


def _status(seen: Overview) -> Document:
    of = seen.deployment
    found = progress.standing(of)
    ready = of.stated(contract.READY)
    return {
        **_place(seen),
        "generation": of.generation,
        "observedGeneration": of.observed_generation,
        "phase": of.phase,
        "ready": bool(ready and ready.is_true),
        "exitCode": int(found.exit),
        "message": found.message,
        "revisions": [_side(seen, side) for side in of.sides],
        "weight": {"asked": of.asked, "verified": of.verified, "mirror": of.mirror},
        "step": _step(seen),
        "waiting": _waiting(seen),
        "gates": [_gate(gate) for gate in of.gates],
        "pods": [
            {
                "name": pod.name,
                "revision": pod.revision,
                "state": pod.state,
                "restarts": pod.restarts,
                "node": pod.node,
            }
            for pod in seen.pods
        ],
        "rollouts": [_past(seen, past) for past in of.history],
        "address": of.url or None,
        "missing": list(seen.missing),
    }


def _step(seen: Overview) -> Document | None:
    step = seen.deployment.step
    if step is None:
        return None
    return {
        "index": step.index,
        "count": step.count,
        "weight": step.weight_percent,
        "startedAt": _time(step.started_at),
        "endsAt": _time(step.ends_at),
    }


def _waiting(seen: Overview) -> Document | None:
    waiting = seen.deployment.waiting
    if waiting is None:
        return None
    return {
        "reason": waiting.reason,
        "message": waiting.message,
        "until": _time(waiting.until),
    }


def _side(seen: Overview, side: Side) -> Document:
    kept = seen.revision(side.revision)
    return {
        "role": side.role,
        **(_revision(kept) if kept else {"name": side.revision, "number": None, "model": None}),
        "weight": side.weight_percent,
        "pods": side.pods,
        "ready": side.ready,
    }


def _revision(kept: Revision) -> Document:
    model = kept.model
    return {
        "name": kept.name,
        "number": kept.number,
        "model": None
        if model is None
        else {
            "name": model.name,
            "version": model.version,
            "uri": model.uri,
            "digest": model.digest or None,
        },
    }


def _gate(gate: Gate) -> Document:
    return {
        "name": gate.name,
        "verdict": gate.verdict,
        "message": gate.message,
        "candidate": {"count": gate.candidate_count, "bad": gate.candidate_bad},
        "stable": {"count": gate.stable_count, "bad": gate.stable_bad},
        "have": gate.have,
        "need": gate.need,
        "value": gate.value,
        "limit": gate.limit,
    }


def _past(seen: Overview, past: Past) -> Document:
    kept = seen.revision(past.revision)
    return {
        "revision": past.revision,
        "version": kept.model.version if kept and kept.model else None,
        "previous": past.previous,
        "generation": past.generation,
        "outcome": past.outcome,
        "unproven": past.is_unproven,
        "reason": past.reason,
        "message": past.message,
        "startedAt": _time(past.started_at),
        "endedAt": _time(past.ended_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
