"""Objects as kubectl gives them to its plugin; a test holds their status against the contract."""

from datetime import UTC, datetime
from typing import Any, Final

Object = dict[str, Any]

NOW: Final = datetime(2026, 3, 1, 12, 3, tzinfo=UTC)
NAME: Final = "churn"
NAMESPACE: Final = "ml"
OLD: Final = "churn-0a1b2c3d4e"
NEW: Final = "churn-9f8e7d6c5b"
DIGEST: Final = "sha256:" + "ab" * 32


def spec(version: str, *, replicas: int = 2) -> Object:
    """A specification as the API server gives it back."""
    return {**sections(version), "compute": {"pool": "cpu", "replicas": replicas}}


def sections(version: str) -> Object:
    """What is kept of a specification."""
    uri = f"s3://models/churn/{version}/model.onnx"
    model = {"name": "churn", "version": version, "uri": uri, "digest": DIGEST}
    return {"model": model, "runtime": {"name": "onnx"}, "compute": {"pool": "cpu"}}


def record(name: str, number: int, version: str, *, is_early: bool = False) -> Object:
    """A kept revision; an early one kept the template only."""
    model = sections(version)["model"]
    env = [{"name": f"SLIPWAY_SERVER_MODEL_{k.upper()}", "value": v} for k, v in model.items()]
    data = {"template": {"spec": {"containers": [{"name": "model", "env": env}]}}}
    if not is_early:
        data |= {"spec": sections(version), "identity": name}
    return {
        "kind": "ControllerRevision",
        "metadata": _metadata(name, name),
        "revision": number,
        "data": data,
    }


def pod(name: str, revision: str, *, is_ready: bool = True, waiting: str = "") -> Object:
    """A pod of a revision, ready or held up."""
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": {**_metadata(name, revision), "creationTimestamp": "2026-03-01T11:50:00Z"},
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
            "containerStatuses": [{"restartCount": 0 if is_ready else 3, "state": state}],
        },
    }


def _metadata(name: str, revision: str) -> Object:
    labels = {"slipway.dev/deployment": NAME, "slipway.dev/revision": revision}
    return {"name": name, "namespace": NAMESPACE, "labels": labels}


RECORDS: Final = (record(OLD, 6, "1.2.9"), record(NEW, 7, "1.3.0"))
PODS: Final = (pod(f"{OLD}-x", OLD), pod(f"{OLD}-y", OLD), pod(f"{NEW}-z", NEW))


def condition(kind: str, state: str, reason: str, *, message: str = "") -> Object:
    """A condition as the operator writes it."""
    return {
        "type": kind,
        "status": state,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }


def deployment(status: Object, *, version: str = "1.3.0", generation: int = 5) -> Object:
    """A ModelDeployment with a status that is about its present generation."""
    metadata = {
        "name": NAME,
        "namespace": NAMESPACE,
        "generation": generation,
        "resourceVersion": "4711",
    }
    return {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": metadata,
        "spec": spec(version),
        "status": {"observedGeneration": generation} | status,
    }


def past(outcome: str, *, generation: int, revision: str = NEW, **more: Any) -> Object:
    """A rollout that has ended."""
    return {
        "revision": revision,
        "previous": OLD,
        "outcome": outcome,
        "reason": "Serving" if outcome == "Promoted" else "Errors",
        "generation": generation,
        "startedAt": "2026-03-01T11:00:00Z",
        "endedAt": "2026-03-01T11:05:00Z",
    } | more


SERVING: Final[Object] = {
    "phase": "Serving",
    "stable": NEW,
    "replicas": {"stable": 2, "stableReady": 2},
    "address": {"url": "http://churn.ml", "grpc": "churn.ml:80", "routerPort": 10000},
    "conditions": [condition("Ready", "True", "Serving", message=f"{NEW} serves with 2 of 2 pods")],
    "history": [past("Promoted", generation=5)],
}
ROLLING: Final[Object] = {
    "phase": "RollingOut",
    "stable": OLD,
    "candidate": NEW,
    "weight": {"asked": 25, "verified": 25},
    "step": {
        "index": 2,
        "count": 3,
        "weight": 25,
        "startedAt": "2026-03-01T12:00:00Z",
        "endsAt": "2026-03-01T12:02:00Z",
    },
    "waiting": {
        "reason": "InsufficientData",
        "message": "errors: have 600 candidate requests, need about 430 more"
        " (≈ 87 s at the current rate)",
        "until": "2026-03-01T12:30:00Z",
    },
    "replicas": {"stable": 2, "stableReady": 2, "candidate": 1, "candidateReady": 1},
    "verdicts": [
        {
            "gate": "errors",
            "verdict": "insufficient",
            "message": "candidate failed 2 of 600 attempts (0.3 %), stable 3 of 9160 (0.033 %)",
            "candidate": {"count": 600, "bad": 2},
            "stable": {"count": 9160, "bad": 3},
            "have": 600,
            "need": 430,
        },
        {
            "gate": "refusals",
            "verdict": "pass",
            "message": "candidate refused 0 of 600 attempts (0 %), stable 0 of 9160 (0 %)",
            "candidate": {"count": 600},
            "stable": {"count": 9160},
            "have": 600,
            "need": 0,
        },
    ],
    "rollout": {"id": f"{NEW}-g5", "generation": 5, "startedAt": "2026-03-01T11:59:00Z"},
    "conditions": [
        condition("Ready", "False", "RollingOut", message=f"{NEW} is rolled out"),
        condition("Reconciling", "True", "RollingOut"),
    ],
    "history": [past("Promoted", generation=3, revision=OLD, previous=None, unproven=True)],
}
PAUSED: Final[Object] = ROLLING | {
    "phase": "Paused",
    "waiting": {"reason": "Paused", "message": "a person paused; resume, promote or abort"},
    "rollout": ROLLING["rollout"] | {"paused": True},
}
ASKING: Final[Object] = ROLLING | {
    "phase": "Paused",
    "weight": {"asked": 0, "verified": 0, "mirror": 20},
    "step": {"index": 1, "count": 2, "weight": 0, "startedAt": "2026-03-01T12:00:00Z"},
    "waiting": {
        "reason": "Paused",
        "message": "step 1 asks a person: approve, promote or abort",
    },
}
PROBATION: Final[Object] = ROLLING | {
    "weight": {"asked": 100, "verified": 100},
    "step": {"index": 3, "count": 3, "weight": 100, "startedAt": "2026-03-01T12:00:00Z"},
    "waiting": {
        "reason": "Probation",
        "message": f"{NEW} has everything, {OLD} keeps its pods",
        "until": "2026-03-01T12:10:00Z",
    },
    "replicas": {"stable": 2, "stableReady": 2, "candidate": 2, "candidateReady": 2},
    "verdicts": [],
}
SHADOWED: Final[Object] = {
    "phase": "Serving",
    "stable": OLD,
    "replicas": {"stable": 2, "stableReady": 2},
    "conditions": [condition("Ready", "True", "Serving", message=f"{OLD} serves with 2 of 2 pods")],
    "history": [
        past(
            "Shadowed",
            generation=5,
            reason="Shadowed",
            message=f"{NEW} has passed its shadow, which was all that was asked",
        )
    ],
}
APPROVED: Final[Object] = SERVING | {
    "history": [
        past(
            "Promoted",
            generation=5,
            message="approve: ada@example.org asked for it: scores look right",
        )
    ],
}
_BACK: Final = f"{NEW} was taken back (Errors): candidate failed 33 of 44 attempts (75 %)"
ROLLED_BACK: Final[Object] = {
    "phase": "RolledBack",
    "stable": OLD,
    "replicas": {"stable": 2, "stableReady": 2},
    "verdicts": ROLLING["verdicts"],
    "rejected": [{"revision": NEW, "reason": "Errors", "at": "2026-03-01T12:00:00Z"}],
    "conditions": [
        condition("Ready", "False", "RolledBack", message=_BACK),
        condition("Stalled", "True", "RolledBack", message=_BACK),
    ],
    "history": [past("Aborted", generation=5, message="candidate failed 33 of 44 attempts")],
}
PENDING: Final[Object] = {
    "phase": "Pending",
    "candidate": NEW,
    "waiting": {"reason": "WaitingForPods", "message": "no pod yet"},
    "replicas": {"candidate": 2},
    "conditions": [condition("Ready", "False", "WaitingForPods", message="no pod yet")],
}
UNSEEN: Final[Object] = {"observedGeneration": -1}
ALL: Final = {
    "serving": SERVING,
    "rolling": ROLLING,
    "paused": PAUSED,
    "asking": ASKING,
    "probation": PROBATION,
    "shadowed": SHADOWED,
    "approved": APPROVED,
    "rolled-back": ROLLED_BACK,
    "pending": PENDING,
    "unseen": UNSEEN,
}
