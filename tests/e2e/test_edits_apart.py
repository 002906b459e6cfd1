"""Rows of docs/edits.md for which clients would notice: on a deployment that has none."""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from bench.scene import STARTED_S, Scene, Target, eventually, manifest
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

APART: Final = Target("e2e", "edited-apart")
SPACE: Final = f"--namespace={APART.namespace}"
STEPS: Final = [{"weight": 20}, {"weight": 50, "pause": True}]
# So much that no model answers within the limit.
LONG_QUESTION: Final = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 20_000], "data": [1.5] * 20_000}]}
)


@pytest.fixture(scope="module")
def apart(scene: Scene) -> Iterator[ModelDeploymentStatus]:
    """A deployment that nobody asks: its candidate stays at 20 %."""
    scene.apply(manifest(APART, steps=STEPS))
    scene.serves(APART)
    scene.apply(manifest(APART, version="2", steps=STEPS))
    yield scene.until(APART, lambda s: s.weight.verified == 20, what="20 %", timeout_s=STARTED_S)
    scene.delete(APART)


@pytest.mark.rows("timeouts")
def test_a_new_timeout_holds_at_once(scene: Scene, apart: ModelDeploymentStatus) -> None:
    before = scene.ask(APART.host, body=LONG_QUESTION)
    short = {"timeout": "1ms"}
    scene.apply(manifest(APART, version="2", steps=STEPS, traffic=short))

    eventually(lambda: scene.ask(APART.host, body=LONG_QUESTION).status == "504", what="too late")

    after = scene.status(APART)
    assert "200" == before.status
    assert (apart.candidate, 20) == (after.candidate, after.weight.verified)


@pytest.mark.rows("delete")
def test_what_is_deleted_mid_way_leaves_nothing(scene: Scene, apart: ModelDeploymentStatus) -> None:
    scene.delete(APART)

    def left() -> list[str]:
        kinds = "deployments,services,endpointslices,controllerrevisions,poddisruptionbudgets"
        found = scene.read(kinds, SPACE, f"--selector=slipway.dev/deployment={APART.name}")
        return [item["metadata"]["name"] for item in found["items"]]

    eventually(lambda: not left(), what="everything is collected", timeout_s=STARTED_S)
