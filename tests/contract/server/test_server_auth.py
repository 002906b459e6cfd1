"""Keys and tokens before the running server: who may ask for what, over both protocols."""

import hashlib
import http.client
import json
import re
import socket
import time
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2

from tests.contract.server.conftest import DEADLINE_S, ServerProcess, start, until

pytestmark = pytest.mark.contract

INFER = "/v2/models/model/infer"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, -2.5]}]}
RPC = "/inference.GRPCInferenceService/"
SIGNER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def lines(**keys: str) -> str:
    """A file of keys; each value is a key and, behind a space, its rights."""
    found = []
    for name, value in keys.items():
        key, _, rights = value.partition(" ")
        found.append(f"{name} {hashlib.sha256(key.encode()).hexdigest()} {rights}\n")
    return "".join(found)


def token(**claims) -> str:
    now = int(time.time())
    fields = {"iss": "https://id.test", "aud": "churn", "nbf": now, "exp": now + 300}
    return jwt.encode(fields | claims, SIGNER, "RS256", {"kid": "1"})


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    base = tmp_path_factory.mktemp("auth")
    (base / "keys").write_text(lines(shop="k-shop", scraper="k-scraper metrics"))
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SIGNER.public_key()))
    (base / "jwks").write_text(json.dumps({"keys": [public | {"kid": "1"}]}))
    found = start(
        base / "server",
        models / "identity.onnx",
        environ={},
        auth_keys_file=base / "keys",
        auth_jwks_file=base / "jwks",
        auth_jwt_issuer="https://id.test",
        auth_jwt_audience="churn",
    )
    found.find_ports()
    yield found.wait_until_ready()
    found.process.kill()
    found.process.wait()


def rpc(server: ServerProcess, method: str, request: bytes = b"", **metadata: str):
    """The code of a call; OK where there is an answer."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(method, lambda raw: raw, lambda raw: raw)
        try:
            call(request, timeout=DEADLINE_S, metadata=pairs)
        except grpc.RpcError as err:
            return err.code()
        return grpc.StatusCode.OK


def message() -> bytes:
    found = service_pb2.ModelInferRequest(model_name="model")
    entry = found.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    entry.contents.fp32_contents.extend([1, -2.5])
    return found.SerializeToString()


def test_probes_need_no_key(server):
    assert server.call("/v2/health/live").status == 200
    assert server.call("/v2/health/ready").status == 200
    with grpc.insecure_channel(server.grpc_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == 1
    assert rpc(server, f"{RPC}ServerLive") is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "path",
    [
        *("/v2", "/v2/models/model", "/v2/models/model/config", "/v2/models/stats", "/metrics"),
        *("/docs", "/openapi.json", "/v1/models", "/nothing"),
        *("/v2/health/live/", "//v2/health/live"),
    ],
)
def test_every_other_path_needs_one_those_that_are_not_there_included(server, path):
    answer = server.call(path)

    assert (answer.status, answer.fields.keys()) == (401, {"error"})
    assert answer.headers["www-authenticate"] == 'Bearer realm="slipway"'


@pytest.mark.parametrize("path", [INFER, "/v1/models/model:predict", "/v2/repository/index"])
def test_no_inference_without_a_key_and_with_one_it_is_answered(server, path):
    body = {"instances": [[1, 2]]} if "v1" in path else BODY

    assert server.call(path, body).status == 401
    assert server.call(path, body, x_api_key="wrong").status == 401
    assert server.call(path, body, authorization="Basic ax==").status == 401
    assert server.call(path, body, x_api_key="k-scraper").status == 403
    assert server.call(path, body, x_api_key="k-shop").status == 200
    assert server.call(path, body, authorization="Bearer k-shop").status == 200
    assert server.call(path, body, authorization=f"Bearer {token()}").status == 200
    assert server.call(path, body, authorization=f"Bearer {token(aud='x')}").status == 401


def test_metrics_are_for_a_key_that_has_the_right(server):
    assert server.call("/metrics", x_api_key="k-shop").status == 403
    assert server.call("/metrics", x_api_key="k-scraper").status == 200
    scraper = token(scope="slipway:metrics")
    assert server.call("/metrics", authorization=f"Bearer {scraper}").status == 200


def test_grpc_asks_for_the_same(server):
    infer = f"{RPC}ModelInfer"

    assert rpc(server, infer, message()) is UNAUTHENTICATED
    assert rpc(server, infer, message(), x_api_key="wrong") is UNAUTHENTICATED
    assert rpc(server, infer, message(), x_api_key="k-scraper") is DENIED
    assert rpc(server, infer, message(), x_api_key="k-shop") is grpc.StatusCode.OK
    assert rpc(server, infer, message(), authorization="Bearer k-shop") is grpc.StatusCode.OK
    assert rpc(server, infer, message(), authorization=f"Bearer {token()}") is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "path",
    [
        f"{RPC}ModelInfer"[1:],
        f"/{RPC}ModelInfer",
        f"{RPC}ServerLive/../ModelInfer",
        f"{RPC}ServerLive?",
        f"{RPC}serverlive",
        "/grpc.health.v1.Health/",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        f"{RPC}RepositoryModelLoad",
        "/",
    ],
)
def test_odd_paths_of_grpc_open_nothing(server, path):
    assert rpc(server, path, message()) is UNAUTHENTICATED


def test_a_body_without_a_key_is_not_waited_for(server):
    """Nothing of what strangers send is kept, however much they announce."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=DEADLINE_S) as raw:
        raw.sendall(head + b"{")
        answer = raw.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


def test_a_kept_connection_is_asked_each_time(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=DEADLINE_S)
    statuses = []
    for headers in ({"x-api-key": "k-shop"}, {}, {"x-api-key": "k-shop"}):
        connection.request("POST", INFER, json.dumps(BODY), headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [200, 401, 200]


def test_two_credentials_are_none(server):
    answer = server.call(INFER, BODY, x_api_key="k-shop", authorization="Bearer k-shop")

    assert answer.status == 401
    assert "more than one" in answer.fields["error"]


def test_a_changed_file_of_keys_is_used_and_a_bad_one_is_not(start_server, models, tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text(lines(shop="old"))
    server = start_server(models / "identity.onnx", auth_keys_file=path).wait_until_ready()
    assert server.call(INFER, BODY, x_api_key="old").status == 200

    path.write_text(lines(shop="new"))
    until(lambda: server.call(INFER, BODY, x_api_key="new").status == 200, what="it is used")
    assert server.call(INFER, BODY, x_api_key="old").status == 401

    path.write_text("nonsense")
    until(lambda: "stays in use" in server.log.read_text(), what="it is noticed")
    assert server.call(INFER, BODY, x_api_key="new").status == 200
    assert "nonsense" not in server.log.read_text()


def test_a_setting_opens_metadata_and_metrics_and_nothing_else(start_server, models, tmp_path):
    """As in a cluster: the operator and Prometheus come without a key."""
    path = tmp_path / "keys"
    path.write_text(lines(shop="k"))
    server = start_server(
        models / "identity.onnx", auth_keys_file=path, auth_open="metadata,metrics"
    ).wait_until_ready()

    assert server.call("/v2/models/model").status == 200
    assert server.call("/metrics").status == 200
    assert server.call(INFER, BODY).status == 401
    assert server.call("/openapi.json").status == 401


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth_keys_file": "/nowhere/keys"}, "cannot be read"),
        ({"auth_keys_file": "/dev/null"}, "holds no key"),
        ({"auth_jwks_file": "/dev/null"}, "AUTH_JWT_ISSUER and _AUDIENCE"),
        ({"auth_open": "infer"}, "AUTH_OPEN has 'infer'"),
        ({"tls_cert": "/dev/null"}, "need each other"),
    ],
)
def test_what_would_leave_it_open_is_no_start(start_server, models, settings, words):
    server = start_server(models / "identity.onnx", **settings)

    assert server.wait() == 78
    assert words in server.termination.read_text()


def test_an_admin_port_for_everybody_is_no_start(start_server, tmp_path):
    server = start_server(
        "", model_name="", model_repository=tmp_path, admin_host="0.0.0.0", admin_port=0
    )

    assert server.wait() == 78
    assert "open to everybody" in server.termination.read_text()


def test_loading_needs_its_own_right_and_the_admin_port(start_server, models, tmp_path: Path):
    folder = tmp_path / "repository" / "churn" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes((models / "identity.onnx").read_bytes())
    (tmp_path / "keys").write_text(lines(shop="k-shop", ops="k-ops admin"))
    server = start_server(
        "",
        model_name="",
        model_repository=tmp_path / "repository",
        auth_keys_file=tmp_path / "keys",
        admin_port=0,
    ).wait_until_ready()
    told = re.search(r"admin (\d+)", server.log.read_text())
    admin = ServerProcess(**{**vars(server), "ports": (int(told[1]), int(told[1]))})
    path, method = "/v2/repository/models/churn/load", f"{RPC}RepositoryModelLoad"
    load = service_pb2.RepositoryModelLoadRequest(model_name="churn").SerializeToString()

    assert admin.call(path, b"").status == 401
    assert admin.call(path, b"", x_api_key="k-shop").status == 403
    assert admin.call(path, b"", x_api_key="k-ops").status == 200
    assert rpc(admin, method, load) is UNAUTHENTICATED
    assert rpc(admin, method, load, x_api_key="k-shop") is DENIED
    assert rpc(admin, method, load, x_api_key="k-ops") is grpc.StatusCode.OK
    assert server.call(path, b"", x_api_key="k-ops").status == 405
