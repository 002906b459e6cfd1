"""A candidate that is not what was expected never gets a request, and the user is told why."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.scene import STARTED_S, Answer, Object, Scene, Target, condition, manifest
from slipway_api.conditions import ConditionType, Outcome, Phase, Reason

pytestmark = pytest.mark.e2e

HELD = Target("e2e", "held")
ASKED_MAX = 10_000
X = {"name": "x", "datatype": "FP32", "shape": [-1, -1]}
SIGNATURE = {"inputs": [X], "outputs": [X | {"name": "y"}]}


def golden(expected: list[float]) -> Object:
    """Ask the identity model for two values, and expect these."""
    asked = X | {"shape": [1, 2], "data": [1.5, -2]}
    told = X | {"name": "y", "shape": [1, 2], "data": expected}
    return {"request": {"inputs": [asked]}, "response": {"outputs": [told]}}


GOOD = {"signature": SIGNATURE, "warmUp": [{"x": [8, 30]}], "goldenRequests": [golden([1.5, -2])]}
# What is expected wrongly, and what the server says of it.
WRONG = {
    "signature": (
        {"signature": SIGNATURE | {"inputs": [X | {"shape": [-1, 30]}]}},
        "input 'x' is FP32 [-1, -1], declared is FP32 [-1, 30]",
    ),
    "golden": (
        GOOD | {"goldenRequests": [golden([1.5, -2]), golden([1.5, 2])]},
        "goldenRequests[1]: output 'y' at [0, 1] is -2, expected 2",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def deployment(scene: Scene) -> Iterator[None]:
    """A model that shows what is expected of it, and serves."""
    scene.apply(manifest(HELD, model={"expectations": GOOD}))
    scene.serves(HELD)
    yield
    scene.delete(HELD)


@contextmanager
def asked_all_along(scene: Scene) -> Iterator[list[Answer]]:
    """Ask one request after the other for the length of a block."""
    answers: list[Answer] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set() and len(answers) < ASKED_MAX:
            answers.append(scene.ask(HELD.host))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("phase", WRONG)
def test_a_candidate_that_is_not_as_expected_gets_no_request(scene: Scene, phase: str) -> None:
    expectations, cause = WRONG[phase]
    stable = scene.status(HELD).stable
    said = f"phase {phase} failed, a retry does not help"

    with asked_all_along(scene) as answers:
        scene.apply(manifest(HELD, version="2", model={"expectations": expectations}))
        status = scene.until(
            HELD,
            lambda s: s.phase == Phase.ROLLED_BACK,
            what="the candidate is not taken back",
            timeout_s=STARTED_S,
        )

    assert {(answer.status, answer.revision) for answer in answers} == {("200", stable)}
    stalled = condition(status, ConditionType.STALLED)
    assert stalled is not None
    past = status.history[0]
    assert (past.outcome, past.reason) == (Outcome.ABORTED, Reason.MODEL_REJECTED)
    described = scene.kubectl("describe", "md", HELD.name, f"--namespace={HELD.namespace}")
    explained = scene.run("kubectl", "slipway", "explain", HELD.name, "-n", HELD.namespace).stdout
    for text in (stalled.message, past.message, described, " ".join(explained.split())):
        assert said in text
        assert cause in text


def test_what_contradicts_itself_is_not_rolled_out_and_its_place_is_named(scene: Scene) -> None:
    stable = scene.status(HELD).stable
    short = golden([1.5])

    scene.apply(manifest(HELD, version="3", model={"expectations": {"goldenRequests": [short]}}))
    status = scene.until(HELD, lambda s: s.phase == Phase.STALLED, what="the mistake is not told")

    stalled = condition(status, ConditionType.STALLED)
    assert stalled is not None
    assert stalled.reason == Reason.INVALID_SPECIFICATION
    place = "spec.model.expectations.goldenRequests[0].response.outputs[0].data"
    assert f"{place}: shape [1, 2] needs 2 values, data has 1" in stalled.message
    assert scene.ask(HELD.host).revision == stable


def test_expectations_that_are_corrected_roll_out(scene: Scene) -> None:
    before = scene.status(HELD).stable
    again = GOOD | {"warmUp": [{"x": [4, 4]}]}

    scene.apply(manifest(HELD, version="4", model={"expectations": again}, strategy={"direct": {}}))
    status = scene.serves(HELD)

    assert status.stable != before
    assert scene.ask(HELD.host).revision == status.stable
