"""Readiness that means it: each phase of the real process fails with its name, or is passed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from slipway_api import last_words
from slipway_api.last_words import LoadPhase
from tests.contract.server.conftest import DEADLINE_S, save, typed_graph
from tests.contract.server.conftest import TYPES as ALL_TYPES
from tests.contract.server.test_server_cli import ENVIRONMENT, command

pytestmark = pytest.mark.contract

ANY = {"name": "x", "datatype": "FP32", "shape": [-1, -1]}
SIGNATURE = {"inputs": [ANY], "outputs": [ANY | {"name": "y"}]}


def golden(expected, **more):
    """Ask the identity model for two values."""
    asked = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2]}
    told = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": expected}
    return {"request": {"inputs": [asked]}, "response": {"outputs": [told]}, **more}


GOOD = {
    "signature": SIGNATURE,
    "warmUp": [{"x": [8, 30]}, {"x": [1, 1]}],
    "goldenRequests": [golden([1.5, -2.0001]), golden([[2, -2.5]], tolerance={"relative": 0.5})],
}


def failed(server, phase: LoadPhase) -> str:
    """The cause that a server gave up with, in a phase that no retry helps."""
    assert server.wait() == 78, server.log.read_text()
    words = last_words.read(server.termination.read_text())
    assert words is not None
    assert (words.phase, words.is_permanent) == (phase, True)
    assert str(words) in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    return words.cause


def test_a_model_that_shows_all_that_is_expected_is_ready(start_server, models):
    server = start_server(models / "identity.onnx", model_expectations=json.dumps(GOOD))

    assert server.wait_until_ready().is_ready()


@pytest.mark.parametrize(
    ("changes", "phase", "words"),
    [
        (
            {"signature": SIGNATURE | {"inputs": [ANY | {"shape": [-1, 30]}]}, "warmUp": None},
            LoadPhase.SIGNATURE,
            "input 'x' is FP32 [-1, -1], declared is FP32 [-1, 30]; correct",
        ),
        (
            {"signature": None, "warmUp": [{"x": [8]}]},
            LoadPhase.WARM_UP,
            "warmUp of x [8]: input 'x': expected shape [-1, -1]",
        ),
        (
            {"goldenRequests": [golden([1.5, -2]), golden([1.5, 2])]},
            LoadPhase.GOLDEN,
            "goldenRequests[1]: output 'y' at [0, 1] is -2, expected 2 within 0.002 (1 of 2 diff",
        ),
        (
            {"signature": None, "goldenRequests": [golden([1]) | {"request": {"inputs": [ANY]}}]},
            LoadPhase.START,
            "goldenRequests[0].request.inputs[0].",
        ),
    ],
)
def test_a_model_that_does_not_is_never_ready_and_says_why(
    start_server, models, changes, phase, words
):
    asked = {key: value for key, value in (GOOD | changes).items() if value is not None}
    if phase is LoadPhase.SIGNATURE:
        del asked["goldenRequests"]

    server = start_server(models / "identity.onnx", model_expectations=json.dumps(asked))

    cause = failed(server, phase)
    assert words in cause
    assert "\n" not in cause
    assert "serving model" not in server.log.read_text()


def test_every_earlier_phase_names_itself_too(start_server, models, tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    identity, wrong = models / "identity.onnx", "sha256:" + "0" * 64

    assert "does not exist" in failed(start_server("file:///nowhere"), LoadPhase.FETCH)
    assert wrong in failed(start_server(identity, model_digest=wrong), LoadPhase.VERIFY)
    assert "not an ONNX" in failed(start_server(tmp_path / "page.onnx"), LoadPhase.LOAD)
    assert "QUEUE_MAX" in failed(start_server(identity, queue_max="x"), LoadPhase.START)


def test_a_model_may_bring_its_own_expectations(start_server, models, tmp_path):
    folder = tmp_path / "churn"
    folder.mkdir()
    shutil.copy(models / "identity.onnx", folder / "model.onnx")
    (folder / "expectations.json").write_text(json.dumps(GOOD))

    start_server(folder).wait_until_ready()
    (folder / "expectations.json").write_text(json.dumps({"goldenRequests": [golden([1.5, 0])]}))
    cause = failed(start_server(folder), LoadPhase.GOLDEN)
    (folder / "expectations.json").write_text('{"golden": []}')
    unread = failed(start_server(folder), LoadPhase.LOAD)

    assert "expectations.json: goldenRequests[0]: output 'y' at [0, 1] is -2, expected 0" in cause
    assert "expectations.json: unknown field 'golden'" in unread


def test_what_a_server_answers_is_a_golden_request_for_the_next(start_server, models, tmp_path):
    """Every datatype that JSON can carry, request and answer as they went over the wire."""
    path = save(tmp_path / "typed.onnx", typed_graph(ALL_TYPES))
    values = {"BOOL": [True, False], "BYTES": ["é", "$(HOME)"], "UINT64": [0, 2**64 - 1]}
    inputs = [
        {"name": f"in_{name}", "datatype": name, "shape": [2], "data": values.get(name, [0, 7])}
        for name in ALL_TYPES
    ]
    server = start_server(path).wait_until_ready()
    answer = server.infer(*inputs).fields
    recorded = {"goldenRequests": [{"request": {"inputs": inputs}, "response": answer}]}

    start_server(path, model_expectations=json.dumps(recorded)).wait_until_ready()
    next(output for output in answer["outputs"] if output["datatype"] == "UINT64")["data"][1] -= 1
    cause = failed(start_server(path, model_expectations=json.dumps(recorded)), LoadPhase.GOLDEN)

    assert f"output 'out_UINT64' at [1] is {2**64 - 1}, expected {2**64 - 2}" in cause


def test_a_person_can_hold_a_model_against_a_file(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "expected.json"

    def inspected(asked) -> subprocess.CompletedProcess[str]:
        file.write_text(asked if isinstance(asked, str) else json.dumps(asked))
        return subprocess.run(
            command("inspect", str(models / "identity.onnx"), "--expect", str(file)),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    good, off, broken = (
        inspected(asked) for asked in (GOOD, {"goldenRequests": [golden([0, 0])]}, "{")
    )

    assert good.returncode == 0, good.stderr
    assert (off.returncode, broken.returncode) == (78, 78)
    assert "phase golden failed, a retry does not help: goldenRequests[0]: output 'y'" in off.stderr
    assert f"{file} is not JSON" in broken.stderr
