"""When a change has ended, and what its status must say then."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bench import changes
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_api.status import ModelDeploymentStatus

MOMENT = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
BEFORE = changes.Before(generation=3, stable="tumour-a", last=None)


def rollout(outcome, revision="tumour-b"):
    return {
        "revision": revision,
        "outcome": outcome,
        "reason": "Errors",
        "startedAt": MOMENT,
        "endedAt": MOMENT,
    }


def status(phase, **more):
    fields = {"observedGeneration": 3, "phase": phase, "stable": "tumour-a", **more}
    truths = fields.pop("truths", ())
    fields["conditions"] = [
        {"type": kind, "status": "True", "reason": "R", "lastTransitionTime": MOMENT}
        for kind in truths
    ]
    return ModelDeploymentStatus.model_validate(fields)


ROLLED_BACK = status(
    "RolledBack",
    truths=("Available", "Stalled"),
    history=[rollout("Aborted")],
    rejected=[{"revision": "tumour-b", "reason": "Errors", "at": MOMENT}],
)
PROMOTED = status(
    "Serving",
    stable="tumour-b",
    truths=("Available", "Ready"),
    history=[rollout("Promoted")],
)


@pytest.mark.parametrize(
    ("seen", "has_ended"),
    [
        pytest.param(ROLLED_BACK, True, id="rolled back"),
        pytest.param(PROMOTED, True, id="promoted"),
        pytest.param(
            ROLLED_BACK.model_copy(update={"observed_generation": 2}), False, id="change not seen"
        ),
        pytest.param(
            status("Aborting", history=[rollout("Aborted")]), False, id="not cleaned up yet"
        ),
        pytest.param(status("RollingOut"), False, id="under way"),
        pytest.param(status("Serving"), False, id="nothing has begun"),
    ],
)
def test_a_change_has_ended_when_its_rollout_is_history_and_all_is_calm(seen, has_ended):
    assert (changes.ended(seen, BEFORE) is not None) == has_ended


def test_the_rollout_before_is_not_taken_for_this_one():
    last = ROLLED_BACK.history[0]

    assert changes.ended(ROLLED_BACK, replace(BEFORE, last=last)) is None


@pytest.mark.parametrize(
    ("seen", "warnings", "problem"),
    [
        pytest.param(ROLLED_BACK, 1, None, id="rolled back as it should be"),
        pytest.param(PROMOTED, 0, None, id="promoted as it should be"),
        pytest.param(
            ROLLED_BACK, 0, "no Warning event told of the abort", id="an abort without a word"
        ),
        pytest.param(
            PROMOTED.model_copy(update={"stable": "tumour-a"}),
            0,
            "status says stable tumour-a, expected tumour-b",
            id="wrong stable",
        ),
        pytest.param(
            ROLLED_BACK.model_copy(update={"conditions": PROMOTED.conditions}),
            1,
            "status says Ready True, expected False",
            id="ready though rolled back",
        ),
        pytest.param(
            ROLLED_BACK.model_copy(update={"rejected": ()}),
            1,
            "status says rejected False, expected True",
            id="not rejected",
        ),
    ],
)
def test_what_status_must_say_afterwards(seen, warnings, problem):
    assert changes.problem(seen, seen.history[0], before=BEFORE, warnings=warnings) == problem


def test_the_manifest_is_one_that_the_contract_takes():
    release = changes.models.Release(
        model="tumour",
        version="1.1.0",
        behaviour="good",
        note="",
        file="tumour/1.1.0.onnx",
        digest="sha256:" + "0" * 64,
        accuracy=None,
        sibling=None,
    )

    document = changes.manifest(release, changes.CHANGES[0].steps, base_url="http://10.0.0.1:1")
    spec = ModelDeploymentSpec.model_validate(document["spec"])

    assert spec.model.uri == "http://10.0.0.1:1/tumour/1.1.0.onnx"
    assert [step.weight for step in spec.strategy.canary.steps] == [10, 50]


def test_the_demo_changes_the_model_four_times_and_promises_what_the_readme_says():
    promises = {
        change.name: (
            change.promise.outcome,
            change.promise.weight,
            change.promise.seconds_first_bad_to_zero,
        )
        for change in changes.CHANGES
    }

    assert promises == {
        "better": ("Promoted", None, None),
        "errors": ("Aborted", 5, 2.0),
        "crash": ("Aborted", 25, 3.0),
        "hang": ("Aborted", 10, 5.0),
    }
