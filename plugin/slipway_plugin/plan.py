"""What a manifest compiles to: the steps, the pods and the times of a rollout, without a cluster.

Pure. `strategy` knows the steps, `drawing` shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slipway_plugin import contract, document
from slipway_plugin.fields import Fields
from slipway_plugin.strategy import Match, Step, compile_strategy, is_measured

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled manifest; `rate` is the deployment's requests per second, None: not known.

    `bad_answers_max` is the bad answer that ends a rollout, None: there is no such bound.
    After the last step the candidate becomes stable (`ends` promote) or goes (stop).
    """

    namespace: str
    name: str
    strategy: str
    model: str
    pool: str
    replicas: int
    steps: tuple[Step, ...]
    ends: Literal["promote", "stop"]
    gates: tuple[str, ...]
    bad_answers_max: int | None
    has_queries: bool
    insufficient_after: str
    insufficient_then: str
    rate: float | None

    def measured_s(self, step: Step) -> float | None:
        """About how long the gates of a step need; None: not known, or none is waited for."""
        share = step.weight_percent + step.mirror_percent
        if not (step.needs_proof and self.rate and share):
            return None
        return contract.CLEAN_ATTEMPTS / (self.rate * min(share, 100) / 100)

    def lasts_s(self, step: Step) -> float:
        """The shortest time of a step, as far as it is known."""
        return max(step.hold_s, self.measured_s(step) or 0.0)

    @property
    def least_s(self) -> float:
        """The shortest time of the whole rollout, without pods' starts and people."""
        return sum(map(self.lasts_s, self.steps))


def compile_manifest(manifest: Object, *, rate: float | None) -> Plan:
    """Compile a ModelDeployment. Raises PluginError that names the field and what to write."""
    name = (manifest.get("metadata") or {}).get("name", "")
    spec = manifest.get("spec") or {}
    compute = spec.get("compute") or {}
    most = contract.REPLICAS_MAX
    replicas = Fields("spec.compute", compute).whole(
        "replicas", least=1, most=most, default=contract.DEFAULT_REPLICAS
    )
    is_sticky = bool((spec.get("traffic") or {}).get("sticky"))
    compiled = compile_strategy(spec.get("strategy"), replicas=replicas, is_sticky=is_sticky)
    model = spec.get("model") or {}
    analysis = spec.get("analysis") or {}
    bad_answers_max = _bad_answers_max(analysis)
    insufficient = {**contract.DEFAULT_INSUFFICIENT, **(analysis.get("insufficient") or {})}
    return Plan(
        namespace=(manifest.get("metadata") or {}).get("namespace", ""),
        name=name,
        strategy=compiled.kind,
        model=f"{model.get('name', '?')} {model.get('version', '?')}",
        pool=compute.get("pool", contract.DEFAULT_POOL),
        replicas=replicas,
        steps=compiled.steps,
        ends=compiled.ends,
        gates=_gates(analysis, bad_answers_max),
        bad_answers_max=bad_answers_max,
        has_queries=_has_queries(analysis),
        insufficient_after=insufficient["after"],
        insufficient_then=insufficient["then"],
        rate=rate,
    )


def written(plan: Plan) -> document.Document:
    """Describe a plan for programs."""
    body = {
        "namespace": plan.namespace or None,
        "name": plan.name,
        "strategy": plan.strategy,
        "pool": plan.pool,
        "replicas": plan.replicas,
        "steps": [_step(plan, step) for step in plan.steps],
        "ends": plan.ends,
        "leastSeconds": plan.least_s,
        "gates": list(plan.gates),
        "maxBadAnswers": plan.bad_answers_max,
        "insufficient": {"after": plan.insufficient_after, "then": plan.insufficient_then},
    }
    return document.headed("RolloutPlan", body)


def _step(plan: Plan, step: Step) -> document.Document:
    return {
        "weight": step.weight_percent,
        "mirror": step.mirror_percent,
        "match": [_match(each) for each in step.match],
        "pods": step.pods,
        "holdSeconds": step.hold_s,
        "pause": step.asks_person,
        "needsProof": step.needs_proof,
        "measured": is_measured(step),
        "measuringSeconds": plan.measured_s(step),
        "probation": step.is_probation,
    }


def _match(match: Match) -> document.Document:
    return {match.kind: match.name, "value": match.value}


def _bad_answers_max(analysis: Object) -> int | None:
    budget = Fields("spec.analysis", analysis)
    most = contract.BAD_ANSWERS_MAX
    name = "maxBadAnswers"
    return budget.whole(name, least=1, most=most) if budget.has(name) else None


def _gates(analysis: Object, bad_answers_max: int | None) -> tuple[str, ...]:
    gates = ["errors and refusals, compared with stable"]
    for metric in analysis.get("metrics") or ():
        limits = [f"{key} {metric[key]}" for key in ("max", "min", "maxIncrease") if key in metric]
        gates.append(f"{metric.get('name', '?')}: {', '.join(limits)}")
    if bad_answers_max is not None:
        gates.append(f"budget: bad answer {bad_answers_max:,} ends the rollout")
    alerts = (alert.get("name", "?") for alert in analysis.get("alerts") or ())
    return (*gates, *(f"alert {name}" for name in alerts))


def _has_queries(analysis: Object) -> bool:
    """Whether any gate can be judged before the candidate gets requests."""
    metrics = analysis.get("metrics") or ()
    return bool(analysis.get("alerts")) or any(metric.get("query") for metric in metrics)
