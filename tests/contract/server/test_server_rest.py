"""The protocol over REST, against the running server."""

import gzip
import http.client
import json

import numpy as np
import pytest

from tests.contract.server.conftest import until

pytestmark = pytest.mark.contract

X = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [[1, -2.5, 3.25]]}


@pytest.fixture
def server(identity_server):
    return identity_server


def test_an_inference_is_answered_with_revision_version_and_ids(server):
    answer = server.call("/v2/models/model/infer", {"inputs": [X], "id": "7"}, x_request_id="abc-1")

    assert answer.status == 200
    assert answer.headers["x-slipway-revision"] == "r1"
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.fields == {
        "model_name": "model",
        "model_version": "1.3.0",
        "id": "7",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1, -2.5, 3.25]}],
    }


def test_metadata_and_health_are_those_of_the_protocol(server):
    spec = {"datatype": "FP32", "shape": [-1, -1]}

    assert server.call("/v2").fields["name"] == "slipway"
    assert server.call("/v2/health/live").fields == {"live": True}
    assert server.call("/v2/health/ready").fields == {"ready": True}
    path = "/v2/models/model/versions/1.3.0/ready"
    assert server.call(path).fields == {"name": "model", "ready": True}
    assert server.call("/v2/models/model").fields == {
        "name": "model",
        "versions": ["1.3.0"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", **spec}],
        "outputs": [{"name": "y", **spec}],
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v2/models/model/infer", b"{", 400, "not JSON"),
        ("/v2/models/model/infer", {"inputs": []}, 400, "missing input 'x'"),
        ("/v2/models/model/infer", {"inputs": [{**X, "name": "z"}]}, 400, "unknown input 'z'"),
        ("/v2/models/model/infer", {"inputs": [{**X, "shape": [3]}]}, 400, "nested"),
        ("/v2/models/model/infer", {"inputs": [{**X, "datatype": "FP64"}]}, 400, "expected"),
        (
            "/v2/models/model/infer",
            {"inputs": [X], "outputs": [{"name": "q"}]},
            400,
            "unknown output 'q'",
        ),
        ("/v2/models/other/infer", {"inputs": [X]}, 404, "no model 'other'"),
        ("/v2/models/model/versions/9/infer", {"inputs": [X]}, 404, "no version '9'"),
        ("/v2/models/other", None, 404, "no model 'other'"),
        ("/v2/models/other/ready", None, 404, "no model 'other'"),
        ("/v2/models/model/infer", None, 405, "use POST"),
        ("/v2/health/live", {}, 405, "Method Not Allowed"),
        ("/v2/nothing", None, 404, "/v2/nothing"),
    ],
)
def test_every_refusal_is_an_error_object(server, path, body, status, words):
    answer = server.call(path, body)

    assert answer.status == status
    assert answer.fields.keys() == {"error"}
    assert words in answer.fields["error"]
    assert answer.headers["x-slipway-revision"] == "r1"


def test_a_body_over_the_limit_is_refused_whether_announced_or_chunked(start_server, models):
    server = start_server(models / "identity.onnx", body_bytes_max=1000).wait_until_ready()
    chunked = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=10)

    announced = server.call("/v2/models/model/infer", b" " * 1001)
    chunked.request("POST", "/v2/models/model/infer", iter([b" " * 600, b" " * 600]))
    streamed = chunked.getresponse()

    assert announced.status == streamed.status == 413
    assert "1000 bytes" in announced.fields["error"]
    assert "1000 bytes" in json.loads(streamed.read())["error"]
    assert server.infer(X).status == 200


def test_a_failure_inside_the_model_is_the_models_not_the_clients(start_server, models):
    server = start_server(models / "fragile.onnx").wait_until_ready()
    index = {"name": "index", "datatype": "INT64", "shape": [1]}

    good = server.infer({**index, "data": [2]})
    failed = server.infer({**index, "data": [77]})
    misshapen = server.infer({**index, "shape": [2], "data": [1, 2]})

    assert (good.status, failed.status, misshapen.status) == (200, 500, 400)
    assert good.fields["outputs"][0]["data"] == [3]
    assert "inference failed" in failed.fields["error"]


def test_every_datatype_goes_there_and_back(start_server, models):
    server = start_server(models / "typed.onnx").wait_until_ready()
    values = {
        "BOOL": [True, False],
        "BYTES": ["", "ä"],
        "UINT64": [0, 2**64 - 1],
        "INT64": [-(2**63), 2**63 - 1],
        "FP16": [0.5, -2],
    }
    names = ["INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "FP32", "FP64"]
    values |= {name: [1, 100] for name in names}

    answer = server.infer(
        *(
            {"name": f"in_{name}", "datatype": name, "shape": [2], "data": data}
            for name, data in values.items()
        )
    )

    assert answer.status == 200, answer.body
    back = {output["datatype"]: output["data"] for output in answer.fields["outputs"]}
    assert back == values


def test_requests_on_one_connection_are_answered_in_turn(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=10)
    for number in range(20):
        data = {"inputs": [{**X, "data": [number] * 3}]}
        connection.request("POST", "/v2/models/model/infer", json.dumps(data))
        answer = connection.getresponse()
        assert json.loads(answer.read())["outputs"][0]["data"] == [number] * 3


def test_metrics_tell_protocol_code_and_revision(start_server, models):
    server = start_server(models / "identity.onnx").wait_until_ready()
    server.infer(X)
    server.infer({**X, "name": "z"})

    text = server.call("/metrics").body.decode()

    for code in ("200", "400"):
        assert f'slipway_server_requests_total{{code="{code}"' in text
    assert 'protocol="rest",revision="r1",version="1.3.0"} 1.0' in text
    assert "slipway_server_request_seconds_bucket" in text


def test_the_access_log_begins_and_ends_each_attempt(start_server, models):
    server = start_server(models / "identity.onnx", access_log="json").wait_until_ready()

    server.call("/v2/models/model/infer", {"inputs": [X]}, x_request_id="q1")
    server.call("/v2/models/model/infer", {"inputs": []}, x_request_id="q2")

    until(lambda: server.ledger.read_text().count("\n") == 4, what="both attempts are logged")
    lines = [json.loads(line) for line in server.ledger.read_text().splitlines()]
    assert [(line["event"], line["id"], line.get("status")) for line in lines] == [
        ("begin", "q1", None),
        ("end", "q1", 200),
        ("begin", "q2", None),
        ("end", "q2", 400),
    ]
    assert {line["revision"] for line in lines} == {"r1"}


def test_a_raw_body_is_the_one_input_and_the_outputs_come_raw(server):
    answer = server.call(
        "/v2/models/model/infer",
        np.array([[1, -2.5, 3.25]], np.float32).tobytes(),
        inference_header_content_length="0",
    )

    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:length])["outputs"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (output["name"], output["shape"]) == ("y", [1, 3])
    assert np.frombuffer(answer.body[length:], np.float32).tolist() == [1, -2.5, 3.25]


@pytest.mark.parametrize("length", ["-1", "a", "1e3", ""])
def test_a_header_length_that_is_no_number_is_refused(server, length):
    answer = server.call("/v2/models/model/infer", b"{}", inference_header_content_length=length)

    assert (answer.status, answer.fields.keys()) == (400, {"error"})


def test_the_first_protocol_is_served_beside(server):
    answer = server.call("/v1/models/model:predict", {"instances": [[1, -2.5, 3.25]]})

    assert (answer.status, answer.fields) == (200, {"predictions": [[1, -2.5, 3.25]]})
    assert server.call("/v1/models").fields == {"models": ["model"]}
    status = server.call("/v1/models/model").fields
    assert (status["name"], status["ready"]) == ("model", True)
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    assert server.call("/v1/models/other:predict", {"instances": []}).status == 404
    assert server.call("/v1/models/model:predict", {"rows": []}).status == 400
    assert server.call("/v1/models/model:predict").status == 405


def test_a_coding_that_nobody_knows_is_not_supported(server):
    answer = server.call("/v2/models/model/infer", b"?", content_encoding="br")

    assert (answer.status, answer.fields.keys()) == (415, {"error"})


def test_a_large_answer_is_compressed_for_clients_that_ask(server):
    values = [0.0] * 20_000
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 20_000], "data": values}]}

    answer = server.call("/v2/models/model/infer", body, accept_encoding="gzip")

    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body))["outputs"][0]["data"] == values


def test_the_example_of_the_openapi_document_is_answered(server):
    document = server.call("/openapi.json").fields
    (path,) = (path for path in document["paths"] if path.endswith("/infer"))
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]

    assert server.call(path, content["example"]).status == 200
    page = server.call("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert b"curl http://127.0.0.1" in page.body
