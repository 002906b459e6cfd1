"""What a server counts of what it sees and gives, as it is scraped."""

import re
import shutil

import pytest

from slipway_server.core.profile import Number, Profile

pytestmark = pytest.mark.contract

PROFILE = Profile(
    rows=10, features=(Number(name="age", column=1, edges=(0, 50, 99), counts=(0, 6, 4, 0, 0)),)
)


@pytest.fixture
def folder(models, tmp_path):
    """A model with a profile beside it."""
    made = tmp_path / "model-folder"
    made.mkdir()
    shutil.copy(models / "identity.onnx", made / "model.onnx")
    (made / "profile.json").write_text(PROFILE.model_dump_json(exclude_none=True))
    return made


def x(*rows):
    data = [value for row in rows for value in row]
    return {"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": data}


def exported(server, metric, label):
    """Values of a metric by one of its labels."""
    text = server.call("/metrics").body.decode()
    found = re.findall(rf'^slipway_server_{metric}{{.*{label}="([^"]*)".*}} (\S+)$', text, re.M)
    return {name: float(value) for name, value in found}


def test_a_profile_beside_the_model_makes_its_features_counted(start_server, folder):
    server = start_server(folder).wait_until_ready()
    before = exported(server, "feature_rows_total", "bin")

    server.infer(x((0, 1), (0, 70)))
    server.infer(x((0, 49), (1, 200)))

    assert set(before.values()) == {0}
    assert exported(server, "feature_rows_total", "bin") == {
        "(below)": 0,
        "[0,50)": 2,
        "[50,99]": 1,
        "(above)": 1,
        "(missing)": 0,
    }
    reference = exported(server, "feature_reference_rows", "bin")
    assert (reference["[0,50)"], reference["[50,99]"]) == (6, 4)
    assert exported(server, "sampled_rows_total", "model") == {"model": 4}


def test_predictions_are_counted_without_a_profile(start_server, models):
    server = start_server(models / "identity.onnx").wait_until_ready()

    server.infer(x((0.1, 0.9), (0.8, 0.2), (0.3, 0.7)))

    seen = exported(server, "prediction_rows_total", "class")
    assert seen == {"0": 1, "1": 2, "(other)": 0, "(missing)": 0}
    assert exported(server, "prediction_confidence_count", "output") == {"y": 3}


def test_nothing_is_counted_where_no_rows_are_to_be(start_server, folder):
    server = start_server(folder, sampled_rows_per_s=0).wait_until_ready()

    server.infer(x((0, 1)))

    assert exported(server, "feature_rows_total", "bin") == {}
    assert exported(server, "prediction_rows_total", "class") == {}


def test_a_profile_that_does_not_fit_is_no_start(start_server, folder, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(
        PROFILE.model_dump_json(exclude_none=True).replace('"age"', '"age","input":"z"')
    )

    server = start_server(folder, profile=other)

    assert server.wait() == 78
    assert "input 'z', which the model does not have" in server.termination.read_text()


def test_the_size_of_a_model_is_that_of_its_files(start_server, folder):
    server = start_server(folder).wait_until_ready()

    size = sum(file.stat().st_size for file in folder.iterdir())
    assert exported(server, "model_bytes", "model") == {"model": size}


def test_the_time_of_a_request_is_told_by_stage(start_server, models):
    server = start_server(models / "identity.onnx").wait_until_ready()

    server.infer(x((0, 1)))

    counts = exported(server, "stage_seconds_count", "stage")
    assert counts == {"decode": 1, "queue": 1, "compute": 1, "encode": 1}
    sums = exported(server, "stage_seconds_sum", "stage")
    whole = exported(server, "request_seconds_sum", "code")["200"]
    assert all(value >= 0 for value in sums.values())
    assert sum(sums.values()) <= whole * 1.01
