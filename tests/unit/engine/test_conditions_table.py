"""What conditions say in each state, and what kubectl wait, Helm, Flux and Argo CD make of it."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from slipway_api.conditions import VerdictState
from slipway_api.status import ModelDeploymentStatus
from tests import builders
from tests.unit.engine.worlds import World


def kstatus(generation: int, status: dict[str, Any]) -> str:
    """Compute what sigs.k8s.io/cli-utils (pkg/kstatus/status/generic.go) computes."""
    true = {c["type"]: c["status"] == "True" for c in status.get("conditions", ())}
    if "observedGeneration" in status and status["observedGeneration"] != generation:
        return "InProgress"
    if true.get("Reconciling"):
        return "InProgress"
    if true.get("Stalled"):
        return "Failed"
    return "Current" if true.get("Ready", True) else "InProgress"


def _serving() -> World:
    return World.serving()


def _not_yet_seen() -> World:
    world = World.serving()
    world.ask("2")
    return world


def _rolling_out() -> World:
    return World.rolling()


def _waiting_for_pods() -> World:
    world = World.serving()
    world.ask("2")
    world.step()
    return world


def _paused_by_a_person() -> World:
    world = World.rolling()
    world.say("pause")
    world.settle()
    return world


def _paused_by_its_step() -> World:
    world = World.rolling(steps=((5, "60s", True),))
    world.settle(seconds_max=60)
    return world


def _aborting() -> World:
    world = World.rolling()
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
    world.step()
    return world


def _rolled_back() -> World:
    world = _aborting()
    world.settle(seconds_max=60)
    return world


def _no_way_back() -> World:
    world = World.rolling()
    world.lose_readiness(builders.revision("1"), count=2)
    world.verdicts = (builders.verdict("failures", VerdictState.FAIL),)
    world.step()
    return world


def _cannot_begin() -> World:
    world = World.serving()
    world.ask("2")
    world.pool = None
    world.step()
    return world


def _first_on_its_way() -> World:
    world = World()
    world.step()
    return world


def _first_broken() -> World:
    world = _first_on_its_way()
    world.crash_pod(world.target, code=78)
    world.step()
    return world


def _first_cannot_begin() -> World:
    world = World()
    world.pool = None
    world.step()
    return world


def _after_100_percent() -> World:
    world = World.rolling(steps=((5, "0s"),))
    world.settle()
    return world


def _drained() -> World:
    world = _after_100_percent()
    world.settle(seconds_max=60)
    return world


TRUE: Final = "True"
TABLE: Final[tuple[tuple[Callable[[], World], tuple[str | None, ...], str, str], ...]] = (
    # What Available, Ready, Reconciling and Stalled say; then the phase; then kstatus' word.
    (_serving, (TRUE, TRUE, None, None), "Serving", "Current"),
    (_not_yet_seen, (TRUE, TRUE, None, None), "Serving", "InProgress"),
    (_waiting_for_pods, (TRUE, "RollingOut", TRUE, None), "RollingOut", "InProgress"),
    (_rolling_out, (TRUE, "RollingOut", TRUE, None), "RollingOut", "InProgress"),
    (_paused_by_a_person, (TRUE, "Paused", "Paused", None), "Paused", "InProgress"),
    (_paused_by_its_step, (TRUE, "Paused", "Paused", None), "Paused", "InProgress"),
    (_aborting, (TRUE, "Aborting", TRUE, None), "Aborting", "InProgress"),
    (_rolled_back, (TRUE, "RolledBack", None, "RolledBack"), "RolledBack", "Failed"),
    (_no_way_back, ("NoWayBack", "NoWayBack", None, "NoWayBack"), "Aborting", "Failed"),
    (_cannot_begin, (TRUE, "UnknownPool", None, "UnknownPool"), "Stalled", "Failed"),
    (_first_on_its_way, ("WaitingForPods", "WaitingForPods", TRUE, None), "Pending", "InProgress"),
    (_first_broken, ("ModelRejected",) * 2 + (None, "ModelRejected"), "Failed", "Failed"),
    (_first_cannot_begin, ("UnknownPool",) * 2 + (None, "UnknownPool"), "Failed", "Failed"),
    (_after_100_percent, (TRUE, TRUE, None, None), "Serving", "Current"),
    (_drained, (TRUE, TRUE, None, None), "Serving", "Current"),
)


@pytest.mark.parametrize(
    ("build", "expected", "phase", "seen_as"), TABLE, ids=[row[0].__name__[1:] for row in TABLE]
)
def test_conditions_tell_the_state(
    build: Callable[[], World], expected: tuple[str | None, ...], phase: str, seen_as: str
) -> None:
    """Available and Ready are always there; Reconciling and Stalled only while they are true.

    A condition that is not true is listed by its reason, and so is one of a stated reason.
    """
    world = build()

    conditions = {c.type: c for c in world.status.conditions}
    for type_, wanted in zip(
        ("Available", "Ready", "Reconciling", "Stalled"), expected, strict=True
    ):
        found = conditions.get(type_)
        if wanted is None:
            assert found is None, found
            continue
        assert found is not None, type_
        is_true = wanted == TRUE or type_ in ("Reconciling", "Stalled")
        assert found.status == ("True" if is_true else "False")
        assert wanted in (TRUE, found.reason)
        assert found.message
    assert phase == world.status.phase
    assert seen_as == kstatus(world.generation, world.status.to_wire())


def test_an_object_that_nobody_has_seen_is_in_progress() -> None:
    """kstatus takes an object without conditions and observedGeneration for a healthy one."""
    assert kstatus(1, {}) == "Current"
    assert kstatus(1, ModelDeploymentStatus().to_wire()) == "InProgress"


def test_conditions_change_their_time_only_with_their_status() -> None:
    world = World.rolling()
    before = {c.type: c.last_transition_time for c in world.status.conditions}
    world.wait(30)
    world.step()

    after = {c.type: c.last_transition_time for c in world.status.conditions}

    assert before == after


def test_no_condition_changes_twice_within_a_rollout() -> None:
    world = World.serving()
    world.ask("2")
    seen: dict[str, list[str]] = {}

    for _ in range(60):
        world.step()
        world.start_pods()
        world.confirm()
        world.wait(4.0)
        for type_ in ("Available", "Ready", "Reconciling", "Stalled"):
            found = next((c.status for c in world.status.conditions if c.type == type_), "absent")
            states = seen.setdefault(type_, [])
            if states[-1:] != [found]:
                states.append(found)

    assert world.status.phase == "Serving"
    assert seen == {
        "Available": ["True"],
        "Ready": ["False", "True"],
        "Reconciling": ["True", "absent"],
        "Stalled": ["absent"],
    }
