"""plan: the plugin's arithmetic is the engine's."""

from typing import Any, Final

import pytest

from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan as engine
from slipway_operator.engine.budget import Budget
from slipway_operator.engine.judgement import Counts
from slipway_plugin import drawing, plan, strategy
from slipway_plugin.exits import PluginError
from slipway_plugin.plan import Plan
from tests.samples import strategies
from tests.samples.contract_objects import REFUSED

CANARY: Final = {"canary": {"steps": [{"weight": 5, "hold": "90s"}, {"weight": 40, "pause": True}]}}
ALL: Final[dict[str, Any]] = {"absent": None, **strategies.WRITTEN}


def manifest(wanted: Any = None, *, replicas: int = 3, **spec: Any) -> dict[str, Any]:
    body = {"model": {"name": "churn", "version": "1", "uri": "s3://models/churn/1"}, **spec}
    body |= {"compute": {"replicas": replicas}} | ({"strategy": wanted} if wanted else {})
    body = {"traffic": strategies.STICKY} | body
    return {"kind": "ModelDeployment", "metadata": {"name": "churn"}, "spec": body}


def of(wanted: Any = None, *, rate: float | None = None, **more: Any) -> Plan:
    return plan.compile_manifest(manifest(wanted, **more), rate=rate)


def text_of(shown: Plan, *, width: int = 80) -> str:
    return "\n".join(line.text for line in drawing.screen(shown, width=width))


def drawn(shown: Plan, *, width: int = 80) -> list[str]:
    return [line.text for line in drawing.picture(shown, width=width)]


@pytest.mark.parametrize("replicas", [1, 3, 4, 7, 150])
@pytest.mark.parametrize("name", ALL)
def test_a_plan_is_the_one_that_the_engine_would_run(name: str, replicas: int) -> None:
    wanted = manifest(ALL[name], replicas=replicas, analysis={"maxBadAnswers": 7 * replicas})
    spec = ModelDeploymentSpec.model_validate(wanted["spec"])

    found = plan.compile_manifest(wanted, rate=None)
    expected = engine.compile_strategy(spec.strategy, replicas)

    assert found.ends == expected.ends
    assert found.bad_answers_max == spec.analysis.max_bad_answers
    assert list(found.steps) == [
        strategy.Step(
            weight_percent=step.setting.weight_percent,
            mirror_percent=step.setting.mirror_percent,
            match=tuple(
                strategy.Match(each.kind, each.name, each.value) for each in step.setting.match
            ),
            pods=step.setting.pods,
            hold_s=step.hold_s,
            asks_person=step.pause,
            needs_proof=step.needs_proof,
            is_probation=step.is_probation,
        )
        for step in expected.steps
    ]
    assert [strategy.is_measured(step) for step in found.steps] == [
        step.setting.is_measured for step in expected.steps
    ]


def test_times_are_holds_or_measuring_whichever_is_longer() -> None:
    found = of(CANARY, rate=200.0)

    assert [found.lasts_s(step) for step in found.steps] == pytest.approx([124.0, 15.5])
    assert found.least_s == pytest.approx(139.5)


def test_copies_of_requests_are_measured_too_and_nothing_is_without_requests() -> None:
    shadow, quiet = of({"shadow": {}}, rate=200.0), of({"blueGreen": {}}, rate=200.0)

    assert shadow.measured_s(shadow.steps[0]) == pytest.approx(62.0)
    assert quiet.measured_s(quiet.steps[0]) is None
    assert "queries" not in text_of(quiet)
    asked = of({"blueGreen": {}}, analysis={"alerts": [{"name": "Odd"}]})
    assert "1     0 %     3     –     queries" in text_of(asked)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("replicas", [1, 4, 1000])
def test_everything_fits_eighty_columns(name: str, replicas: int) -> None:
    budget = {"maxBadAnswers": 1_000_000_000}
    found = of(ALL[name], rate=200.0, replicas=replicas, analysis=budget)

    lines = [*text_of(found).splitlines(), *drawn(found)]

    assert [line for line in lines if len(line) > 80] == []
    assert not any("…" in line for line in drawn(found))


def test_a_plan_says_who_is_asked_and_what_is_measured() -> None:
    metrics = [{"name": "latency-p99", "maxIncrease": "20%"}, {"name": "error-rate", "max": "1%"}]

    text = text_of(of(CANARY, rate=200.0, analysis={"metrics": metrics}))

    assert "2     40 %    2     –      ~16s       2m20s       asks a person" in text
    assert "latency-p99: maxIncrease 20%" in " ".join(text.split())


def test_a_budget_is_a_gate_of_every_step() -> None:
    """It ends the rollout with the bad answer that spends it, as the engine's does."""
    limited = of(CANARY, analysis={"maxBadAnswers": 50})
    budget = Budget(limited.bad_answers_max)
    budget.add(Counts(900, 49, 0, 0), Counts(900, 0, 0, 0))
    before = budget.is_spent
    budget.add(Counts(1, 0, 0, 0), Counts(1, 1, 0, 0))

    assert (before, budget.is_spent) == (False, True)
    assert "budget: bad answer 50 ends the rollout" in " ".join(text_of(limited).split())
    (row,) = (line for line in drawn(limited) if line.startswith("budget"))
    assert row.startswith("budget   under 50 bad answers┈")
    assert len(row) < drawn(limited)[-1].index("promoted")
    written = plan.written(limited)
    assert written["maxBadAnswers"] == 50
    assert "budget: bad answer 50 ends the rollout" in written["gates"]


@pytest.mark.parametrize("analysis", [{}, {"maxBadAnswers": None}])
def test_a_plan_without_a_budget_names_none(analysis: dict[str, Any]) -> None:
    unlimited = of(CANARY, analysis=analysis)

    assert "budget" not in "\n".join([text_of(unlimited), *drawn(unlimited)])
    assert plan.written(unlimited)["maxBadAnswers"] is None


def test_a_senseless_budget_is_an_error_with_its_field() -> None:
    complaint = "spec.analysis.maxBadAnswers is 0: write a whole number from 1 to 1000000000"
    with pytest.raises(PluginError, match=complaint):
        of(CANARY, analysis={"maxBadAnswers": 0})


def test_a_plan_says_how_it_ends() -> None:
    assert "end   100 %   3     –     –          0s          promoted, stable" in text_of(
        of({"rolling": {}})
    )
    shadow = text_of(of({"shadow": {}}))
    assert "0s" not in shadow
    assert "end   0 %     –       0     –     –          10m         shadow ends here" in shadow
    probation = text_of(of({"direct": {}, "probation": "10m"}))
    assert "1     100 %   3     10m   –          10m         stable is kept" in probation


def test_a_plan_says_which_requests_go_to_the_candidate() -> None:
    match = [strategies.BETA, {"cookie": "beta", "value": "1"}]

    text = " ".join(text_of(of({"featureFlag": {"match": match}})).split())

    assert "step 1: requests with header x-beta: yes or cookie beta: 1 go to the" in text


def test_a_drawing_has_bars_for_weight_and_dots_for_copies() -> None:
    lines = drawn(of({"shadow": {"canary": {"steps": [{"weight": 50, "pause": True}]}}}))

    bars = [line for line in lines if set(line) <= set(" ▁▂▃▄▅▆▇█")]
    where = next(line for line in lines if line.startswith("weight"))
    assert [bars[0].index("█"), bars[-1].index("█")] == [where.index("100 %"), where.index("50 %")]
    dots = next(line for line in lines if line.startswith("mirror"))
    assert dots.endswith("┈")
    assert len(dots) < where.index("50 %")
    assert "gates+person" in "".join(lines)


def test_a_plan_for_programs_has_every_setting() -> None:
    written = plan.written(of({"shadow": {"mirror": 30}}, rate=100.0))

    assert (written["strategy"], written["ends"]) == ("shadow", "stop")
    (step,) = written["steps"]
    assert (step["weight"], step["mirror"], step["probation"]) == (0, 30, False)
    (flagged,) = plan.written(of(strategies.WRITTEN["feature flag"]))["steps"]
    assert flagged["match"] == [strategies.BETA]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"canary": {"steps": [{"weight": 0}]}}, r"steps\[0\].weight is 0: write a whole number"),
        ({"canary": {"steps": [{"weight": 5, "hold": "soon"}]}}, r"steps\[0\].hold is 'soon'"),
        ({"canary": {"steps": []}}, r"canary.steps is \[\]: write a list of 1 to 20"),
        ({"canary": {"steps": [{"wieght": 5}]}}, r"steps\[0\].wieght is no field: write one of"),
        ({"blue-green": {}}, "spec.strategy.blue-green is no field: write one of canary"),
        ({"rolling": {}, "direct": {}}, "names rolling and direct: name exactly one"),
        ({"rolling": {"steps": 3}}, "rolling.steps is no field: write {}"),
        ({"abTest": {}}, "abTest.hold is missing: write a duration"),
        ({"abTest": {"hold": "1h", "then": "stop"}}, "then is 'stop': write promote or pause"),
        ({"shadow": {"mirror": 0}}, "shadow.mirror is 0: write a whole number from 1 to 100"),
        ({"steps": [{"scale": "half"}]}, r"steps\[0\].scale is 'half': .* e.g. 2 or 50%"),
        ({"featureFlag": {"match": [{"value": "1"}]}}, r"match\[0\]: write a header or a cookie"),
        ({"steps": [{"gate": "yes"}]}, r"steps\[0\].gate is 'yes': write true or false"),
    ],
)
def test_a_senseless_strategy_is_an_error_with_its_field(wanted: Any, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        of(wanted)


@pytest.mark.parametrize(
    "refused", [each for each in REFUSED if each.path == "spec.strategy"], ids=str
)
def test_what_the_api_server_refuses_has_no_plan(refused: Any) -> None:
    wanted = manifest(traffic={})
    wanted["spec"]["strategy"] = refused.value

    with pytest.raises(PluginError, match=r"^spec\."):
        plan.compile_manifest(wanted, rate=None)
