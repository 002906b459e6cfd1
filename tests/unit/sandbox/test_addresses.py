"""The addressing plan: clusters side by side never share a name, a network or a port."""

from itertools import combinations

import pytest

from sandbox.addresses import INDEX_MAX, NODES_MAX, Addresses

LINK_NAME_LENGTH_MAX = 15  # IFNAMSIZ less the zero byte


def everything(plan: Addresses) -> set[str]:
    """Collect all that a cluster makes machine-wide."""
    ports = plan.ports
    return {
        plan.bridge,
        plan.cgroup,
        plan.gateway,
        str(plan.run),
        *(member.namespace for member in plan.members),
        *(member.link for member in plan.members),
        *(member.address for member in plan.members),
        *map(
            str,
            (ports.etcd_client, ports.etcd_peer, ports.api, ports.controllers, ports.scheduler),
        ),
    }


def test_no_two_clusters_share_anything() -> None:
    plans = [Addresses(index, NODES_MAX) for index in range(INDEX_MAX + 1)]

    for one, other in combinations(plans, 2):
        assert not everything(one) & everything(other)
        assert not one.overlaps([other.node_cidr, other.pod_cidr, other.service_cidr])


def test_link_names_fit_into_the_kernel() -> None:
    members = Addresses(INDEX_MAX, NODES_MAX).members

    assert max(len(member.link) for member in members) <= LINK_NAME_LENGTH_MAX


def test_members_of_a_cluster_differ_in_everything() -> None:
    plan = Addresses(0, NODES_MAX)

    for attribute in ("name", "namespace", "link", "address"):
        assert len({getattr(each, attribute) for each in plan.members}) == NODES_MAX + 1


def test_pods_of_a_node_live_inside_the_pod_network() -> None:
    plan = Addresses(3, 2)

    assert [node.pod_cidr for node in plan.nodes] == ["10.131.1.0/24", "10.131.2.0/24"]
    assert plan.pod_cidr == "10.131.0.0/16"


def test_the_clients_place_has_no_pods() -> None:
    assert Addresses(0, 2).client.pod_cidr is None


@pytest.mark.parametrize(
    ("network", "collides"),
    [
        ("10.128.0.0/9", True),
        ("172.30.0.0/16", True),
        ("10.192.77.0/24", True),
        ("172.30.1.0/24", False),
        ("192.168.0.0/16", False),
        ("fd00::/8", False),
    ],
)
def test_a_network_of_the_machine_that_overlaps_is_seen(network: str, collides: bool) -> None:
    assert Addresses(0, 2).overlaps([network]) == (network if collides else None)


@pytest.mark.parametrize(("index", "nodes"), [(-1, 2), (INDEX_MAX + 1, 2), (0, 0), (0, 17)])
def test_a_plan_outside_its_range_is_refused(index: int, nodes: int) -> None:
    with pytest.raises(ValueError, match="not"):
        Addresses(index, nodes)
