"""Access to the API server, as it is found in files."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_operator.adapters.kubeconfig import (
    KubeconfigError,
    load,
    read_kubeconfig,
    read_service_account,
)


def write(path: Path, *, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    config = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ml"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/"} | cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_certificates_are_read_inline_and_from_files_beside_the_kubeconfig(
    tmp_path: Path,
) -> None:
    (tmp_path / "client.crt").write_text("CERTIFICATE")
    path = write(
        tmp_path / "config",
        cluster={"certificate-authority-data": base64.b64encode(b"AUTHORITY").decode()},
        user={"client-certificate": "client.crt", "client-key-data": "S0VZ"},
    )

    access = read_kubeconfig(path)

    assert access.server == "https://10.0.0.1:6443"
    assert (access.ca, access.certificate, access.key) == ("AUTHORITY", "CERTIFICATE", "KEY")
    assert access.namespace == "ml"
    assert access.bearer_token() is None


def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    access = read_kubeconfig(write(tmp_path / "c", cluster={}, user={"tokenFile": "token"}))

    first = access.bearer_token()
    token.write_text("two\n")

    assert (first, access.bearer_token()) == ("one", "two")


@pytest.mark.parametrize("login", ["exec", "auth-provider", "username"])
def test_logins_that_need_another_program_are_named(tmp_path: Path, login: str) -> None:
    path = write(tmp_path / "config", cluster={}, user={login: {}})

    with pytest.raises(KubeconfigError, match=f"user u logs in by {login}"):
        read_kubeconfig(path)


@pytest.mark.parametrize("text", ["", "{}", "current-context: x", "\t:"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)

    with pytest.raises(KubeconfigError, match=r"broken is no usable kubeconfig"):
        read_kubeconfig(path)


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    for name, text in {"ca.crt": "CA", "namespace": "slipway-system\n", "token": "t"}.items():
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}

    access = read_service_account(environment, tmp_path)

    assert access.server == "https://[fd00::1]:6443"
    assert access.namespace == "slipway-system"
    assert access.bearer_token() == "t"


def test_a_pod_without_a_token_is_told_what_to_change(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="automountServiceAccountToken"):
        read_service_account({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


def test_an_explicit_kubeconfig_wins_and_its_first_existing_file_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "second", cluster={}, user={"token": "t"})
    environment = {
        "KUBECONFIG": f"{tmp_path}/first:{path}",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }

    assert load(environment).token == "t"


def test_no_cluster_at_all_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="no cluster: not in a pod"):
        load({"HOME": str(tmp_path)})
    with pytest.raises(KubeconfigError, match="KUBECONFIG names no existing file"):
        load({"KUBECONFIG": str(tmp_path / "absent")})
