"""What a manifest compiles to: the steps, the pods and the times of a rollout, without a cluster.

Pure. It says what the engine of the operator would do and repeats its arithmetic; a test holds both
against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway_plugin import contract, document, wording
from slipway_plugin.exits import PluginError
from slipway_plugin.screen import Line

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A weight, how long it is held at least, and whether a person or a proof is waited for.

    `measured_s`: about how long the gates need at the given rate of requests; None: not known, or
    no proof is waited for.
    """

    weight_percent: int
    pods: int
    hold_s: float
    asks_person: bool
    needs_proof: bool
    measured_s: float | None

    @property
    def lasts_s(self) -> float:
        """The shortest time of the step, as far as it is known."""
        return max(self.hold_s, self.measured_s or 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled manifest."""

    namespace: str
    name: str
    strategy: str
    model: str
    pool: str
    replicas: int
    steps: tuple[Step, ...]
    gates: tuple[str, ...]
    insufficient_after: str
    insufficient_then: str
    rate: float | None

    @property
    def lasts_s(self) -> float:
        """The shortest time of the whole rollout, without pods' starts and people."""
        return sum(step.lasts_s for step in self.steps)


def compile_manifest(manifest: Object, *, rate: float | None) -> Plan:
    """Compile a ModelDeployment; `rate` is the deployment's requests per second, if known.

    Raises PluginError that names the field and what to write.
    """
    name = (manifest.get("metadata") or {}).get("name", "")
    spec = manifest.get("spec") or {}
    compute = spec.get("compute") or {}
    replicas = compute.get("replicas", contract.DEFAULT_REPLICAS)
    strategy, steps = _steps(spec.get("strategy") or {}, replicas=replicas, rate=rate)
    model = spec.get("model") or {}
    analysis = spec.get("analysis") or {}
    insufficient = {**contract.DEFAULT_INSUFFICIENT, **(analysis.get("insufficient") or {})}
    return Plan(
        namespace=(manifest.get("metadata") or {}).get("namespace", ""),
        name=name,
        strategy=strategy,
        model=f"{model.get('name', '?')} {model.get('version', '?')}",
        pool=compute.get("pool", contract.DEFAULT_POOL),
        replicas=replicas,
        steps=steps,
        gates=_gates(analysis),
        insufficient_after=insufficient["after"],
        insufficient_then=insufficient["then"],
        rate=rate,
    )


def screen(plan: Plan, *, width: int) -> list[Line]:
    """Show a plan as a table, with when each step ends at the earliest."""
    title = f"{plan.name}  {plan.namespace}   model {plan.model}   {plan.strategy}"
    lines = [Line(title), Line(f"  {plan.replicas} pods of pool {plan.pool}")]
    rows = [("step", "weight", "candidate", "hold", "measuring", "ends after", "then")]
    passed_s = 0.0
    for index, step in enumerate(plan.steps, 1):
        passed_s += step.lasts_s
        rows.append(
            (
                str(index),
                f"{step.weight_percent} %",
                _pods(step.pods),
                wording.span(step.hold_s) if step.hold_s else "–",
                _measuring(step),
                wording.span(passed_s),
                "a person says go on" if step.asks_person else "",
            )
        )
    rows.append(("end", "100 %", _pods(plan.replicas), "–", "–", wording.span(passed_s), "stable"))
    lines += [Line(text) for text in wording.table(rows, width=width, indent="  ")]
    lines += [
        Line(f"  {text}") for text in _remarks(plan) for text in wording.wrap(text, width - 2)
    ]
    return lines


def written(plan: Plan) -> document.Document:
    """Describe a plan for programs."""
    steps = [
        {
            "weight": step.weight_percent,
            "pods": step.pods,
            "holdSeconds": step.hold_s,
            "pause": step.asks_person,
            "needsProof": step.needs_proof,
            "measuringSeconds": step.measured_s,
        }
        for step in plan.steps
    ]
    body = {
        "namespace": plan.namespace or None,
        "name": plan.name,
        "strategy": plan.strategy,
        "pool": plan.pool,
        "replicas": plan.replicas,
        "steps": steps,
        "leastSeconds": plan.lasts_s,
        "gates": list(plan.gates),
        "insufficient": {"after": plan.insufficient_after, "then": plan.insufficient_then},
    }
    return document.headed("RolloutPlan", body)


def _steps(strategy: Object, *, replicas: int, rate: float | None) -> tuple[str, tuple[Step, ...]]:
    named = [name for name in ("canary", "rolling", "direct") if strategy.get(name) is not None]
    if len(named) > 1:
        raise PluginError(f"spec.strategy names {' and '.join(named)}: name exactly one")
    kind = named[0] if named else "canary"
    if kind == "rolling":
        weights = sorted({min(100, 100 * pods // replicas) for pods in range(1, replicas)} - {0})
        found = [
            Step(weight, _pods_for(weight, replicas), 0.0, False, False, None) for weight in weights
        ]
        return kind, tuple(found)
    if kind == "direct":
        return kind, ()
    entries = (strategy.get("canary") or {}).get("steps") or contract.DEFAULT_STEPS
    return kind, tuple(
        _canary_step(entry, at=f"spec.strategy.canary.steps[{index}]", replicas=replicas, rate=rate)
        for index, entry in enumerate(entries)
    )


def _canary_step(entry: Object, *, at: str, replicas: int, rate: float | None) -> Step:
    weight = entry.get("weight")
    if not isinstance(weight, int) or not 1 <= weight <= 100:
        raise PluginError(f"{at}.weight is {weight!r}: write a whole number from 1 to 100")
    hold = entry.get("hold", "0s")
    hold_s = wording.duration_s(hold)
    if hold_s is None:
        raise PluginError(f"{at}.hold is {hold!r}: write a duration like 2m or 1m30s")
    measured_s = contract.CLEAN_ATTEMPTS / (rate * weight / 100) if rate else None
    is_asked = bool(entry.get("pause"))
    return Step(weight, _pods_for(weight, replicas), hold_s, is_asked, True, measured_s)


def _pods_for(weight_percent: int, replicas: int) -> int:
    """ceil(weight x replicas), at least one."""
    return max(1, -(-weight_percent * replicas // 100))


def _gates(analysis: Object) -> tuple[str, ...]:
    gates = ["errors and refusals, compared with stable"]
    for metric in analysis.get("metrics") or ():
        limits = [f"{key} {metric[key]}" for key in ("max", "min", "maxIncrease") if key in metric]
        gates.append(f"{metric.get('name', '?')}: {', '.join(limits)}")
    alerts = (alert.get("name", "?") for alert in analysis.get("alerts") or ())
    return (*gates, *(f"alert {name}" for name in alerts))


def _measuring(step: Step) -> str:
    if not step.needs_proof:
        return "–"
    return "?" if step.measured_s is None else f"~{wording.span(step.measured_s)}"


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


def _remarks(plan: Plan) -> list[str]:
    said = [f"gates: {'; '.join(plan.gates)}"]
    if any(step.needs_proof for step in plan.steps):
        text = (
            f"a clean candidate answers about {contract.CLEAN_ATTEMPTS:,} requests in a step"
            f" before it is proven; too few for {plan.insufficient_after}:"
            f" {plan.insufficient_then}"
        )
        said.append(text)
        if plan.rate is None:
            said.append("say how many requests per second there are (--rate) for times of that")
    said.append("the first revision of a deployment has no steps: it serves when it is ready")
    return said
