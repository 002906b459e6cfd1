"""What a demo brings to a cluster of somebody is accepted by an API server and taken away again.

There is no kubelet here: the test says for it that the pod is ready.
"""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest

from bench import changes, guest_ground
from bench.models import TUMOUR
from bench.stage import DEMO_LABEL, SYSTEM_NAMESPACE, StageError
from sandbox.apiserver import ApiServer
from sandbox.progress import silent

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

SPACE: Final = f"--namespace={SYSTEM_NAMESPACE}"
TIMEOUT_S: Final = 30.0
READY: Final = {
    "podIP": "10.1.2.3",
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
}


def kubectl(server: ApiServer, *arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [str(server.kubectl), f"--kubeconfig={server.kubeconfig}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr
    return done.stdout


@pytest.fixture
def server(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """An API server with the operator's Deployment, as if Slipway were installed by hand."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    monkeypatch.setenv("PATH", f"{api_server.kubectl.parent}{os.pathsep}{os.environ['PATH']}")
    labels = {"app": "operator"}
    container = {"name": "operator", "image": "example.com/slipway/operator:0.1.0"}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": SYSTEM_NAMESPACE},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "slipway-operator", "namespace": SYSTEM_NAMESPACE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl(api_server, "apply", "--server-side", "-f", "-", text=json.dumps(listed))
    return api_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / TUMOUR / "1.0.0.onnx"
    model.parent.mkdir()
    model.write_bytes(bytes(range(256)))
    return tmp_path


def context_of(server: ApiServer) -> str:
    return kubectl(server, "config", "current-context").strip()


def say_ready(server: ApiServer) -> None:
    """Do what a kubelet does, once the pod is there."""
    deadline_s = time.monotonic() + TIMEOUT_S
    patch = json.dumps({"status": READY})
    while time.monotonic() < deadline_s:
        said = kubectl(
            server,
            *("patch", "pod", guest_ground.NAME, SPACE, "--subresource=status"),
            *("--type=merge", f"--patch={patch}"),
        )
        if said:
            return
        time.sleep(0.1)


def test_a_guest_brings_a_pod_and_its_files_and_takes_them_away(
    server: ApiServer, folder: Path
) -> None:
    kubelet = threading.Thread(target=say_ready, args=(server,))
    kubelet.start()
    entered = guest_ground.entered(context_of(server), {}, models=folder, keep=False, log=silent)

    with entered as ground, ground.serving(folder) as base_url:
        pod = json.loads(kubectl(server, "get", "pod", guest_ground.NAME, SPACE, "-o", "json"))
        has_slipway = ground.has_slipway()
    kubelet.join(TIMEOUT_S)

    assert base_url == "http://10.1.2.3:8080"
    assert pod["spec"]["containers"][0]["image"] == "example.com/slipway/operator:0.1.0"
    assert not has_slipway, "no release of Helm's is there"
    left = kubectl(
        server, "get", "pods,configmaps", SPACE, f"--selector={DEMO_LABEL}", "-o", "name"
    )
    assert left == ""


def test_a_namespace_of_somebody_is_left_alone(server: ApiServer, folder: Path) -> None:
    kubectl(server, "create", "namespace", changes.NAMESPACE)
    try:
        with (
            pytest.raises(StageError, match="not of a demo"),
            guest_ground.entered(context_of(server), {}, models=folder, keep=False, log=silent),
        ):
            raise AssertionError("entered")
    finally:
        kubectl(server, "delete", "namespace", changes.NAMESPACE, "--wait=false")


def test_a_context_that_is_not_there_is_named(server: ApiServer, folder: Path) -> None:
    with (
        pytest.raises(StageError, match="there is no context 'absent'"),
        guest_ground.entered("absent", {}, models=folder, keep=False, log=silent),
    ):
        raise AssertionError("entered")
