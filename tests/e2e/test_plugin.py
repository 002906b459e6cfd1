"""`kubectl slipway` as a person and a pipeline use it: looks, steers, waits, goes back."""

import json
from typing import Any

import pytest

from bench.scene import STARTED_S, Scene, Target, manifest

pytestmark = pytest.mark.e2e

TARGET = Target("e2e", "plugged")
UNPROVEN = {"insufficient": {"after": "0s", "then": "promote"}}
STEPS = [{"weight": 20, "hold": "2s"}, {"weight": 50, "pause": True}]
LONG = f"--timeout={STARTED_S:.0f}s"


@pytest.fixture(scope="module", autouse=True)
def deployment(scene: Scene):
    change(scene, "1")
    assert slipway(scene, "wait", LONG)[0] == 0
    yield
    scene.delete(TARGET)


def slipway(scene: Scene, verb: str, *options: str) -> tuple[int, str]:
    """Run a verb through kubectl; its exit code and everything that it said."""
    done = scene.run("kubectl", "slipway", verb, TARGET.name, "-n", TARGET.namespace, *options)
    return done.returncode, done.stdout + done.stderr


def look(scene: Scene, verb: str = "status") -> Any:
    return json.loads(slipway(scene, verb, "--output=json")[1])


def change(scene: Scene, version: str) -> str:
    """Apply a version; the option that waits for it."""
    scene.apply(manifest(TARGET, version=version, steps=STEPS, analysis=UNPROVEN))
    found = scene.read("md", TARGET.name, f"--namespace={TARGET.namespace}")
    return f"--generation={found['metadata']['generation']}"


def test_a_change_is_awaited_promoted_and_undone(scene: Scene) -> None:
    first = look(scene)["revisions"][0]["name"]
    generation = change(scene, "2")

    early = slipway(scene, "wait", generation, "--timeout=0.2s")
    paused = slipway(scene, "wait", generation, LONG)
    asked_for = slipway(scene, "wait", generation, "--for=paused", LONG)
    code, screen = slipway(scene, "status")
    promoted = slipway(scene, "promote")
    served = slipway(scene, "wait", generation, LONG)

    assert early[0] == 3, early
    assert paused[0] == 4, paused
    assert asked_for[0] == 0, asked_for
    assert (code, "Paused" in screen, "step 2/2" in screen) == (4, True, True), screen
    assert "(2) over" in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert (promoted[0], served[0]) == (0, 0), (promoted, served)

    undone = slipway(scene, "undo")
    again = slipway(scene, "wait", LONG)
    assert (undone[0], again[0]) == (0, 4), (undone, again)
    assert slipway(scene, "promote")[0] == 0
    assert slipway(scene, "wait", LONG)[0] == 0

    seen = look(scene)
    assert [(side["name"], side["model"]["version"]) for side in seen["revisions"]] == [
        (first, "1")
    ]
    assert scene.ask(TARGET.host).revision == first  # the very revision, from what was kept
    outcomes = [past["outcome"] for past in look(scene, "history")["rollouts"]]
    assert outcomes == ["Promoted", "Promoted"]


def test_an_abort_is_told_by_code_screen_and_explanation_and_can_be_retried(scene: Scene) -> None:
    generation = change(scene, "3")
    assert slipway(scene, "wait", generation, LONG)[0] == 4

    aborted = slipway(scene, "abort")
    ended = slipway(scene, "wait", generation, LONG)
    refused = slipway(scene, "abort")
    code, said = slipway(scene, "explain")

    assert aborted[0] == 0, aborted
    assert (ended[0], "AbortedByUser" in ended[1]) == (2, True), ended
    assert (refused[0], "nothing to abort" in refused[1]) == (1, True), refused
    assert (code, "AbortedByUser" in said) == (2, True), said
    assert f"kubectl slipway retry {TARGET.name} -n {TARGET.namespace}" in said

    retried = slipway(scene, "retry")
    assert (retried[0], slipway(scene, "wait", LONG)[0]) == (0, 4), retried
    superseded = change(scene, "4")
    assert slipway(scene, "wait", generation, LONG)[0] == 5
    undone = slipway(scene, "undo")
    assert undone[0] == 0, undone
    assert slipway(scene, "wait", superseded, LONG)[0] == 5
    assert slipway(scene, "wait", LONG)[0] == 0
