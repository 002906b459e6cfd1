"""What the demo does to a deployment, and what it promises: values only.

The manifest that a user would write, the four changes of its model, and how to tell from a status
that a change has ended and that the status says what it should. It performs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench import ledger, models
from slipway_api import names
from slipway_api.conditions import ConditionType, Outcome, Phase
from slipway_api.status import ModelDeploymentStatus, Rollout

NAMESPACE: Final = "demo"
NAME: Final = "tumour"
FIRST_VERSION: Final = "1.0.0"
REPLICAS: Final = 2
# A clean candidate has to answer about this often before a gate passes (5.1 / 0.5 % floor).
CLEAN_ATTEMPTS: Final = 1030
PODS_READY_S: Final = 120.0
DEADLINE_SLACK_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the canary: percent of traffic, and how long at least."""

    weight: int
    hold_s: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the model, told as `story`, and what it must come to."""

    name: str
    version: str
    story: str
    steps: tuple[Step, ...]
    promise: ledger.Promise


CHANGES: Final = (
    Change(
        name="better",
        version="1.1.0",
        story="a better model",
        steps=(Step(10, 5), Step(50, 5)),
        promise=ledger.Promise(Outcome.PROMOTED),
    ),
    Change(
        name="errors",
        version="1.2.0",
        story="a model that answers errors",
        steps=(Step(5, 10), Step(50, 10)),
        promise=ledger.Promise(Outcome.ABORTED, weight=5, seconds_first_bad_to_zero=2.0),
    ),
    Change(
        name="crash",
        version="1.3.0",
        story="a model whose process crashes under load",
        steps=(Step(25, 10), Step(50, 10)),
        promise=ledger.Promise(Outcome.ABORTED, weight=25, seconds_first_bad_to_zero=3.0),
    ),
    Change(
        name="hang",
        version="1.4.0",
        story="a model that accepts and never answers",
        steps=(Step(10, 10), Step(50, 10)),
        promise=ledger.Promise(Outcome.ABORTED, weight=10, seconds_first_bad_to_zero=5.0),
    ),
)


def deadline_s(change: Change, rate: float) -> float:
    """How long a change may take before the demo gives up: twice what its plan needs.

    >>> round(deadline_s(CHANGES[0], 200.0))
    384
    """
    plan_s = sum(step.hold_s + CLEAN_ATTEMPTS / (rate * step.weight / 100) for step in change.steps)
    return PODS_READY_S + DEADLINE_SLACK_S + 2 * plan_s


def manifest(
    release: models.Release, steps: tuple[Step, ...], *, base_url: str, **more: Any
) -> dict[str, Any]:
    """Write the ModelDeployment that asks for `release`; `more` replaces fields of its spec."""
    spec: dict[str, Any] = {
        "model": {
            "name": release.model,
            "version": release.version,
            "uri": f"{base_url}/{release.file}",
            "digest": release.digest,
        },
        "runtime": {
            "name": "onnx",
            "env": [{"name": "SLIPWAY_SERVER_ACCESS_LOG", "value": "json"}],
        },
        "compute": {
            "pool": "cpu",
            "replicas": REPLICAS,
            "resources": {
                "requests": {"cpu": "100m", "memory": "192Mi"},
                "limits": {"cpu": "1", "memory": "320Mi"},
            },
        },
        "strategy": {
            "canary": {
                "steps": [{"weight": step.weight, "hold": f"{step.hold_s}s"} for step in steps]
            }
        },
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_DEPLOYMENT_KIND,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": spec | more,
    }


@dataclass(frozen=True, slots=True)
class Before:
    """What was so when a change was applied: the generation it made, and what is older."""

    generation: int
    stable: str | None
    last: Rollout | None


def ended(status: ModelDeploymentStatus, before: Before) -> Rollout | None:
    """Find the rollout that a change began, once it is over and all is cleaned up."""
    if status.observed_generation < before.generation:
        return None
    if status.phase not in (Phase.SERVING, Phase.ROLLED_BACK, Phase.FAILED):
        return None
    last = status.history[0] if status.history else None
    return None if last == before.last else last


def problem(
    status: ModelDeploymentStatus, rollout: Rollout, *, before: Before, warnings: int
) -> str | None:
    """Say what a status should say after `rollout` and does not; None if all is as it should be.

    `warnings` counts the Warning events since the change.
    """
    was_promoted = rollout.outcome == Outcome.PROMOTED
    phase = Phase.SERVING if was_promoted else Phase.ROLLED_BACK
    stable = rollout.revision if was_promoted else before.stable
    expected: Mapping[str, object] = {
        "phase": phase,
        "stable": stable,
        ConditionType.AVAILABLE: True,
        ConditionType.READY: was_promoted,
        ConditionType.RECONCILING: False,
        ConditionType.STALLED: not was_promoted,
        "rejected": not was_promoted,
    }
    truths = {condition.type: condition.status == "True" for condition in status.conditions}
    actual: Mapping[str, object] = {
        "phase": status.phase,
        "stable": status.stable,
        **{kind: truths.get(kind, False) for kind in ConditionType},
        "rejected": any(each.revision == rollout.revision for each in status.rejected),
    }
    for field, value in expected.items():
        if actual[field] != value:
            return f"status says {field} {actual[field]}, expected {value}"
    if not was_promoted and warnings == 0:
        return "no Warning event told of the abort"
    return None
