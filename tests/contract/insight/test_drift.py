"""The stability index, as promtool's Prometheus computes it from counts that are known."""

import math
from pathlib import Path

import pytest
import yaml

from sandbox import promql
from tests.contract.insight.test_alerts import promtool

pytestmark = pytest.mark.contract


def index(live: dict[str, float], reference: dict[str, float]) -> float:
    """By its definition; no share is taken for less than 0.0001."""
    found = 0.0
    for name in {**live, **reference}:
        p, q = (
            max(counts.get(name, 0) / sum(counts.values()), 1e-4) for counts in (live, reference)
        )
        found += (p - q) * math.log(p / q)
    return found


@pytest.mark.parametrize(
    ("live", "reference"),
    [
        ({"a": 50, "b": 50}, {"a": 500, "b": 500}),
        ({"a": 30, "b": 70}, {"a": 500, "b": 500}),
        ({"a": 100, "b": 0}, {"a": 1, "b": 1}),
        ({"a": 3}, {"a": 5, "b": 5}),
        ({"a": 3, "c": 1}, {"a": 5, "b": 5}),
    ],
)
def test_the_index_says_how_far_two_distributions_are_apart(
    tmp_path: Path, live: dict[str, float], reference: dict[str, float]
) -> None:
    series = [
        {"series": f'{metric}{{feature="age", bin="{name}"}}', "values": str(count)}
        for metric, counts in (("live", live), ("reference", reference))
        for name, count in counts.items()
    ]
    labels = "feature, bin"
    expression = promql.psi(
        f"sum by ({labels}) (live)",
        f"sum by ({labels}) (reference)",
        of="feature",
        bins="bin",
    )
    case = {
        "expr": f"round(100000 * {expression})",
        "eval_time": "0s",
        "exp_samples": [
            {"labels": '{feature="age"}', "value": round(100_000 * index(live, reference))},
        ],
    }
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [case]}]
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump({"tests": tests}), encoding="utf-8")

    tried = promtool("test", "rules", file)

    assert tried.returncode == 0, tried.stdout + tried.stderr
