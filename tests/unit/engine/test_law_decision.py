"""The laws of the engine for single looks, from anywhere in a rollout."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import hypothesis.strategies as st
from hypothesis import given, settings

from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import Abort, ModelDeploymentStatus, RolloutState, Weight
from slipway_operator.engine.decide import decide
from slipway_operator.engine.facts import Observation, Routing, Workload
from slipway_operator.engine.plan import pods_for
from slipway_operator.engine.verdicts import GuardView
from tests import builders
from tests.unit.engine import laws

NOW: Final = builders.at(10_000)
OLD, NEW = builders.revision("1"), builders.revision("2")
ID: Final = f"{NEW}-g2"
RECORDS: Final = (builders.record(OLD, 1), builders.record(NEW, 2, digest=None))
STRATEGIES: Final = ("canary", "canary", "rolling", "direct")
PLANS: Final[tuple[tuple[builders.Step, ...], ...]] = (
    ((5, "60s"), (50, "60s", True)),
    ((1, "0s"), (10, "30s"), (34, "0s"), (100, "60s")),
    ((25, "60s", True),),
)
INSUFFICIENT: Final = (
    {"then": "hold"},
    {"after": "60s", "then": "pause"},
    {"after": "60s", "then": "promote"},
)
VERDICTS: Final = (
    (VerdictState.PASS, VerdictState.PASS),
    (VerdictState.PASS, VerdictState.INSUFFICIENT),
    (VerdictState.UNAVAILABLE, VerdictState.PASS),
    (VerdictState.PASS, VerdictState.FAIL),
    (),
)
AGES_S: Final = (0.0, 1.0, 2.0, 3.0, 30.0, 60.0, 600.0)
TROUBLES: Final[tuple[dict[str, Any], ...]] = (
    {"was_ready": True},
    {"was_ready": False, "created_at_s": NOW.timestamp()},
    {"pod_reason": "Evicted"},
    {"restarts": 1, "terminated": builders.crashed(now=NOW).terminated},
)
ASPECTS: Final = (
    "weight",
    "clock",
    "person",
    "abort",
    "stable pods",
    "candidate pods",
    "routers",
    "verdicts",
    "guard",
    "specification",
    "surroundings",
)


class Odd:
    """Chance, where something is odd; everything else goes as well as it can.

    A law is broken where one thing is missing and all others are there, so few are odd at a time.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._aspects = draw(st.sets(st.sampled_from(ASPECTS), max_size=3))

    def one_of(self, aspect: str, *, normal: Any, others: Sequence[Any]) -> Any:
        """Give the normal value, or any if this aspect is odd."""
        if aspect not in self._aspects:
            return normal
        return self._draw(st.sampled_from([normal, *others]))

    def pick(self, values: Sequence[Any]) -> Any:
        """Give any of several values, none of which is odd."""
        return self._draw(st.sampled_from(values))


def _ago(seconds: float) -> datetime:
    return builders.at(10_000 - seconds)


def _steps(odd: Odd, strategy: str, *, replicas: int) -> tuple[builders.Step, ...]:
    match strategy:
        case "canary":
            return odd.pick(PLANS)
        case "rolling":
            return tuple((100 * pods // replicas, "0s") for pods in range(1, replicas))
        case _:
            return ()


def _rollout(odd: Odd, steps: tuple[builders.Step, ...]) -> tuple[RolloutState, int]:
    """The memory of a rollout that has come some way, and the weight that it asks for."""
    index = odd.pick(range(len(steps) + 1))
    weights = [0, *(step[0] for step in steps), 100]
    before, target = weights[index], weights[index + 1]
    aborted_s = odd.one_of("abort", normal=None, others=AGES_S)
    asked = odd.one_of("weight", normal=target, others=[0, before])
    started_s = odd.one_of("clock", normal=600.0, others=[None, *AGES_S])
    lowered_s = odd.one_of("abort", normal=None, others=AGES_S)
    abort = None
    if aborted_s is not None:
        asked = odd.pick([0, asked])
        abort = Abort(reason=Reason.ERRORS, message="3 of 4 fail", at=_ago(aborted_s))
    is_lowered = abort is not None and asked == 0 and lowered_s is not None
    unready_s = odd.one_of("clock", normal=None, others=AGES_S)
    unsteady_s = odd.one_of("clock", normal=None, others=AGES_S)
    state = RolloutState(
        id=ID,
        started_at=builders.START,
        paused=abort is None and odd.one_of("person", normal=False, others=[True]),
        pause_step=odd.one_of("person", normal=None, others=[index]),
        step_index=index,
        passed_weight=before,
        step_started_at=_ago(started_s) if asked == target and started_s is not None else None,
        unready_since=_ago(unready_s) if abort is None and unready_s is not None else None,
        unsteady_since=None if unsteady_s is None else _ago(unsteady_s),
        abort=abort,
        lowered_at=_ago(lowered_s) if is_lowered else None,
        promote_asked=odd.one_of("person", normal=False, others=[True]),
        per_try_timeout_seconds=odd.pick([None, 2.0]),
    )
    return state, asked


def _workload(odd: Odd, name: str, *, replicas: int, number: int) -> Workload:
    """Pods of a revision: some serve, others may have some trouble."""
    aspect = "stable pods" if name == OLD else "candidate pods"
    ready_count = odd.one_of(aspect, normal=replicas, others=range(replicas))
    pods = [
        builders.pod(f"{name}-{i}", revision=name, host=f"10.{number}.0.{i}")
        for i in range(replicas)
    ]
    for index in range(ready_count, replicas):
        lost = {"is_ready": False, "ready_since_s": None, **odd.pick(TROUBLES)}
        pods[index] = replace(pods[index], **lost)
    return builders.workload(name, pods=pods, replicas=replicas)


def _routing(odd: Odd, stable: Workload, candidate: Workload, *, weights: list[int]) -> Routing:
    """What routers were asked for lately, and whether they do it."""
    applied = builders.traffic(
        stable=builders.backend(OLD, endpoints=stable.endpoints),
        candidate=builders.backend(NEW, endpoints=candidate.endpoints),
        weight_percent=odd.one_of("routers", normal=weights[0], others=weights[1:]),
    )
    unconfirmed = odd.one_of("routers", normal=(), others=[("router-a",), ("router-a", "router-b")])
    is_restarted = odd.one_of("routers", normal=False, others=[True])
    return builders.routing(
        applied=None if is_restarted else applied,
        unconfirmed=("router-a", "router-b") if is_restarted else unconfirmed,
        is_verified=not unconfirmed and not is_restarted,
        lost=odd.one_of("routers", normal=(), others=[("router-a",), ("router-a", "router-b")]),
    )


def _guard(odd: Odd) -> GuardView | None:
    states = odd.one_of("verdicts", normal=VERDICTS[0], others=VERDICTS[1:])
    stable_bad_count = odd.one_of("verdicts", normal=1, others=[500])
    view = builders.guard(
        odd.one_of("guard", normal=ID, others=["another"]),
        *(
            builders.verdict(gate, state, stable_bad_count=stable_bad_count)
            for gate, state in zip(("errors", "refusals"), states, strict=False)
        ),
        is_shedding=odd.one_of("verdicts", normal=False, others=[True]),
        stable_latency_s_p999=odd.pick([None, 0.01, 2.0]),
    )
    found: GuardView | None = odd.one_of("guard", normal=view, others=[None])
    return found


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """Any look at a deployment whose candidate is on its way, or on its way back."""
    odd = Odd(draw)
    strategy, replicas = odd.pick(STRATEGIES), odd.pick(range(1, 5))
    steps = _steps(odd, strategy, replicas=replicas)
    state, asked = _rollout(odd, steps)
    target = next((step[0] for step in steps if step[0] > state.passed_weight), 100)
    verb = odd.one_of("person", normal=None, others=["promote", "pause", "resume", "abort"])
    wanted = builders.spec(
        odd.one_of("specification", normal="2", others=["1", "3"]),
        steps=odd.one_of("specification", normal=steps or PLANS[0], others=PLANS),
        strategy=odd.one_of("specification", normal=strategy, others=STRATEGIES),
        replicas=replicas,
        insufficient=odd.pick(INSUFFICIENT),
    )
    status = ModelDeploymentStatus(
        observed_generation=2,
        phase="RollingOut",
        stable=OLD,
        candidate=NEW,
        weight=Weight(asked=asked, verified=asked),
        rollout=state,
    )
    command = None if verb is None else f"{verb}@{NEW}#1"
    candidate_pods = odd.pick([pods_for(target, replicas), replicas])
    stable = _workload(odd, OLD, replicas=replicas, number=1)
    candidate = _workload(odd, NEW, replicas=candidate_pods, number=2)
    weights = [asked, 0, state.passed_weight]
    return builders.observation(
        builders.deployment(wanted, status=status, generation=3, command=command),
        pool=odd.one_of("surroundings", normal=ComputePool(), others=[None]),
        records=odd.one_of("surroundings", normal=RECORDS, others=[RECORDS[:1], RECORDS[1:]]),
        workloads=odd.one_of(
            "surroundings", normal=(stable, candidate), others=[(stable,), (candidate,)]
        ),
        routing=_routing(odd, stable, candidate, weights=weights),
        guard=_guard(odd),
    )


@settings(max_examples=300, deadline=None)
@given(observations())
def test_every_decision_obeys_the_laws(seen: Observation) -> None:
    decision = decide(seen, NOW)

    laws.check(seen, decision, NOW)
    laws.status_keeps_its_bounds(decision.status)
    assert decide(seen, NOW) == decision
