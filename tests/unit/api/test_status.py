"""Status as a value and on the wire."""

from datetime import UTC, datetime

import pytest

from slipway_api.conditions import ConditionType, Phase, Reason, VerdictState
from slipway_api.status import (
    Condition,
    ModelDeploymentStatus,
    RolloutState,
    VerdictStatus,
    Waiting,
    clip,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_a_status_survives_the_wire_with_its_microseconds() -> None:
    status = ModelDeploymentStatus(
        observed_generation=3,
        phase=Phase.ROLLING_OUT,
        waiting=Waiting(reason=Reason.HOLDING, until=AT),
        rollout=RolloutState(id="r1", started_at=AT, per_try_timeout_seconds=1.25, evidence="{}"),
        verdicts=(VerdictStatus(gate="errors", verdict=VerdictState.PASS),),
        conditions=(
            Condition(
                type=ConditionType.READY,
                status="False",
                reason=Reason.ROLLING_OUT,
                last_transition_time=AT,
            ),
        ),
    )

    wire = status.to_wire()

    assert ModelDeploymentStatus.model_validate(wire) == status
    assert wire["waiting"] == {
        "reason": "Holding",
        "message": "",
        "until": "2026-01-02T03:04:05.678901Z",
    }


def test_absent_fields_are_absent_on_the_wire() -> None:
    wire = ModelDeploymentStatus().to_wire()

    assert wire["observedGeneration"] == -1
    assert not {"phase", "stable", "candidate", "rollout", "step"} & set(wire)


def test_words_of_a_newer_operator_can_be_read() -> None:
    newer = {"phase": "Levitating", "waiting": {"reason": "FullMoon"}, "moon": True}

    assert ModelDeploymentStatus.model_validate(newer).phase == "Levitating"


@pytest.mark.parametrize(
    ("text", "limit", "clipped"),
    [
        ("short", 5, "short"),
        ("longer", 5, "lo…"),
        ("ééééé", 7, "éé…"),
        ("", 0, ""),
    ],
)
def test_clipping_keeps_to_the_limit_in_bytes(text: str, limit: int, clipped: str) -> None:
    assert clip(text, limit) == clipped
    assert len(clipped.encode()) <= limit
