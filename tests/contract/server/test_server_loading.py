"""A model that cannot be served: why, in one sentence, where the user looks."""

import hashlib
import http.server
import threading
from functools import partial
from http import HTTPStatus

import pytest

from slipway_server.storage import digest
from tests.contract.server.conftest import until

pytestmark = pytest.mark.contract


class Files(http.server.SimpleHTTPRequestHandler):
    """A web server for a folder whose first `failures` answers are 503."""

    failures = 0

    def do_GET(self) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        elif self.path.startswith("/secret"):
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(models):
    handler = type("Handler", (Files,), {})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(models))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.handler = handler
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def said(server, code: int) -> str:
    """The termination message of a server that gave up with this exit code."""
    assert server.wait() == code, server.log.read_text()
    message = server.termination.read_text()
    assert message in server.log.read_text()
    assert "\n" not in message
    assert "Traceback" not in server.log.read_text()
    return message


def sha256(path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_model_from_the_web_is_verified_and_served(start_server, models, web):
    expected = sha256(models / "identity.onnx")

    server = start_server(f"{web.url}/identity.onnx", model_digest=expected).wait_until_ready()

    assert server.call("/v2/health/ready").status == 200
    assert expected in server.log.read_text()


def test_a_digest_mismatch_names_both_digests(start_server, models, web):
    wrong = "sha256:" + "0" * 64
    uri = f"{web.url}/identity.onnx"

    message = said(start_server(uri, model_digest=wrong), 78)

    assert wrong in message
    assert sha256(models / "identity.onnx") in message
    assert uri in message
    assert "model 'model' 1.3.0" in message


def test_a_web_server_with_a_bad_moment_is_waited_for(start_server, web):
    web.handler.failures = 2

    start_server(f"{web.url}/identity.onnx").wait_until_ready()

    assert web.handler.failures == 0


def test_liveness_answers_while_the_model_is_still_fetched(start_server, web):
    web.handler.failures = 1000
    server = start_server(f"{web.url}/identity.onnx")

    until(lambda: web.handler.failures < 1000, what="the first try failed")

    assert server.call("/v2/health/live").status == 200
    assert server.call("/v2/health/ready").status == 503
    assert server.call("/v2/models/model/ready").status == 503
    refused = server.infer({"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]})
    assert refused.status == 503
    assert "retry-after" not in refused.headers
    server.terminate()
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nothing.onnx", "was not found (HTTP 404)"), ("/secret.onnx", "was denied (HTTP 403)")],
)
def test_an_absent_or_forbidden_model_is_not_tried_again(start_server, web, path, words):
    assert words in said(start_server(web.url + path), 78)


def test_a_file_that_is_not_onnx_is_named(start_server, tmp_path):
    page = tmp_path / "page.onnx"
    page.write_text("<html>")

    message = said(start_server(page), 78)

    assert "page.onnx is not an ONNX model" in message


def test_a_directory_of_a_volume_is_served(start_server, models, tmp_path):
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "model.onnx").write_bytes((models / "identity.onnx").read_bytes())
    (tmp_path / "churn" / "notes.txt").write_text("trained on a Tuesday")
    expected = digest.of(tmp_path / "churn")

    server = start_server(tmp_path / "churn", model_digest=expected).wait_until_ready()
    (tmp_path / "churn" / "notes.txt").write_text("changed")
    message = said(start_server(tmp_path / "churn", model_digest=expected), 78)

    assert server.is_ready()
    assert "digest mismatch" in message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gs://bucket/key", "is not one of http(s)://"),
        ("file:///does/not/exist", "does not exist"),
        ("", "SLIPWAY_SERVER_MODEL_URI is not set"),
    ],
)
def test_a_wrong_uri_is_named(start_server, uri, words):
    assert words in said(start_server(uri), 78)


def test_bf16_beside_strings_is_refused_with_what_to_do(start_server, models):
    server = start_server(models / "mixed.onnx")

    assert server.wait() == 78
    assert "BF16 beside strings" in server.termination.read_text()
    assert "cast one of them inside the model" in server.termination.read_text()
