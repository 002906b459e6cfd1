"""Models from an S3 server: an object, a prefix, and what goes wrong."""

import hashlib
import http.server
import os
import subprocess
import threading
import urllib.request
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from sandbox import places, venvs
from tests.contract.server.conftest import until

pytestmark = pytest.mark.contract

BUCKET = "models"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The environment of a pod that may read from a moto server with an empty bucket."""
    environment = venvs.ensure(
        "s3server.txt", why="an S3 server for tests", places=places.places(), log=print
    )
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [environment / "bin" / "python", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield _environ(process, log)
    finally:
        process.kill()
        process.wait()


def _environ(process: subprocess.Popen, log: Path) -> dict[str, str]:
    def port() -> str | None:
        assert process.poll() is None, log.read_text()
        lines = [line for line in log.read_text().splitlines() if "http://127.0.0.1:" in line]
        return lines[0].rsplit(":", 1)[1].split()[0].strip("/") if lines else None

    url = f"http://127.0.0.1:{until(port, what='the S3 server listens')}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT"), timeout=10)
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


@pytest.fixture
def bucket(s3):
    return S3Store(
        BUCKET,
        endpoint=s3["AWS_ENDPOINT_URL"],
        access_key_id="testing",
        secret_access_key="testing",
        region="us-east-1",
        client_options={"allow_http": True},
    )


@pytest.fixture
def identity(models) -> bytes:
    return (models / "identity.onnx").read_bytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_object_is_one_file(start_server, s3, bucket, identity):
    obstore.put(bucket, "one/identity.onnx", identity)

    server = start_server(
        f"s3://{BUCKET}/one/identity.onnx", environ=s3, model_digest=f"sha256:{sha256(identity)}"
    ).wait_until_ready()

    x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [4]}
    assert server.infer(x).fields["outputs"][0]["data"] == [4]


def test_a_prefix_is_a_directory(start_server, s3, bucket, identity):
    marker = f"{s3['AWS_ENDPOINT_URL']}/{BUCKET}/churn/1.3.0/"  # as some tools mark folders
    urllib.request.urlopen(urllib.request.Request(marker, b"", method="PUT"), timeout=10)
    obstore.put(bucket, "churn/1.3.0/model.onnx", identity)
    obstore.put(bucket, "churn/1.3.0/extra/labels.txt", b"yes\nno\n")
    obstore.put(bucket, "churn/1.3.0/extra/empty", b"")
    obstore.put(bucket, "churn/1.3.01/model.onnx", b"a neighbour that is not part of it")
    files = {"model.onnx": identity, "extra/labels.txt": b"yes\nno\n", "extra/empty": b""}
    lines = sorted(f"{sha256(content)}  {name}\n" for name, content in files.items())

    server = start_server(
        f"s3://{BUCKET}/churn/1.3.0/",
        environ=s3,
        model_digest=f"sha256:{sha256(''.join(lines).encode())}",
    ).wait_until_ready()

    assert server.is_ready()


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/nothing", "s3://no-such-bucket/key"])
def test_what_is_not_there_is_said_to_be_not_found(start_server, s3, uri):
    server = start_server(uri, environ=s3)

    assert server.wait() == 78
    assert f"{uri} was not found" in server.termination.read_text()


def test_plain_http_is_allowed_only_in_words(start_server, s3):
    environ = {**s3, "AWS_ALLOW_HTTP": ""}

    server = start_server(f"s3://{BUCKET}/key", environ=environ)

    assert server.wait() == 78
    assert "set AWS_ALLOW_HTTP=true" in server.termination.read_text()


class Forbidding(http.server.BaseHTTPRequestHandler):
    """A store that refuses; `head_status` is what it says to HEAD."""

    head_status = 403

    def do_HEAD(self) -> None:
        self.send_response(self.head_status)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("head_status", [403, 404])
def test_denied_access_is_said_to_be_denied(start_server, s3, head_status):
    """Whether the object is refused, or (it being absent) the listing of its prefix."""
    handler = type("Handler", (Forbidding,), {"head_status": head_status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as store:
        thread = threading.Thread(target=store.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{store.server_address[1]}"
        server = start_server(f"s3://{BUCKET}/key", environ={**s3, "AWS_ENDPOINT_URL": url})
        exit_code = server.wait()
        store.shutdown()
        thread.join()

    assert exit_code == 78
    assert "was denied (HTTP 403)" in server.termination.read_text()
    assert "credentialsSecret" in server.termination.read_text()
