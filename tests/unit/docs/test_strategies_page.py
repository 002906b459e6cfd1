"""The page of strategies: its drawings are those of the plugin, and it leaves no strategy out."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sandbox import strategies_page
from slipway_api.strategy import Strategy
from slipway_plugin import plan

TOP: Final = Path(__file__).resolve().parents[3]
SAMPLES: Final = TOP / "manifests" / "samples"


def page() -> str:
    return (TOP / strategies_page.PAGE).read_text(encoding="utf-8")


def shown() -> list[str]:
    return re.findall(r"<!-- sample: (\S+) -->", page())


def manifest(name: str) -> Any:
    return yaml.safe_load((SAMPLES / name).read_text(encoding="utf-8"))


def test_drawings_and_excerpts_are_fresh() -> None:
    assert strategies_page.text(TOP) == page(), "run ./dev generate"


def test_every_strategy_has_a_sample_that_is_shown() -> None:
    fields = {str(field.alias) for field in Strategy.model_fields.values()}

    written = {field for name in shown() for field in manifest(name)["spec"]["strategy"]}

    assert written == fields


def test_every_sample_that_names_a_strategy_is_shown_once() -> None:
    named = [
        path.name
        for path in SAMPLES.glob("*.yaml")
        if "strategy" in manifest(path.name).get("spec", {})
    ]

    assert sorted(shown()) == sorted(named)


@pytest.mark.parametrize("name", shown())
def test_every_sample_has_a_plan(name: str) -> None:
    found = plan.compile_manifest(manifest(name), rate=100.0)

    assert found.name == manifest(name)["spec"]["model"]["name"]
    assert found.steps or found.strategy == "direct"
