"""plan: the plugin's arithmetic is the engine's."""

from typing import Any

import pytest

from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan as engine
from slipway_plugin import plan
from slipway_plugin.exits import PluginError

CANARY = {"canary": {"steps": [{"weight": 5, "hold": "90s"}, {"weight": 40, "pause": True}]}}


def manifest(strategy: Any = None, *, replicas: int = 3, **spec: Any) -> dict[str, Any]:
    body = {"model": {"name": "churn", "version": "1", "uri": "s3://models/churn/1"}, **spec}
    body |= {"compute": {"replicas": replicas}} | ({"strategy": strategy} if strategy else {})
    return {"kind": "ModelDeployment", "metadata": {"name": "churn"}, "spec": body}


@pytest.mark.parametrize("replicas", [1, 3, 7])
@pytest.mark.parametrize("strategy", [None, CANARY, {"rolling": {}}, {"direct": {}}])
def test_steps_are_those_that_the_engine_would_run(strategy: Any, replicas: int) -> None:
    wanted = manifest(strategy, replicas=replicas)
    spec = ModelDeploymentSpec.model_validate(wanted["spec"])

    steps = plan.compile_manifest(wanted, rate=None).steps
    expected = engine.compile_strategy(spec.strategy, replicas).steps

    assert [(s.weight_percent, s.hold_s, s.asks_person, s.needs_proof) for s in steps] == [
        (s.setting.weight_percent, s.hold_s, s.pause, s.needs_proof) for s in expected
    ]
    assert [s.pods for s in steps] == [s.setting.pods for s in expected]


def test_times_are_holds_or_measuring_whichever_is_longer() -> None:
    found = plan.compile_manifest(manifest(CANARY), rate=200.0)

    assert [step.lasts_s for step in found.steps] == pytest.approx([124.0, 15.5])
    assert found.lasts_s == pytest.approx(139.5)


def test_a_plan_fits_eighty_columns_and_says_who_is_asked() -> None:
    metrics = [{"name": "latency-p99", "maxIncrease": "20%"}, {"name": "error-rate", "max": "1%"}]
    found = plan.compile_manifest(
        manifest(CANARY, analysis={"metrics": metrics}, traffic={}), rate=200.0
    )

    lines = [line.text for line in plan.screen(found, width=80)]

    assert max(map(len, lines)) <= 80
    assert (
        "2     40 %    2 pods     –      ~16s       2m20s       a person says go on"
        in "\n".join(lines)
    )
    assert "latency-p99: maxIncrease 20%" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("strategy", "complaint"),
    [
        ({"canary": {"steps": [{"weight": 0}]}}, r"steps\[0\].weight is 0"),
        ({"canary": {"steps": [{"weight": 5, "hold": "soon"}]}}, r"steps\[0\].hold is 'soon'"),
        ({"rolling": {}, "direct": {}}, "name exactly one"),
    ],
)
def test_a_senseless_strategy_is_an_error_with_its_field(strategy: Any, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        plan.compile_manifest(manifest(strategy), rate=None)
