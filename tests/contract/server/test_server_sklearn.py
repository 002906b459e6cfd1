"""A model as users bring it: trained with scikit-learn, exported with skl2onnx."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import skl2onnx
import tritonclient.grpc as triton
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.contract.server.conftest import ROOT

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def trained():
    rows, labels = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(rows, labels)
    return model, rows[:5].astype(np.float32)


def export(model, path, **options):
    inputs = [("features", FloatTensorType([None, 30]))]
    exported = skl2onnx.to_onnx(model, initial_types=inputs, target_opset=17, **options)
    path.write_bytes(exported.SerializeToString())
    return path


def test_both_protocols_answer_what_scikit_learn_answers(start_server, tmp_path, trained):
    model, rows = trained
    path = export(model, tmp_path / "cancer.onnx", options={"zipmap": False})
    server = start_server(path, model_name="cancer").wait_until_ready()
    expected = model.predict_proba(rows)

    rest = server.infer(
        {"name": "features", "datatype": "FP32", "shape": [5, 30], "data": rows.tolist()},
        outputs=[{"name": "probabilities"}],
    )
    features = triton.InferInput("features", [5, 30], "FP32")
    features.set_data_from_numpy(rows)
    with triton.InferenceServerClient(server.grpc_address) as client:
        rpc = client.infer("cancer", [features])

    (output,) = rest.fields["outputs"]
    assert output["shape"] == [5, 2]
    assert np.allclose(np.reshape(output["data"], (5, 2)), expected, atol=1e-4)
    assert np.allclose(rpc.as_numpy("probabilities"), expected, atol=1e-4)
    assert rpc.as_numpy("label").tolist() == model.predict(rows).tolist()


def test_an_export_with_zipmap_is_told_how_to_export(start_server, tmp_path, trained):
    path = export(trained[0], tmp_path / "cancer.onnx")

    server = start_server(path)

    assert server.wait() == 78
    assert "export with zipmap=False" in server.termination.read_text()


def smoke(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slipway_server.smoke", url, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "server")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_smoke_test_passes_against_the_identity_model(start_server, models):
    server = start_server(models / "identity.onnx", model_name="identity")

    result = smoke(f"http://127.0.0.1:{server.ports[0]}/", "--timeout", "30")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_the_smoke_test_fails_in_one_line_against_anything_else(identity_server):
    result = smoke(f"http://127.0.0.1:{identity_server.ports[0]}", "--timeout", "1")

    assert result.returncode == 1
    assert "was not ready within 1 s" in result.stdout
    assert result.stdout.count("\n") == 1
    assert json.loads(identity_server.call("/v2/health/ready").body)["ready"]
