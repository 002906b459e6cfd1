"""What a node's programs are configured to do; each test is a trap that once cost a cluster."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sandbox import node_files
from sandbox.addresses import Addresses
from sandbox.node_files import NodeFiles

PLAN = Addresses(2, 2)
NODE1, NODE2 = PLAN.nodes
FILES = NodeFiles(Path("/state/node1"), Path("/run/slipway/2/node1"), Path("/run/slipway/2/m"))


def kubelet(index: int = 0) -> dict[str, Any]:
    node = PLAN.nodes[index]
    text = node_files.kubelet(FILES, node, addresses=PLAN, authority=Path("/state/pki/ca.crt"))
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def containerd() -> dict[str, Any]:
    return tomllib.loads(node_files.containerd(FILES, pause="slipway.local/pause:1"))


def test_each_kubelet_has_a_control_group_of_its_own() -> None:
    """Two kubelets in one group each remove the other's pods as orphans."""
    assert kubelet(0)["cgroupRoot"] == "/slipway2/node1"
    assert kubelet(1)["cgroupRoot"] == "/slipway2/node2"


def test_kubelets_accept_cgroup_v1_and_change_no_oom_scores() -> None:
    found = kubelet()

    assert (found["failCgroupV1"], found["oomScoreAdj"]) == (False, 0)


def test_images_are_never_collected_because_nobody_could_pull_them_again() -> None:
    assert kubelet()["imageGCHighThresholdPercent"] == 100


def test_pods_are_told_the_clusters_dns_address() -> None:
    assert kubelet()["clusterDNS"] == [PLAN.dns]


def test_kubelet_and_containerd_meet_at_one_socket(containerd: dict[str, Any]) -> None:
    assert kubelet()["containerRuntimeEndpoint"] == f"unix://{containerd['grpc']['address']}"


def test_containerd_does_without_the_right_to_lower_oom_scores(
    containerd: dict[str, Any],
) -> None:
    cri = containerd["plugins"]["io.containerd.grpc.v1.cri"]

    assert cri["restrict_oom_score_adj"] is True


def test_all_that_containerd_keeps_lies_in_the_nodes_folders(containerd: dict[str, Any]) -> None:
    cri = containerd["plugins"]["io.containerd.grpc.v1.cri"]
    folders = (containerd["root"], containerd["state"], cri["cni"]["conf_dir"])

    assert all(folder.startswith((str(FILES.state), str(FILES.run))) for folder in folders)
    assert cri["netns_mounts_under_state_dir"] is True


def test_addresses_of_pods_come_from_the_nodes_own_network_and_stay_visible() -> None:
    (plugin,) = json.loads(node_files.network(FILES, NODE2))["plugins"]

    assert plugin["ipam"]["ranges"] == [[{"subnet": NODE2.pod_cidr}]]
    assert plugin["ipMasq"] is False


def test_the_clients_kube_proxy_takes_the_view_of_a_node() -> None:
    text = node_files.kube_proxy(
        Path("/kubeconfig"), member=PLAN.client, node_name="node1", addresses=PLAN
    )
    found = json.loads(text)

    assert (found["hostnameOverride"], found["bindAddress"]) == ("node1", PLAN.client.address)
    assert (found["mode"], found["clusterCIDR"]) == ("nftables", PLAN.pod_cidr)


def test_a_client_looks_names_up_as_a_pod_of_its_namespace_does() -> None:
    assert node_files.resolver(PLAN.dns, namespace="ml") == (
        "search ml.svc.cluster.local svc.cluster.local cluster.local\n"
        f"nameserver {PLAN.dns}\n"
        "options ndots:5\n"
    )
