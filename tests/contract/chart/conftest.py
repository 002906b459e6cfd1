"""The chart, rendered by the real Helm."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import places, toolchain
from sandbox.progress import silent

Object = dict[str, Any]
Render = Callable[..., str]

NAMESPACE = "slipway-system"
HELM_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def chart() -> Path:
    return places.checkout() / "charts" / "slipway"


@pytest.fixture(scope="session")
def helm() -> Path:
    return toolchain.ensure("helm3", log=silent)


@pytest.fixture(scope="session")
def render(chart: Path, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render the chart with values laid over its defaults; RuntimeError holds Helm's words."""
    folder = tmp_path_factory.mktemp("values")

    def rendered(values: Object | None = None) -> str:
        file = folder / "values.json"
        file.write_text(json.dumps(values or {}), encoding="utf-8")
        done = subprocess.run(
            [helm, "template", "slipway", chart, "--namespace", NAMESPACE, "--values", file],
            capture_output=True,
            text=True,
            check=False,
            timeout=HELM_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    return rendered


@pytest.fixture(scope="session")
def objects(render: Render) -> list[Object]:
    """What the chart makes with its defaults, hooks included."""
    return [each for each in yaml.safe_load_all(render()) if each is not None]


@pytest.fixture(scope="session")
def pods(objects: list[Object]) -> dict[str, Object]:
    """The specification of every pod, by kind and name of what makes it."""
    found = {}
    for each in objects:
        if each["kind"] == "Pod":
            found[f"Pod/{each['metadata']['name']}"] = each["spec"]
        elif "template" in each.get("spec", {}):
            found[f"{each['kind']}/{each['metadata']['name']}"] = each["spec"]["template"]["spec"]
    return found
