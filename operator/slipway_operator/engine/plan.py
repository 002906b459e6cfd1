"""Plans: what a strategy compiles to. One step language, one engine that runs it.

A step of a plan holds the whole setting that is in effect while it runs, whatever the step of the
user left unsaid: so any step can be begun without knowing those before it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from slipway_api.base import duration_s
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_api.status import Chosen, RolloutState
from slipway_api.steps import Match as WantedMatch
from slipway_api.steps import RolloutStep
from slipway_api.strategy import ABTest, BlueGreen, Canary, FeatureFlag, Shadow, Strategy
from slipway_operator.engine.traffic import Match

PROBATION_S_AFTER_SWITCH: Final = 300.0  # of blueGreen, if nothing is said


@dataclass(frozen=True, slots=True)
class Setting:
    """What routers and pods are to do during a step.

    `weight_percent` and `mirror_percent` are shares of live traffic, `match` are requests that the
    candidate gets besides. `pods` is how many of them it has at least.
    """

    weight_percent: int
    mirror_percent: int = 0
    match: tuple[Match, ...] = ()
    pods: int = 1

    @property
    def name(self) -> str:
        """Name what routers are asked for, in the status; pods are no part of it."""
        asked = (self.weight_percent, self.mirror_percent, self.match)
        return hashlib.sha256(repr(asked).encode()).hexdigest()[:10]

    @property
    def opens(self) -> str:
        """Name what it opens besides weight; empty: nothing."""
        return self.name if self.mirror_percent or self.match else ""

    @property
    def is_measured(self) -> bool:
        """Whether routers send the candidate anything by which they could judge it."""
        return bool(self.weight_percent or self.mirror_percent or self.match)


CLOSED: Final = Setting(0, pods=0)  # nothing for the candidate


@dataclass(frozen=True, slots=True)
class PlanStep:
    """Bring `setting` about, hold it for `hold_s`, wait for gates, then ask a person if `pause`.

    `needs_proof`: it is not left before every gate has passed; otherwise none that failed suffices.
    `is_probation`: the candidate has everything, and stable waits with all its pods.
    """

    setting: Setting
    hold_s: float = 0.0
    pause: bool = False
    needs_proof: bool = True
    is_probation: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, for so many pods.

    After the last one the candidate gets everything and becomes stable (`ends` promote), or it has
    been seen enough and goes (stop).
    """

    steps: tuple[PlanStep, ...]
    replicas: int = 1
    ends: Literal["promote", "stop"] = "promote"

    def setting(self, index: int) -> Setting:
        """Tell the setting of a step; after the last the candidate has everything."""
        if index < len(self.steps):
            return self.steps[index].setting
        return self.whole if self.ends == "promote" else self.steps[-1].setting

    @property
    def whole(self) -> Setting:
        """Everything for the candidate."""
        return Setting(100, pods=self.replicas)

    @property
    def gives_weight(self) -> bool:
        """Whether every step does."""
        return all(step.setting.weight_percent for step in self.steps)

    def index_above(self, weight_percent: int) -> int:
        """Find where to go on after an edit, once this weight has been passed.

        The first step that gives more, in a plan whose steps all give weight. Any other begins
        anew: what it shows before the first weight was never seen.

        >>> plan = Plan(tuple(PlanStep(Setting(weight)) for weight in (5, 50)))
        >>> [plan.index_above(weight) for weight in (0, 5, 49, 50)]
        [0, 1, 1, 2]
        """
        if not self.gives_weight:
            return 0
        return sum(step.setting.weight_percent <= weight_percent for step in self.steps)

    def way_to(self, index: int) -> str:
        """Name what is asked of routers up to a step: as long as it stays, no edit matters."""
        names = "".join(step.setting.name for step in self.steps[: index + 1])
        return hashlib.sha256(f"{index}{names}".encode()).hexdigest()[:10]

    def find(self, rollout: RolloutState, asked_percent: int) -> int:
        """Find the step of a rollout in this plan, which may have been edited since.

        It stays where the way up to it is the same. Else it goes on at the first step that asks
        what every router was seen to do already, else above the weight that was passed.
        """
        if rollout.way == self.way_to(rollout.step_index):
            return rollout.step_index
        if rollout.step_started_at is not None:
            for index, step in enumerate(self.steps):
                has_weight = step.setting.weight_percent == asked_percent
                if has_weight and step.setting.opens == rollout.opened:
                    return index
        return self.index_above(rollout.passed_weight)

    def opened(self, rollout: RolloutState) -> Setting:
        """Tell which mirror and match the status, as it stands, asks of the routers.

        Weights are no part of it: they stand in the status themselves. What an edit took out of
        the plan is closed.
        """
        if rollout.abort is not None:
            return CLOSED
        settings = (step.setting for step in self.steps)
        return next((one for one in settings if one.opens == rollout.opened != ""), CLOSED)


def compile_strategy(strategy: Strategy, replicas: int) -> Plan:
    """Turn a strategy into a plan for so many pods.

    >>> from slipway_api.strategy import BlueGreen, Rolling
    >>> plan = compile_strategy(Strategy(rolling=Rolling()), 4)
    >>> [step.setting.weight_percent for step in plan.steps]
    [25, 50, 75]
    >>> plan = compile_strategy(Strategy(blue_green=BlueGreen()), 4)
    >>> [(step.setting.weight_percent, step.setting.pods, step.hold_s) for step in plan.steps]
    [(0, 4, 0.0), (100, 4, 300.0)]
    """
    steps = tuple(_steps(strategy, replicas))
    shadow = strategy.shadow
    if shadow is not None and shadow.canary is None:
        return Plan(steps, replicas, ends="stop")
    return Plan((*steps, *_probation(strategy, replicas)), replicas)


def _steps(strategy: Strategy, replicas: int) -> Iterable[PlanStep]:
    if strategy.canary is not None:
        return _canary(strategy.canary, replicas)
    if strategy.blue_green is not None:
        return _blue_green(strategy.blue_green, replicas)
    if strategy.shadow is not None:
        return _shadow(strategy.shadow, replicas)
    if strategy.ab_test is not None:
        return _ab_test(strategy.ab_test, replicas)
    if strategy.feature_flag is not None:
        return _feature_flag(strategy.feature_flag, replicas)
    if strategy.steps is not None:
        return _own(strategy.steps, replicas)
    return _rolling(replicas) if strategy.rolling is not None else ()


def _probation(strategy: Strategy, replicas: int) -> tuple[PlanStep, ...]:
    """The last step: everything for the candidate while stable waits.

    It is part of a switch that nothing was measured before, so it asks for proof there.
    """
    is_switch = strategy.blue_green is not None
    default_s = PROBATION_S_AFTER_SWITCH if is_switch else 0.0
    hold_s = default_s if strategy.probation is None else duration_s(strategy.probation)
    if not hold_s and not is_switch:
        return ()
    whole = Setting(100, pods=replicas)
    return (PlanStep(whole, hold_s, needs_proof=is_switch, is_probation=True),)


def _canary(canary: Canary, replicas: int) -> Iterable[PlanStep]:
    for step in canary.steps:
        setting = Setting(step.weight, pods=pods_for(step.weight, replicas))
        yield PlanStep(setting, duration_s(step.hold), step.pause)


def _blue_green(wanted: BlueGreen, replicas: int) -> Iterable[PlanStep]:
    setting = Setting(0, wanted.mirror, pods=replicas)
    yield PlanStep(setting, duration_s(wanted.hold), wanted.pause)


def _shadow(wanted: Shadow, replicas: int) -> Iterable[PlanStep]:
    setting = Setting(0, wanted.mirror, pods=pods_for(wanted.mirror, replicas))
    yield PlanStep(setting, duration_s(wanted.hold))
    if wanted.canary is not None:
        yield from _canary(wanted.canary, replicas)


def _ab_test(wanted: ABTest, replicas: int) -> Iterable[PlanStep]:
    setting = Setting(wanted.weight, pods=pods_for(wanted.weight, replicas))
    yield PlanStep(setting, duration_s(wanted.hold), pause=wanted.then == "pause")


def _feature_flag(wanted: FeatureFlag, replicas: int) -> Iterable[PlanStep]:
    """A person has seen it by then: marked requests may be too few to prove anything."""
    yield PlanStep(Setting(0, match=_matches(wanted.match)), pause=True, needs_proof=False)
    if wanted.canary is not None:
        yield from _canary(wanted.canary, replicas)


def _own(wanted: Sequence[RolloutStep], replicas: int) -> Iterable[PlanStep]:
    """Steps as written; each inherits what it does not name."""
    before, scale = CLOSED, 0
    for step in wanted:
        named = replace(
            before,
            weight_percent=before.weight_percent if step.weight is None else step.weight,
            mirror_percent=before.mirror_percent if step.mirror is None else step.mirror,
            match=before.match if step.match is None else _matches(step.match),
        )
        scale = scale if step.scale is None else _scale(step.scale, replicas)
        share = max(named.weight_percent, named.mirror_percent)
        before = replace(named, pods=max(scale, pods_for(share, replicas)))
        hold_s = duration_s(step.hold or "0s")
        yield PlanStep(before, hold_s, step.approve, needs_proof=step.gate)


def _scale(wanted: int | str, replicas: int) -> int:
    if isinstance(wanted, str):
        return pods_for(int(wanted.removesuffix("%")), replicas)
    return wanted


def _matches(wanted: Iterable[WantedMatch]) -> tuple[Match, ...]:
    return tuple(
        Match("header", match.header, match.value)
        if match.header is not None
        else Match("cookie", match.cookie or "", match.value)
        for match in wanted
    )


def _rolling(replicas: int) -> Iterable[PlanStep]:
    """One step for each pod but the last; above 100 pods one for each percent."""
    for weight in sorted({weight_for(pods, replicas) for pods in range(1, replicas)} - {0}):
        setting = Setting(weight, pods=pods_for(weight, replicas))
        yield PlanStep(setting, needs_proof=False)


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
