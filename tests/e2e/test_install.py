"""`helm install` on a bare cluster: one command, restricted pods, one inference, and back again."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from sandbox import images, places, toolchain
from sandbox.cluster import Cluster
from sandbox.progress import Progress, silent

pytestmark = pytest.mark.e2e

Program = Callable[..., str]

CHART = places.checkout() / "charts" / "slipway"
NAMESPACE = "slipway-system"
ROLLOUT_TIMEOUT = "120s"
COMMAND_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this module's own: nothing but Kubernetes and the three images is there."""
    log = Progress()
    made = Cluster.create("e2e-install", 2, log=log)
    made.up()
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def values(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load the images, and return the values that name them."""
    log = Progress()
    archives = {name: images.ensure(name, log=log) for name in get_args(images.BuiltImage)}
    for archive in archives.values():
        cluster.load_image(archive)
    file = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(images.chart_values(archives)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(cluster: Cluster) -> Program:
    def ran(*argv: str | Path) -> str:
        done = subprocess.run(
            argv,
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
        return done.stdout

    return ran


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, run: Program) -> Program:
    return lambda *argv: run(cluster.kubectl, "--namespace", NAMESPACE, *argv)


@pytest.fixture(scope="module")
def helm(run: Program) -> Program:
    program = toolchain.ensure("helm", log=silent)
    return lambda *argv: run(program, "--namespace", NAMESPACE, *argv)


@pytest.fixture(scope="module")
def installed(helm: Program, kubectl: Program, values: Path) -> None:
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    helm("install", "slipway", CHART, "--values", values)
    for name in ("operator", "router"):
        kubectl("rollout", "status", f"deployment/slipway-{name}", f"--timeout={ROLLOUT_TIMEOUT}")


def pods_of(kubectl: Program, component: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/name=slipway,app.kubernetes.io/component={component}"
    found: list[dict[str, Any]] = json.loads(
        kubectl("get", "pods", "--selector", selector, "--output=json")
    )["items"]
    return found


def test_one_command_brings_operator_and_routers_up(installed: None, kubectl: Program) -> None:
    ready = {name: len(pods_of(kubectl, name)) for name in ("operator", "router")}

    assert ready == {"operator": 1, "router": 2}


def test_routers_are_on_different_nodes(installed: None, kubectl: Program) -> None:
    nodes = {pod["spec"]["nodeName"] for pod in pods_of(kubectl, "router")}

    assert len(nodes) == 2


def test_helm_test_sends_one_inference_through_a_router(installed: None, helm: Program) -> None:
    assert "answered as expected" in helm("test", "slipway", "--logs")


def test_helm_test_may_be_run_again(installed: None, helm: Program) -> None:
    assert "answered as expected" in helm("test", "slipway", "--logs")


def test_an_upgrade_updates_definitions_and_leaves_unchanged_routers_alone(
    installed: None, helm: Program, kubectl: Program, values: Path
) -> None:
    before = {pod["metadata"]["uid"] for pod in pods_of(kubectl, "router")}
    empty = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = "/spec/versions/0/schema/openAPIV3Schema"
    patch = json.dumps([{"op": "replace", "path": path, "value": empty}])
    kubectl("patch", "crd", "computepools.slipway.dev", "--type=json", f"--patch={patch}")

    helm("upgrade", "slipway", CHART, "--values", values)

    query = "--output=jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.type}"
    assert kubectl("get", "crd", "computepools.slipway.dev", query) == "object"
    assert {pod["metadata"]["uid"] for pod in pods_of(kubectl, "router")} == before
    leftovers = kubectl("get", "jobs,configmaps,serviceaccounts", "--output=name")
    assert "slipway-crds-upgrade" not in leftovers


def test_uninstalling_keeps_the_definitions(
    installed: None, helm: Program, kubectl: Program
) -> None:
    helm("uninstall", "slipway", "--wait")

    kept = kubectl("get", "crd", "--output=name").split()
    assert [name.rpartition("/")[2] for name in kept] == [
        "computepools.slipway.dev",
        "modeldeployments.slipway.dev",
    ]
