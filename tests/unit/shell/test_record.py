"""When status is written: at once if it says something new, numbers alone now and then."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from slipway_api.conditions import Reason
from slipway_api.status import (
    Condition,
    ModelDeploymentStatus,
    RolloutState,
    Sample,
    VerdictStatus,
    Waiting,
    Weight,
)
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.shell.pace import NUMBERS_MAX, RATE_MAX
from slipway_operator.shell.record import NUMBERS_S, StatusWriter
from tests import builders

SERVING = ModelDeploymentStatus(
    observed_generation=1,
    phase="RollingOut",
    stable=builders.revision("1"),
    candidate=builders.revision("2"),
    weight=Weight(asked=5, verified=5),
    waiting=Waiting(reason=Reason.HOLDING, message="step 1 holds"),
    verdicts=(VerdictStatus(gate="failures", verdict="insufficient", message="2 of 9"),),
    rollout=RolloutState(id="r", started_at=builders.START, evidence="{}"),
    conditions=(
        Condition(
            type="Ready",
            status="False",
            reason="RollingOut",
            message="step 1 holds",
            last_transition_time=builders.START,
        ),
    ),
)
ROLLOUT = SERVING.rollout or RolloutState(id="r", started_at=builders.START)


@dataclass
class Written:
    """Keeps what would be sent; the API server has its own tests."""

    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def apply_status(self, _: object, body: dict[str, Any]) -> None:
        self.bodies.append(body)


async def _write_twice(after: ModelDeploymentStatus) -> tuple[float | None, list[dict[str, Any]]]:
    """Write something, and right after it `after`; give the second answer and what was sent."""
    written = Written()
    writer = StatusWriter(cast(KubeClient, written))
    first = SERVING.model_copy(update={"phase": "Pending"})
    await writer.write(builders.deployment(status=first), SERVING, resource_version="1")
    seen = builders.deployment(status=SERVING)
    waits_s = await writer.write(seen, after, resource_version="2")
    return waits_s, written.bodies


async def test_a_status_that_says_the_same_is_not_written() -> None:
    waits_s, bodies = await _write_twice(SERVING.model_copy())

    assert waits_s is None
    assert 1 == len(bodies)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "Paused"},
        {"weight": Weight(asked=50, verified=5)},
        {"weight": Weight(asked=5, verified=0)},
        {"candidate": None},
        {"waiting": Waiting(reason=Reason.PAUSED)},
        {"rollout": ROLLOUT.model_copy(update={"step_index": 1})},
        {"verdicts": (VerdictStatus(gate="failures", verdict="pass"),)},
        {"conditions": (SERVING.conditions[0].model_copy(update={"status": "True"}),)},
    ],
    ids=lambda change: ",".join(change),
)
async def test_a_new_word_is_written_at_once(change: dict[str, Any]) -> None:
    waits_s, bodies = await _write_twice(SERVING.model_copy(update=change))

    assert waits_s is None
    assert 2 == len(bodies)


@pytest.mark.parametrize(
    "change",
    [
        {"waiting": Waiting(reason=Reason.HOLDING, message="step 1 still holds")},
        {"rollout": ROLLOUT.model_copy(update={"evidence": "{1}", "phi": 2.0})},
        {"phi": 2.0},
        {
            "verdicts": (
                VerdictStatus(gate="failures", verdict="insufficient", candidate=Sample(count=9)),
            )
        },
        {"conditions": (SERVING.conditions[0].model_copy(update={"message": "2 of 9"}),)},
    ],
    ids=lambda change: ",".join(change),
)
async def test_numbers_alone_wait(change: dict[str, Any]) -> None:
    waits_s, bodies = await _write_twice(SERVING.model_copy(update=change))

    assert waits_s is not None
    assert NUMBERS_S - 5 < waits_s <= NUMBERS_S
    assert 1 == len(bodies)


async def test_numbers_are_written_by_an_operator_that_has_written_nothing_yet() -> None:
    written = Written()
    after = SERVING.model_copy(update={"phi": 2.0})

    waits_s = await StatusWriter(cast(KubeClient, written)).write(
        builders.deployment(status=SERVING), after, resource_version="1"
    )

    assert waits_s is None
    assert 1 == len(written.bodies)


async def test_what_is_written_is_fenced_and_whole() -> None:
    written = Written()

    await StatusWriter(cast(KubeClient, written)).write(
        builders.deployment(), SERVING, resource_version="77"
    )

    (body,) = written.bodies
    assert {"name": "churn", "namespace": "ml", "resourceVersion": "77"} == body["metadata"]
    assert SERVING == ModelDeploymentStatus.model_validate(body["status"])


async def test_a_deleted_deployment_is_forgotten() -> None:
    written = Written()
    writer = StatusWriter(cast(KubeClient, written))
    seen = builders.deployment(status=SERVING)
    await writer.write(seen, SERVING.model_copy(update={"phi": 2.0}), resource_version="1")
    writer.forget(("ml", "churn"))

    waits_s = await writer.write(
        seen, SERVING.model_copy(update={"phi": 3.0}), resource_version="2"
    )

    assert waits_s is None


async def test_words_beyond_the_pace_wait_for_their_turn() -> None:
    now_s, written = [0.0], Written()
    writer = StatusWriter(cast(KubeClient, written), clock=lambda: now_s[0])
    lower = SERVING.model_copy(update={"weight": Weight(asked=0, verified=5)})
    seen = builders.deployment(status=SERVING)
    phases = [SERVING.model_copy(update={"phase": f"P{n}"}) for n in range(RATE_MAX + 2)]
    for after in phases[:RATE_MAX]:
        await writer.write(seen, after, resource_version="1")

    now_s[0] = 0.99
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for after in (*phases[RATE_MAX:], lower):
            group.create_task(writer.write(seen, after, resource_version="1"))
        await asyncio.sleep(0)
        early_count, now_s[0] = len(written.bodies), 1.0

    weights = [body["status"]["weight"]["asked"] for body in written.bodies]
    assert RATE_MAX == early_count
    assert [0, 5, 5] == weights[RATE_MAX:]


async def test_numbers_of_many_deployments_wait_for_room() -> None:
    written = Written()
    writer = StatusWriter(cast(KubeClient, written), clock=lambda: 100.0)
    after = SERVING.model_copy(update={"phi": 2.0})
    seen = builders.deployment(status=SERVING)
    many = [
        seen.model_copy(update={"metadata": seen.metadata.model_copy(update={"name": f"c{n}"})})
        for n in range(RATE_MAX)
    ]

    waits_s = [await writer.write(one, after, resource_version="1") for one in many]

    assert NUMBERS_MAX == waits_s.count(None) == len(written.bodies)
