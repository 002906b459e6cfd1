"""The alerts of the chart, tried by promtool: each fires when it should, and only then."""

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sandbox import places, toolchain
from sandbox.progress import silent

pytestmark = pytest.mark.contract

RULES: Final = places.checkout() / "charts" / "slipway" / "files" / "alerts.yaml"
CASES: Final = Path(__file__).with_name("alerts_test.yaml")
TIMEOUT_S: Final = 30


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = toolchain.ensure("promtool", log=silent)
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def cases() -> Any:
    return yaml.safe_load(CASES.read_text(encoding="utf-8"))


def alerts() -> list[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(cases() | {"rule_files": [str(RULES)]}), encoding="utf-8")

    tried = promtool("test", "rules", file)

    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    tried = [case for test in cases()["tests"] for case in test["alert_rule_test"]]

    assert {case["alertname"] for case in tried if case["exp_alerts"]} == set(alerts())
    assert {case["alertname"] for case in tried if not case["exp_alerts"]} == set(alerts())
