"""What Prometheus is to scrape, in the format of its HTTP service discovery.

A list of `{"targets": ["host:port"], "labels": {…}}` (Prometheus' documentation, "Writing HTTP
service discovery"). One entry for each pod, so that each has its name.
"""

from collections.abc import Iterable
from typing import Any

from slipway_api import metrics, names
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine.facts import Workload

Entry = dict[str, Any]


def models(
    owner: tuple[str, str], status: ModelDeploymentStatus, workloads: Iterable[Workload]
) -> list[Entry]:
    """List the ready pods of a ModelDeployment's revisions."""
    namespace, name = owner
    return [
        _entry(
            pod.host,
            names.PORT_HTTP,
            component=names.COMPONENT_MODEL,
            labels={
                metrics.NAMESPACE: namespace,
                metrics.DEPLOYMENT: name,
                metrics.REVISION: workload.revision,
                metrics.ROLE: role(status, workload.revision),
                "pod": pod.name,
            },
        )
        for workload in workloads
        for pod in workload.pods
        if pod.host and pod.is_ready
    ]


def role(status: ModelDeploymentStatus, revision: str) -> str:
    """Say what a revision with pods is to its ModelDeployment."""
    roles = {status.candidate: "candidate", status.stable: "stable"}
    return roles.get(revision, "draining")


def routers(pods: Iterable[tuple[str, str]]) -> list[Entry]:
    """List routers by (name, address). Their metrics name namespaces themselves."""
    return [
        _entry(
            address,
            names.PORT_ROUTER_HEALTH,
            component=names.COMPONENT_ROUTER,
            labels={"pod": name},
        )
        for name, address in pods
    ]


def operator(address: str, pod: str) -> list[Entry]:
    """List the operator that answers. Its metrics name namespaces themselves."""
    return [
        _entry(
            address,
            names.PORT_OPERATOR_HTTP,
            component=names.COMPONENT_OPERATOR,
            labels={"pod": pod},
        )
    ]


def _entry(host: str, port: int, *, component: str, labels: dict[str, str]) -> Entry:
    shown = f"[{host}]" if ":" in host else host
    return {"targets": [f"{shown}:{port}"], "labels": {"component": component} | labels}
