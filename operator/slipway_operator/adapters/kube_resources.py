"""Addresses of the kinds that the operator touches, and nothing about what is in them."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from slipway_api import names


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server addresses it; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, *, namespace: str | None = None, name: str | None = None, subresource: str = ""
    ) -> str:
        """Make the URL path of an object, or of a collection where `name` is None.

        `namespace` None with a namespaced kind means all namespaces, which only lists can span.
        """
        assert self.is_namespaced or namespace is None, f"{self.plural} have no namespace"
        assert name is None or namespace is not None or not self.is_namespaced, (
            f"{self.plural}/{name}: a namespace is needed"
        )
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


MODEL_DEPLOYMENTS: Final = Resource(
    names.GROUP, names.VERSION, names.MODEL_DEPLOYMENT_PLURAL, names.MODEL_DEPLOYMENT_KIND
)
COMPUTE_POOLS: Final = Resource(
    names.GROUP,
    names.VERSION,
    names.COMPUTE_POOL_PLURAL,
    names.COMPUTE_POOL_KIND,
    is_namespaced=False,
)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
SERVICES: Final = Resource("", "v1", "services", "Service")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", is_namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", is_namespaced=False)
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
ENDPOINTS: Final = Resource("", "v1", "endpoints", "Endpoints")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    is_namespaced=False,
)
