"""Names of Envoy resources; access logs bring them back, so they can be parsed too.

`~` never occurs in Kubernetes names, and Envoy's statistics do not split at it.
"""

from dataclasses import dataclass
from typing import Final, Literal

Protocol = Literal["http", "grpc"]
PROTOCOLS: Final[tuple[Protocol, ...]] = ("http", "grpc")
_MIRROR: Final = "~mirror"


@dataclass(frozen=True, slots=True)
class ClusterName:
    """Whose cluster it is: the revision that gets a request's first attempt."""

    namespace: str
    name: str
    revision: str
    protocol: Protocol


def owner(namespace: str, name: str) -> str:
    """Name the ModelDeployment; its listener and its RouteConfiguration are called the same."""
    return f"{namespace}/{name}"


def owner_of(resource_name: str) -> str:
    """Tell which ModelDeployment a resource of any type belongs to.

    `ml~churn~r1~http` and `ml/churn` belong to `ml/churn`; a name of another form owns itself.
    """
    parts = resource_name.split("~", 2)
    return owner(parts[0], parts[1]) if len(parts) == 3 else resource_name


def pods(cluster: ClusterName) -> str:
    """Name the cluster of a revision's ready pods."""
    return f"{cluster.namespace}~{cluster.name}~{cluster.revision}~{cluster.protocol}"


def service(cluster: ClusterName) -> str:
    """Name the cluster of the revision's Service address."""
    return f"{pods(cluster)}~service"


def chain(cluster: ClusterName, fallback: str) -> str:
    """Name the cluster that tries one revision, then another."""
    return f"{pods(cluster)}~then~{fallback}"


def mirror(cluster: ClusterName) -> str:
    """Name the cluster of the same pods that gets copies of requests."""
    return f"{pods(cluster)}{_MIRROR}"


def is_mirror(cluster: str) -> bool:
    """Tell whether a cluster gets copies, whose answers nobody reads."""
    return cluster.endswith(_MIRROR)


def parse(cluster: str) -> ClusterName | None:
    """Read the name of any of the clusters above; None if it is not one of ours."""
    match cluster.split("~"):
        case [namespace, name, revision, ("http" | "grpc") as protocol, *_]:
            return ClusterName(namespace, name, revision, protocol)
        case _:
            return None


def log_switch(namespace: str, name: str) -> str:
    """Name the runtime key that turns the access logs of one ModelDeployment on."""
    return f"slipway.log.{namespace}.{name}"
