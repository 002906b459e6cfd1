"""Plans: what a strategy compiles to. One step language, one engine that runs it."""

import hashlib
import json
from dataclasses import dataclass

from slipway_api.base import duration_s
from slipway_api.model_deployment import Canary, ModelDeploymentSpec, Strategy
from slipway_api.status import Chosen


@dataclass(frozen=True, slots=True)
class PlanStep:
    """Give the candidate `weight_percent`, hold it for `hold_s`, then ask a person if `pause`.

    `needs_proof`: it is not left before every gate has passed; otherwise none that failed suffices.
    """

    weight_percent: int
    hold_s: float = 0.0
    pause: bool = False
    needs_proof: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order; after the last one the candidate gets everything and becomes stable."""

    steps: tuple[PlanStep, ...]

    def weight_percent(self, index: int) -> int:
        """Tell the weight of a step, 100 after the last.

        >>> plan = Plan((PlanStep(5, 60.0, False),))
        >>> plan.weight_percent(0), plan.weight_percent(1)
        (5, 100)
        """
        return self.steps[index].weight_percent if index < len(self.steps) else 100

    def index_above(self, weight_percent: int) -> int:
        """Find the first step that gives more than this weight.

        >>> plan = Plan((PlanStep(5, 60.0, False), PlanStep(50, 60.0, False)))
        >>> [plan.index_above(weight) for weight in (0, 5, 49, 50)]
        [0, 1, 1, 2]
        """
        return sum(step.weight_percent <= weight_percent for step in self.steps)


def compile_strategy(strategy: Strategy, replicas: int) -> Plan:
    """Turn a strategy into a plan for so many pods.

    >>> from slipway_api.model_deployment import Direct, Rolling
    >>> [step.weight_percent for step in compile_strategy(Strategy(rolling=Rolling()), 4).steps]
    [25, 50, 75]
    >>> compile_strategy(Strategy(direct=Direct()), 4)
    Plan(steps=())
    """
    if strategy.canary is not None:
        return _canary(strategy.canary)
    return _rolling(replicas) if strategy.rolling is not None else Plan(())


def _canary(canary: Canary) -> Plan:
    steps = (PlanStep(step.weight, duration_s(step.hold), step.pause) for step in canary.steps)
    return Plan(tuple(steps))


def _rolling(replicas: int) -> Plan:
    """One step for each pod but the last; above 100 pods one for each percent."""
    weights = sorted({weight_for(pods, replicas) for pods in range(1, replicas)} - {0})
    return Plan(tuple(PlanStep(weight, needs_proof=False) for weight in weights))


def pods_for(weight_percent: int, replicas: int) -> int:
    """Tell how many candidate pods a weight needs: ceil(weight x replicas), at least one.

    >>> [pods_for(weight, 10) for weight in (1, 5, 10, 11, 50, 100)]
    [1, 1, 1, 2, 5, 10]
    >>> pods_for(1, 1)
    1
    """
    return max(1, -(-weight_percent * replicas // 100))


def weight_for(pods: int, replicas: int) -> int:
    """Tell the largest weight that so many candidate pods carry, in percent.

    >>> [weight_for(pods, 3) for pods in (0, 1, 2, 3, 4)]
    [0, 33, 66, 100, 100]
    """
    return min(100, 100 * pods // replicas)


def revision_name(name: str, spec: ModelDeploymentSpec) -> str:
    """Name the revision that a specification asks for by itself: its identity.

    The hash covers what the user wrote that changes pods, and nothing else: a change of replicas,
    strategy, analysis or traffic makes no new revision, nor does a change of pool, chart or
    operator.
    """
    identity = {
        "model": spec.model.model_dump(mode="json", exclude_none=True),
        "runtime": spec.runtime.model_dump(mode="json", exclude_none=True),
        "compute": spec.compute.model_dump(mode="json", exclude_none=True, exclude={"replicas"}),
    }
    return _hashed(name, json.dumps(identity, sort_keys=True, separators=(",", ":")))


def restarted_name(name: str, identity: str, nonce: str) -> str:
    """Name the revision that a restart makes; the same command always gives the same one.

    >>> restarted_name("churn", "churn-0a1b2c3d4e", "1")
    'churn-c64df1dc9c'
    """
    return _hashed(name, f"{identity}#{nonce}")


def wanted_revision(name: str, spec: ModelDeploymentSpec, chosen: Chosen | None) -> str:
    """Name the revision that is wanted: what the specification asks for, unless one was chosen."""
    identity = revision_name(name, spec)
    return chosen.revision if chosen is not None and chosen.identity == identity else identity


def _hashed(name: str, text: str) -> str:
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
