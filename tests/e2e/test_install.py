"""`helm install`: one command, restricted pods, one inference, and back again."""

import json
from typing import Any

import pytest

from bench.scene import CHART, SYSTEM_NAMESPACE, Scene, install

pytestmark = pytest.mark.e2e

ENFORCE = "pod-security.kubernetes.io/enforce"
DEFINITIONS = ["computepools.slipway.dev", "modeldeployments.slipway.dev"]


def helm(scene: Scene, *arguments: str) -> tuple[int, str]:
    """Run helm on the release; its exit code and all it says."""
    done = scene.run(
        *("helm", arguments[0], "slipway", *arguments[1:], f"--namespace={SYSTEM_NAMESPACE}"),
        text=json.dumps(scene.ground.values),
    )
    return done.returncode, done.stdout + done.stderr


def pods_of(scene: Scene, component: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/name=slipway,app.kubernetes.io/component={component}"
    found = scene.read("pods", f"--selector={selector}", f"--namespace={SYSTEM_NAMESPACE}")
    items: list[dict[str, Any]] = found["items"]
    return [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def may(scene: Scene, verb: str, what: str, *, namespace: str) -> bool:
    """Ask the API server whether the operator may do something."""
    user = f"system:serviceaccount:{SYSTEM_NAMESPACE}:slipway-operator"
    done = scene.run(
        *("kubectl", "auth", "can-i", verb, what, f"--as={user}", f"--namespace={namespace}")
    )
    return done.stdout.strip() == "yes"


def test_one_command_brings_operator_and_routers_up_under_the_restricted_standard(
    scene: Scene,
) -> None:
    labels = scene.read("namespace", SYSTEM_NAMESPACE)["metadata"]["labels"]

    assert labels[ENFORCE] == "restricted"
    assert [len(pods_of(scene, name)) for name in ("operator", "router")] == [2, 2]


def test_routers_are_on_different_nodes(scene: Scene) -> None:
    assert len({pod["spec"]["nodeName"] for pod in pods_of(scene, "router")}) == 2


def test_helm_test_sends_one_inference_and_may_be_run_again(scene: Scene) -> None:
    for _ in range(2):
        code, said = helm(scene, "test", "--logs")
        assert code == 0, said
        assert "answered as expected" in said


def test_an_unknown_value_is_refused_by_name(scene: Scene) -> None:
    code, said = helm(
        scene, "upgrade", str(CHART), "--dry-run=server", "--values=-", "--set=router.replica=3"
    )

    assert code != 0
    assert "replica" in said
    assert "not allowed" in said


def test_the_operator_reads_no_secrets_but_its_own(scene: Scene) -> None:
    own = "secrets/slipway-certificates"

    assert may(scene, "get", own, namespace=SYSTEM_NAMESPACE)
    assert not may(scene, "get", "secrets/other", namespace=SYSTEM_NAMESPACE)
    assert not may(scene, "list", "secrets", namespace=SYSTEM_NAMESPACE)
    assert not may(scene, "get", own, namespace="e2e")
    assert not may(scene, "create", "pods", namespace="e2e")
    assert not may(scene, "*", "*", namespace="e2e")


def test_an_upgrade_updates_definitions_and_leaves_unchanged_routers_alone(scene: Scene) -> None:
    before = uids(pods_of(scene, "router"))
    empty = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = "/spec/versions/0/schema/openAPIV3Schema"
    patch = json.dumps([{"op": "replace", "path": path, "value": empty}])
    scene.kubectl("patch", "crd", DEFINITIONS[0], "--type=json", f"--patch={patch}")

    install(scene)

    schema = scene.read("crd", DEFINITIONS[0])["spec"]["versions"][0]["schema"]
    assert schema["openAPIV3Schema"]["properties"]["spec"]["type"] == "object"
    assert uids(pods_of(scene, "router")) == before
    kinds = "jobs,configmaps,serviceaccounts"
    left = scene.kubectl("get", kinds, "--output=name", f"--namespace={SYSTEM_NAMESPACE}")
    assert "slipway-crds-upgrade" not in left
