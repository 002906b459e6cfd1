"""What the chart's pods look like: safe by the strictest standard, and reachable by contract."""

from pathlib import Path
from typing import Any

import pytest

from slipway_api import names
from slipway_operator.router import settings as router_settings

pytestmark = pytest.mark.contract

Object = dict[str, Any]

POD_NAMES = [
    "Deployment/slipway-operator",
    "Deployment/slipway-router",
    "Job/slipway-crds-upgrade",
    "Job/slipway-detach",
    "Pod/slipway-test",
]
# https://kubernetes.io/docs/concepts/security/pod-security-standards, Restricted
VOLUMES_ALLOWED = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def container_of(pod: Object) -> Object:
    found: list[Object] = pod["containers"]
    (container,) = found
    return container


def environment_of(pod: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container_of(pod)["env"]}


def find(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (
        each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def test_every_pod_is_known_to_these_tests(pods: dict[str, Object]) -> None:
    assert sorted(pods) == POD_NAMES


@pytest.mark.parametrize("name", POD_NAMES)
def test_pods_meet_the_restricted_security_standard(pods: dict[str, Object], name: str) -> None:
    pod = pods[name]

    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for volume in pod.get("volumes", []):
        assert set(volume) - {"name"} <= VOLUMES_ALLOWED
    security = container_of(pod)["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "privileged" not in security
    assert not any("hostPort" in port for port in container_of(pod).get("ports", []))


@pytest.mark.parametrize("name", POD_NAMES)
def test_no_pod_can_change_its_own_programs(pods: dict[str, Object], name: str) -> None:
    assert container_of(pods[name])["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", POD_NAMES)
def test_every_container_says_what_it_needs(pods: dict[str, Object], name: str) -> None:
    resources = container_of(pods[name])["resources"]

    assert {"cpu", "memory"} <= set(resources["requests"])
    assert "memory" in resources["limits"]


def test_routers_hold_no_token_and_only_their_own_key(
    pods: dict[str, Object], objects: list[Object]
) -> None:
    pod = pods["Deployment/slipway-router"]

    assert pod["automountServiceAccountToken"] is False
    account = find(objects, "ServiceAccount", pod["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    (secret,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    assert secret["secretName"] == names.CERTIFICATES_SECRET
    assert [item["key"] for item in secret["items"]] == ["ca.crt", "router.crt", "router.key"]


def test_a_router_reads_its_settings_from_what_the_chart_sets(
    pods: dict[str, Object], tmp_path: Path
) -> None:
    envoy = tmp_path / "envoy"
    envoy.touch()
    pod = pods["Deployment/slipway-router"]
    environment = environment_of(pod) | {"SLIPWAY_ROUTER_NAME": "router-0"}

    found = router_settings.read(environment | {"SLIPWAY_ROUTER_ENVOY": str(envoy)})

    mounts = {each["name"]: each["mountPath"] for each in container_of(pod)["volumeMounts"]}
    ports = {each["name"]: each["containerPort"] for each in container_of(pod)["ports"]}
    assert found.name == "router-0"
    assert found.xds_host == "slipway-xds.slipway-system.svc.cluster.local"
    assert found.xds_port == names.PORT_XDS
    assert str(found.certificates_dir) == mounts["certificates"]
    assert str(found.run_dir) == mounts["run"]
    assert found.health_port == ports["health"] == names.PORT_ROUTER_HEALTH
    assert found.concurrency == 2
    assert found.log_level == "info"
    assert found.drain_max_s + 20 < pod["terminationGracePeriodSeconds"]


def test_the_chart_sets_nothing_that_a_router_does_not_read(pods: dict[str, Object]) -> None:
    source = Path(router_settings.__file__).read_text(encoding="utf-8")

    for name in environment_of(pods["Deployment/slipway-router"]):
        assert f'"{name.removeprefix(router_settings.PREFIX)}"' in source


def test_a_router_is_replaced_only_after_its_successor_is_ready(objects: list[Object]) -> None:
    spec = find(objects, "Deployment", "slipway-router")["spec"]

    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_an_operator_stands_by_on_another_node(objects: list[Object]) -> None:
    spec = find(objects, "Deployment", "slipway-operator")["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]

    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spread["topologyKey"] == "kubernetes.io/hostname"


def test_routers_can_reach_each_operator_and_find_the_holder(
    objects: list[Object], pods: dict[str, Object]
) -> None:
    service = find(objects, "Service", "slipway-xds")
    watched = find(objects, "Service", "slipway-operator")
    template = find(objects, "Deployment", "slipway-operator")["spec"]["template"]
    ports = {
        each["name"]: each["containerPort"]
        for each in container_of(pods["Deployment/slipway-operator"])["ports"]
    }

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    offered = (*service["spec"]["ports"], *watched["spec"]["ports"])
    assert {port["name"]: port["port"] for port in offered} == ports
    assert ports == {"xds": names.PORT_XDS, "http": names.PORT_OPERATOR_HTTP}


@pytest.mark.parametrize("component", [names.COMPONENT_OPERATOR, names.COMPONENT_ROUTER])
def test_pods_carry_the_labels_by_which_the_operator_finds_them(
    objects: list[Object], component: str
) -> None:
    template = find(objects, "Deployment", f"slipway-{component}")["spec"]["template"]
    labels = template["metadata"]["labels"]

    assert labels[names.LABEL_NAME] == "slipway"
    assert labels[names.LABEL_COMPONENT] == component


def test_a_new_chart_version_alone_restarts_no_router(objects: list[Object]) -> None:
    template = find(objects, "Deployment", "slipway-router")["spec"]["template"]

    assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(template["metadata"]["labels"])


def test_the_operator_is_told_which_server_image_to_run(pods: dict[str, Object]) -> None:
    environment = environment_of(pods["Deployment/slipway-operator"])

    assert environment == {
        "SLIPWAY_OPERATOR_NAMESPACE": None,  # from the pod itself
        "SLIPWAY_OPERATOR_POD": None,
        "SLIPWAY_OPERATOR_SERVER_IMAGE": "slipway/server:0.1.0",
        "SLIPWAY_OPERATOR_SERVER_IMAGE_PULL_POLICY": "IfNotPresent",
        "SLIPWAY_OPERATOR_LOG_LEVEL": "info",
        "SLIPWAY_OPERATOR_LOG_FORMAT": "json",
        "SLIPWAY_OPERATOR_CERTIFICATE_LIFE": "720h",
    }
