"""Which names, networks and ports belong to the cluster with index n on this machine.

Everything that two clusters could collide on is derived here from one small number. Pure.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.control_plane import Ports

INDEX_MAX: Final = 31  # pods use 10.128..10.159, Services 10.192..10.223
NODES_MAX: Final = 16
RUN: Final = Path("/run/slipway")
CLUSTER_DOMAIN: Final = "cluster.local"

_POD_NETWORK_FIRST: Final = 128
_SERVICE_NETWORK_FIRST: Final = 192
_PORT_FIRST: Final = 20000  # below the range from which Linux gives ports to clients
_PORTS_PER_CLUSTER: Final = 10
_NODE_HOST_FIRST: Final = 11
_CLIENT_HOST: Final = 10


@dataclass(frozen=True, slots=True)
class Member:
    """One network namespace on the cluster's bridge: a node, or the place where clients run."""

    name: str
    namespace: str
    link: str  # the machine's end of the cable; at most 15 characters (IFNAMSIZ)
    address: str
    pod_cidr: str | None

    @property
    def namespace_file(self) -> Path:
        """Where `ip netns` keeps it."""
        return Path("/run/netns") / self.namespace


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addressing plan of one cluster."""

    index: int
    node_count: int

    def __post_init__(self) -> None:
        """Refuse what would reach into the range of another cluster."""
        if not 0 <= self.index <= INDEX_MAX:
            raise ValueError(f"cluster index {self.index} is not in 0..{INDEX_MAX}")
        if not 1 <= self.node_count <= NODES_MAX:
            raise ValueError(f"a cluster has 1 to {NODES_MAX} nodes, not {self.node_count}")

    @property
    def prefix(self) -> str:
        """What names of links and namespaces begin with."""
        return f"slw{self.index}"

    @property
    def bridge(self) -> str:
        """The bridge that joins the nodes."""
        return f"{self.prefix}br"

    @property
    def node_cidr(self) -> str:
        """The network of the nodes and of the machine's end of the bridge."""
        return f"172.30.{self.index}.0/24"

    @property
    def gateway(self) -> str:
        """The machine's address on the bridge; the API server listens there."""
        return f"172.30.{self.index}.1"

    @property
    def pod_cidr(self) -> str:
        """The network of all pods; each node has a /24 of it."""
        return f"10.{_POD_NETWORK_FIRST + self.index}.0.0/16"

    @property
    def service_cidr(self) -> str:
        """The network of ClusterIPs."""
        return f"10.{_SERVICE_NETWORK_FIRST + self.index}.0.0/16"

    @property
    def dns(self) -> str:
        """The ClusterIP of the DNS Service."""
        return f"10.{_SERVICE_NETWORK_FIRST + self.index}.0.10"

    @property
    def ports(self) -> Ports:
        """Ports of the control plane in the machine's own network."""
        first = _PORT_FIRST + self.index * _PORTS_PER_CLUSTER
        return Ports(first, first + 1, first + 2, first + 3, first + 4)

    @property
    def cgroup(self) -> str:
        """The control group below which all pods of all nodes live."""
        return f"slipway{self.index}"

    @property
    def run(self) -> Path:
        """Sockets and process files; gone after a reboot, like what they speak of."""
        return RUN / str(self.index)

    @property
    def nodes(self) -> tuple[Member, ...]:
        """The nodes, node1 first."""
        return tuple(self._node(number) for number in range(1, self.node_count + 1))

    @property
    def client(self) -> Member:
        """Where clients run: on the cluster's network with its Services, but no node."""
        return Member(
            name="client",
            namespace=f"{self.prefix}-client",
            link=f"{self.prefix}client",
            address=f"172.30.{self.index}.{_CLIENT_HOST}",
            pod_cidr=None,
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """Every network namespace of the cluster."""
        return (*self.nodes, self.client)

    def node_cgroup(self, node: Member) -> str:
        """Return the control group of one node's pods.

        Its own, because a kubelet removes pods that it does not know from the group it is given.
        """
        return f"{self.cgroup}/{node.name}"

    def overlaps(self, networks: Iterable[str]) -> str | None:
        """Return the first of `networks` that this plan cannot live beside, or None."""
        own = [
            ipaddress.ip_network(each)
            for each in (self.node_cidr, self.pod_cidr, self.service_cidr)
        ]
        for text in networks:
            other = ipaddress.ip_network(text, strict=False)
            if any(other.version == mine.version and other.overlaps(mine) for mine in own):
                return text
        return None

    def _node(self, number: int) -> Member:
        return Member(
            name=f"node{number}",
            namespace=f"{self.prefix}-node{number}",
            link=f"{self.prefix}n{number}",
            address=f"172.30.{self.index}.{_NODE_HOST_FIRST + number - 1}",
            pod_cidr=f"10.{_POD_NETWORK_FIRST + self.index}.{number}.0/24",
        )
