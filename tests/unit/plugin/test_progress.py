"""Exit codes: what became of the change that somebody waits for."""

from typing import Any

import pytest

from slipway_plugin import deployment, progress
from slipway_plugin.deployment import Deployment
from slipway_plugin.exits import Exit
from tests.samples import plugin_objects as samples


def seen(status: dict[str, Any], **more: Any) -> Deployment:
    return deployment.read(samples.deployment(status, **more))


def judged(first: Deployment, *later: Deployment, **asked: Any) -> progress.Progress:
    """Wait as the verb does, through everything that is seen."""
    waited = progress.awaited(first, **({"generation": None, "goal": "ready"} | asked))
    for now in (first, *later):
        waited = progress.follow(waited, now)
        found = progress.judge(waited, now)
        if found.exit is not Exit.UNDER_WAY:
            break
    return found


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (samples.SERVING, Exit.REACHED),
        (samples.ROLLED_BACK, Exit.TAKEN_BACK),
        (samples.ROLLING, Exit.UNDER_WAY),
        (samples.PENDING, Exit.UNDER_WAY),
        (samples.UNSEEN, Exit.UNDER_WAY),
        (samples.PAUSED, Exit.PERSON),
        (samples.ASKING, Exit.PERSON),
        (samples.PROBATION, Exit.UNDER_WAY),
        (samples.SHADOWED, Exit.REACHED),
    ],
)
def test_the_code_tells_where_a_deployment_stands(status: dict[str, Any], code: Exit) -> None:
    assert progress.standing(seen(status)).exit is code


def test_the_codes_are_those_that_pipelines_know() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5]


def test_what_is_ready_for_an_older_generation_is_not_ready() -> None:
    stale = seen(samples.SERVING | {"observedGeneration": 4})

    assert progress.standing(stale).exit is Exit.UNDER_WAY
    assert "generation 5" in progress.standing(stale).message


def test_waiting_ends_when_the_change_serves() -> None:
    found = judged(seen(samples.UNSEEN), seen(samples.ROLLING), seen(samples.SERVING))

    assert found.exit is Exit.REACHED


def test_a_shadow_that_was_to_end_there_is_a_success_with_words_of_its_own() -> None:
    found = judged(seen(samples.ROLLING), seen(samples.SHADOWED))

    assert found.exit is Exit.REACHED
    assert f"{samples.NEW} has passed its shadow and is gone" in found.message
    later = seen(samples.SHADOWED | {"observedGeneration": 6}, generation=6)
    assert "shadow" not in judged(later).message


def test_waiting_ends_when_the_change_is_taken_back_and_names_the_numbers() -> None:
    found = judged(seen(samples.ROLLING), seen(samples.ROLLED_BACK))

    assert found.exit is Exit.TAKEN_BACK
    assert "33 of 44" in found.message


def test_a_pause_is_the_end_of_waiting_and_a_success_only_if_asked_for() -> None:
    assert judged(seen(samples.PAUSED)).exit is Exit.PERSON
    assert judged(seen(samples.PAUSED), goal="paused").exit is Exit.REACHED
    assert judged(seen(samples.SERVING), goal="paused").exit is Exit.ERROR


def test_another_change_of_the_model_supersedes_the_one_that_is_waited_for() -> None:
    other = seen(samples.ROLLING, version="1.4.0", generation=6)

    found = judged(seen(samples.ROLLING), other)

    assert found.exit is Exit.SUPERSEDED
    assert "generation 6" in found.message


def test_a_change_of_replicas_supersedes_nothing() -> None:
    scaled = samples.deployment(samples.SERVING, generation=6)
    scaled["spec"]["compute"]["replicas"] = 9

    assert judged(seen(samples.ROLLING), deployment.read(scaled)).exit is Exit.REACHED


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("Promoted", Exit.REACHED),
        ("Aborted", Exit.TAKEN_BACK),
        ("Superseded", Exit.SUPERSEDED),
        ("Shadowed", Exit.REACHED),
    ],
)
def test_a_change_that_ended_before_anybody_waited_is_told_from_the_history(
    outcome: str, code: Exit
) -> None:
    past = samples.past(outcome, generation=5)
    now = seen(samples.SERVING | {"history": [past]}, version="1.4.0", generation=7)

    assert judged(now, generation=5).exit is code


def test_a_change_of_the_past_that_left_nothing_is_never_a_success() -> None:
    now = seen(samples.SERVING, generation=9)

    assert judged(now, generation=8).exit is Exit.SUPERSEDED


def test_a_change_that_is_tried_again_and_replaced_meanwhile_is_superseded() -> None:
    history = [samples.past("Aborted", generation=5)]
    now = seen(samples.ROLLING | {"history": history}, version="1.4.0", generation=6)

    assert judged(now, generation=5).exit is Exit.SUPERSEDED


def test_a_line_for_each_stage_keeps_still_while_only_numbers_change() -> None:
    waiting = samples.ROLLING["waiting"] | {"message": "have 601"}

    assert progress.stage(seen(samples.ROLLING)) == (
        "generation 5: RollingOut, step 2 of 3, 25 %, InsufficientData"
    )
    assert progress.stage(seen(samples.ROLLING)) == progress.stage(
        seen(samples.ROLLING | {"waiting": waiting})
    )


def test_a_generation_that_is_not_there_yet_is_waited_for() -> None:
    assert judged(seen(samples.SERVING), generation=6).exit is Exit.UNDER_WAY
