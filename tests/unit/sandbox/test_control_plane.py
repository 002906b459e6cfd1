"""Command lines and certificates of the control plane."""

import base64
import datetime
import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from sandbox import control_plane, kubeconfig, pki
from sandbox.addresses import Addresses
from sandbox.layout import Layout

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LAYOUT = Layout("dev", Path("/cache/clusters/dev"), Addresses(1, 2))
PLANE = LAYOUT.control_plane(Path("/bin"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.write(folder, (*PLANE.leaves(), *LAYOUT.leaves()), now=NOW)
    return folder


def read(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pki.pair(folder, name).certificate.read_bytes())


def test_the_api_server_listens_on_the_bridge_only() -> None:
    command = PLANE.api_server()

    assert "--bind-address=172.30.1.1" in command
    assert PLANE.url == "https://172.30.1.1:20012"


def test_requests_of_pods_are_audited_but_not_those_of_the_cluster_itself() -> None:
    command = PLANE.api_server()

    assert f"--audit-policy-file={PLANE.audit_policy}" in command
    assert f"--audit-log-path={LAYOUT.audit_log}" in command
    first, second, last = control_plane.audit_rules()["rules"]
    assert first == {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]}
    assert second == {"level": "Metadata", "userGroups": ["system:serviceaccounts"]}
    assert last == {"level": "None"}


def test_etcd_listens_on_loopback_only() -> None:
    urls = [word for word in PLANE.etcd() if "http://" in word]

    assert urls
    assert all("http://127.0.0.1:" in word for word in urls)


def test_the_controllers_do_not_throttle_themselves() -> None:
    command = PLANE.controller_manager(Path("/kubeconfig"), node_grace_s=20)

    assert {"--kube-api-qps=200", "--node-monitor-grace-period=20s"} <= set(command)


def test_the_api_server_is_trusted_by_every_name_it_is_called_by(certificates: Path) -> None:
    names = read(certificates, "apiserver").extensions.get_extension_for_oid(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    )
    assert isinstance(names.value, x509.SubjectAlternativeName)

    addresses = {str(each) for each in names.value.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", "172.30.1.1", "10.193.0.1"} <= addresses
    assert "kubernetes.default.svc" in names.value.get_values_for_type(x509.DNSName)


def test_a_nodes_certificate_makes_it_that_node_to_the_authorizer(certificates: Path) -> None:
    subject = read(certificates, "node2").subject

    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "system:node:node2"
    ]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:nodes"
    ]


def test_leaves_are_signed_by_the_authority(certificates: Path) -> None:
    authority = read(certificates, "ca")

    for name in ("apiserver", "admin", "front-proxy", "kube-proxy", "node1"):
        read(certificates, name).verify_directly_issued_by(authority)


def test_keys_are_readable_by_their_owner_only(certificates: Path) -> None:
    modes = {stat.S_IMODE(key.stat().st_mode) for key in certificates.glob("*.key")}

    assert modes == {0o600}


def test_a_kubeconfig_needs_no_other_file(certificates: Path, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "admin"
    client = pki.pair(certificates, "admin")
    kubeconfig.write(
        path,
        server=PLANE.url,
        authority=certificates / "ca.crt",
        client=client,
        name="slipway-dev",
    )

    found = json.loads(path.read_text())

    key = base64.b64decode(found["users"][0]["user"]["client-key-data"])
    assert key == client.key.read_bytes()
    assert found["clusters"][0]["cluster"]["server"] == PLANE.url
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
