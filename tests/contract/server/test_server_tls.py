"""TLS on both protocols, and certificates that change while connections are open."""

import datetime
import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.server.conftest import DEADLINE_S, ServerProcess, until

pytestmark = pytest.mark.contract

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, -2.5]}]}


@dataclass
class Authority:
    """Signs certificates for `localhost`."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, name: str, key=None) -> tuple[bytes, bytes]:
        """A chain and its key in PEM."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        found = signed(name, key, issuer=self)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return found.public_bytes(Encoding.PEM), private


def signed(name: str, key, *, issuer: Authority | None) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256())


def authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(key, signed(name, key, issuer=None))


class Secret:
    """A folder as the kubelet mounts one: links to `..data`, which is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        folder.mkdir()

    def put(self, **files: bytes) -> None:
        self._count += 1
        version = self.folder / f"..{self._count}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (self.folder / "..new").symlink_to(version.name)
        os.replace(self.folder / "..new", self.folder / "..data")


@dataclass
class Stage:
    """A server with TLS, and what its clients trust."""

    server: ServerProcess
    secret: Secret
    authority: Authority

    def context(self, *pair: Path) -> ssl.SSLContext:
        found = ssl.create_default_context(cadata=self.authority.pem.decode())
        if pair:
            found.load_cert_chain(*pair)
        return found

    def connect(self, context: ssl.SSLContext | None = None, port: int | None = None):
        return http.client.HTTPSConnection(
            "localhost",
            port or self.server.ports[0],
            timeout=DEADLINE_S,
            context=context or self.context(),
        )

    def shown(self, port: int) -> tuple[str, str]:
        """Common name and kind of key of the certificate that a new connection is shown."""
        with socket.create_connection(("localhost", port), timeout=DEADLINE_S) as raw:
            context = self.context()
            if port == self.server.ports[1]:
                context.set_alpn_protocols(["h2"])
            with context.wrap_socket(raw, server_hostname="localhost") as secured:
                found = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))
        (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(name.value), type(found.public_key()).__name__

    def channel(self, **credentials: bytes) -> grpc.Channel:
        found = grpc.ssl_channel_credentials(self.authority.pem, **credentials)
        return grpc.secure_channel(f"localhost:{self.server.ports[1]}", found)


def ask(connection: http.client.HTTPSConnection) -> int:
    connection.request("POST", "/v2/models/model/infer", json.dumps(BODY))
    answer = connection.getresponse()
    answer.read()
    return answer.status


def ask_rpc(channel: grpc.Channel) -> bool:
    request = service_pb2.ModelReadyRequest(name="model")
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    return stub.ModelReady(request, timeout=DEADLINE_S).ready


@pytest.fixture
def start_stage(start_server, models, tmp_path):
    def start_one(*, wants_clients: bool = False) -> Stage:
        made, secret = authority("ca"), Secret(tmp_path / "secret")
        cert, key = made.issue("first")
        secret.put(**{"tls.crt": cert, "tls.key": key, "ca.crt": made.pem})
        more = {"tls_client_ca": secret.folder / "ca.crt"} if wants_clients else {}
        server = start_server(
            models / "identity.onnx",
            tls_cert=secret.folder / "tls.crt",
            tls_key=secret.folder / "tls.key",
            **more,
        )
        until(lambda: "serving model" in server.log.read_text(), what="the model is served")
        return Stage(server, secret, made)

    return start_one


def test_rest_and_grpc_are_answered_under_tls_and_not_without(start_stage):
    stage = start_stage()
    connection = stage.connect()

    assert [ask(connection), ask(connection)] == [200, 200]
    with stage.channel() as channel:
        assert ask_rpc(channel)
    with pytest.raises((OSError, http.client.HTTPException)):
        stage.server.call("/v2/health/live")
    with (
        grpc.insecure_channel(stage.server.grpc_address) as channel,
        pytest.raises(grpc.RpcError),
    ):
        ask_rpc(channel)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_versions_of_tls_are_refused(start_stage):
    stage = start_stage()
    context = stage.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError):
        ask(stage.connect(context))


def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on(start_stage):
    """Also one of another kind of key, which OpenSSL would keep beside the old one."""
    stage = start_stage()
    kept = stage.connect()
    with stage.channel() as channel:
        assert ask(kept) == 200
        assert ask_rpc(channel)
        cert, key = stage.authority.issue("second", rsa.generate_private_key(65537, 2048))

        stage.secret.put(**{"tls.crt": cert, "tls.key": key, "ca.crt": stage.authority.pem})
        second = ("second", "RSAPublicKey")
        http_port, rpc_port = stage.server.ports
        until(lambda: stage.shown(http_port) == second, what="REST shows it")
        until(lambda: stage.shown(rpc_port) == second, what="gRPC shows it")

        assert ask(kept) == 200
        assert ask_rpc(channel)
    assert ask(stage.connect()) == 200


def test_a_pair_that_does_not_fit_is_told_and_the_old_one_stays(start_stage):
    stage = start_stage()
    cert, _ = stage.authority.issue("second")
    _, other = stage.authority.issue("third")

    stage.secret.put(**{"tls.crt": cert, "tls.key": other, "ca.crt": stage.authority.pem})
    until(lambda: "stays in use" in stage.server.log.read_text(), what="it is told")

    assert [stage.shown(port)[0] for port in stage.server.ports] == ["first", "first"]
    assert ask(stage.connect()) == 200


def test_clients_show_a_certificate_where_that_is_asked_for(start_stage, tmp_path):
    stage = start_stage(wants_clients=True)
    cert, key = stage.authority.issue("client")
    stranger_cert, stranger_key = authority("stranger").issue("client")
    pairs = {}
    for name, pair in (("own", (cert, key)), ("strange", (stranger_cert, stranger_key))):
        pairs[name] = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        for path, content in zip(pairs[name], pair, strict=True):
            path.write_bytes(content)

    assert ask(stage.connect(stage.context(*pairs["own"]))) == 200
    for context in (stage.context(), stage.context(*pairs["strange"])):
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(stage.connect(context))
    with stage.channel(certificate_chain=cert, private_key=key) as channel:
        assert ask_rpc(channel)
    with stage.channel() as channel, pytest.raises(grpc.RpcError):
        ask_rpc(channel)


def test_one_port_tells_both_protocols_apart_under_tls_too(start_stage):
    stage = start_stage()
    port = stage.server.either_port
    found = grpc.ssl_channel_credentials(stage.authority.pem)

    assert ask(stage.connect(port=port)) == 200
    both = stage.context()
    both.set_alpn_protocols(["h2", "http/1.1"])  # as curl and browsers do
    assert ask(stage.connect(both, port=port)) == 200
    with grpc.secure_channel(f"localhost:{port}", found) as channel:
        assert ask_rpc(channel)


def test_files_that_are_no_certificate_are_no_start(start_server, models, tmp_path):
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("nothing")

    server = start_server(
        models / "identity.onnx", tls_cert=tmp_path / "a.crt", tls_key=tmp_path / "a.key"
    )

    assert server.wait() == 78
    assert "no certificate and its key in PEM" in server.termination.read_text()
