"""Plans: what each strategy compiles to, as literals."""

from typing import Any

import pytest

from slipway_api.status import RolloutState
from slipway_api.strategy import Strategy
from slipway_operator.engine import plan
from slipway_operator.engine.plan import Plan, PlanStep, Setting
from slipway_operator.engine.traffic import Match
from tests import builders
from tests.samples import strategies

BETA = Match("header", "x-beta", "yes")


def compiled(strategy: dict[str, Any], *, replicas: int = 4) -> Plan:
    return plan.compile_strategy(Strategy.model_validate(strategy), replicas)


def rollout(**fields: Any) -> RolloutState:
    return RolloutState.model_validate({"id": "r", "startedAt": builders.START} | fields)


PLANS: dict[str, tuple[PlanStep, ...]] = {
    "canary": (PlanStep(Setting(5), 60.0), PlanStep(Setting(50, pods=2), pause=True)),
    "canary with probation": (
        PlanStep(Setting(5)),
        PlanStep(Setting(100, pods=4), 600.0, needs_proof=False, is_probation=True),
    ),
    "blue-green": (
        PlanStep(Setting(0, 20, pods=4), 300.0, pause=True),
        PlanStep(Setting(100, pods=4), 3600.0, is_probation=True),
    ),
    "blue-green that keeps nothing": (
        PlanStep(Setting(0, pods=4)),
        PlanStep(Setting(100, pods=4), is_probation=True),
    ),
    "shadow": (PlanStep(Setting(0, 30, pods=2), 600.0),),
    "shadow, then canary": (PlanStep(Setting(0, 10), 60.0), PlanStep(Setting(50, pods=2))),
    "A/B test": (PlanStep(Setting(50, pods=2), 86400.0),),
    "champion and challenger": (PlanStep(Setting(10), 3600.0, pause=True),),
    "feature flag": (PlanStep(Setting(0, match=(BETA,)), pause=True, needs_proof=False),),
    "direct": (),
    "rolling": tuple(
        PlanStep(Setting(25 * pods, pods=pods), needs_proof=False) for pods in (1, 2, 3)
    ),
    # A step keeps what it does not name, and waits for nothing unasked.
    "steps": (
        PlanStep(Setting(0, pods=2), needs_proof=False),
        PlanStep(Setting(0, 10, (BETA,), pods=2), needs_proof=False),
        PlanStep(Setting(0, 10, (BETA,), pods=2), needs_proof=True),
        PlanStep(Setting(5, 0, (BETA,), pods=2), 60.0, needs_proof=False),
        PlanStep(Setting(60, pods=3), pause=True, needs_proof=False),
    ),
}


@pytest.mark.parametrize("name", strategies.WRITTEN)
def test_a_strategy_compiles_to_its_steps(name: str) -> None:
    assert PLANS[name] == compiled(strategies.WRITTEN[name]).steps


def test_more_pods_than_replicas_may_be_asked_for() -> None:
    (step,) = compiled({"steps": [{"scale": 6}]}, replicas=2).steps

    assert 6 == step.setting.pods


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        ({"shadow": {}}, "stop"),
        ({"shadow": {"canary": {"steps": [{"weight": 5}]}}}, "promote"),
        ({"featureFlag": {"match": [strategies.BETA]}}, "promote"),
    ],
)
def test_only_a_shadow_that_leads_to_nothing_ends_without_promotion(
    written: dict[str, Any], ends: str
) -> None:
    assert ends == compiled(written).ends


def test_a_shadow_never_gives_everything_even_behind_its_last_step() -> None:
    assert 0 == compiled({"shadow": {}}).setting(1).weight_percent


def test_an_edit_of_holds_and_of_what_comes_later_moves_nothing() -> None:
    before = compiled({"steps": [{"weight": 5}, {"hold": "2m"}, {"gate": True}, {"weight": 50}]})
    after = compiled({"steps": [{"weight": 5}, {"hold": "9m"}, {"gate": True}, {"weight": 60}]})
    at = rollout(stepIndex=2, way=before.way_to(2), passedWeight=5)

    assert 2 == after.find(at, 5)


def test_an_edit_that_inserts_steps_goes_on_where_the_same_is_asked() -> None:
    before = compiled({"canary": {"steps": [{"weight": 5}, {"weight": 25}]}})
    after = compiled({"canary": {"steps": [{"weight": 5}, {"weight": 10}, {"weight": 25}]}})
    at = rollout(stepIndex=1, way=before.way_to(1), passedWeight=5, stepStartedAt=builders.START)

    assert 2 == after.find(at, 25)


@pytest.mark.parametrize("asked", [0, 5])
def test_a_step_that_routers_have_not_shown_yet_is_not_gone_on_at(asked: int) -> None:
    before = compiled({"rolling": {}}, replicas=2)
    after = compiled({"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}})
    at = rollout(stepIndex=0, way=before.way_to(0))

    assert 0 == after.find(at, asked)


def test_an_edit_that_asks_for_other_weights_goes_on_above_what_was_passed() -> None:
    before = compiled({"canary": {"steps": [{"weight": 5}, {"weight": 25}]}})
    after = compiled({"canary": {"steps": [{"weight": 1}, {"weight": 4}, {"weight": 30}]}})
    at = rollout(stepIndex=1, way=before.way_to(1), passedWeight=5, stepStartedAt=builders.START)

    assert 2 == after.find(at, 25)


@pytest.mark.parametrize("strategy", [{"blueGreen": {}}, {"shadow": {}}])
def test_a_strategy_that_shows_something_before_any_weight_begins_anew(
    strategy: dict[str, Any],
) -> None:
    before = compiled({"canary": {"steps": [{"weight": 5}, {"weight": 25}]}})
    at = rollout(stepIndex=1, way=before.way_to(1), passedWeight=5, stepStartedAt=builders.START)

    assert 0 == compiled(strategy).find(at, 25)


def test_scaling_moves_no_rollout() -> None:
    before, after = (compiled({"blueGreen": {}}, replicas=count) for count in (2, 5))
    at = rollout(stepIndex=1, way=before.way_to(1))

    assert 1 == after.find(at, 0)


def test_what_an_edit_took_out_of_the_plan_is_closed() -> None:
    mirror = compiled({"shadow": {"mirror": 10}})
    at = rollout(opened=mirror.setting(0).opens)

    assert 10 == mirror.opened(at).mirror_percent
    assert plan.CLOSED == compiled({"shadow": {"mirror": 20}}).opened(at)


def test_an_abort_closes_everything() -> None:
    mirror = compiled({"shadow": {}})
    cause = {"reason": "Errors", "message": "", "at": builders.START}
    at = rollout(opened=mirror.setting(0).opens, abort=cause)

    assert plan.CLOSED == mirror.opened(at)
