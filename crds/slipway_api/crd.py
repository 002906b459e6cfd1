"""CustomResourceDefinitions, made from the models: the models are the one source.

Pure: it returns dictionaries; `python -m slipway_api` writes them down.
"""

from dataclasses import dataclass
from typing import Any, Final

from slipway_api.base import ContractModel
from slipway_api.compute_pool import ComputePool
from slipway_api.model_deployment import ModelDeployment
from slipway_api.names import (
    COMPUTE_POOL_KIND,
    COMPUTE_POOL_PLURAL,
    GROUP,
    MODEL_DEPLOYMENT_KIND,
    MODEL_DEPLOYMENT_PLURAL,
    VERSION,
)
from slipway_api.structural import Schema, structural

API_VERSION_DESCRIPTION: Final = "Version of this kind's schema, e.g. slipway.dev/v1alpha1."
KIND_DESCRIPTION: Final = "Kind of the object."


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `priority` 1 shows it with `-o wide` only."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0

    def to_wire(self) -> dict[str, object]:
        """Write the column as the definition wants it."""
        column: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "description": self.description,
            "jsonPath": self.path,
        }
        return column | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True, slots=True)
class Scale:
    """Where `kubectl scale` and autoscalers read and write how many pods there are."""

    spec_replicas: str
    status_replicas: str
    selector: str

    def to_wire(self) -> dict[str, str]:
        """Write the subresource as the definition wants it."""
        return {
            "specReplicasPath": self.spec_replicas,
            "statusReplicasPath": self.status_replicas,
            "labelSelectorPath": self.selector,
        }


@dataclass(frozen=True, slots=True)
class Kind:
    """How one model is served by the Kubernetes API."""

    model: type[ContractModel]
    kind: str
    plural: str
    short_name: str
    is_namespaced: bool
    columns: tuple[Column, ...]
    scale: Scale | None = None


_AGE: Final = Column("Age", "date", ".metadata.creationTimestamp", "Time since creation.")
_READY: Final = '.status.conditions[?(@.type=="Ready")]'

KINDS: Final = (
    Kind(
        model=ModelDeployment,
        kind=MODEL_DEPLOYMENT_KIND,
        plural=MODEL_DEPLOYMENT_PLURAL,
        short_name="md",
        is_namespaced=True,
        columns=(
            Column("Phase", "string", ".status.phase", "Where the deployment stands."),
            Column("Stable", "string", ".status.stable", "The revision clients can rely on."),
            Column("Candidate", "string", ".status.candidate", "The revision that is tried."),
            Column(
                "Weight", "integer", ".status.weight.verified", "The candidate's share in percent."
            ),
            Column("Ready", "string", f"{_READY}.status", "Whether what was asked for serves."),
            _AGE,
            Column("Message", "string", f"{_READY}.message", "Why it is not ready.", priority=1),
        ),
        scale=Scale(".spec.compute.replicas", ".status.replicas.stable", ".status.selector"),
    ),
    Kind(
        model=ComputePool,
        kind=COMPUTE_POOL_KIND,
        plural=COMPUTE_POOL_PLURAL,
        short_name="pool",
        is_namespaced=False,
        columns=(
            Column("Nodes", "string", ".spec.nodeSelector", "Labels of the pool's nodes."),
            _AGE,
        ),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """Make the CustomResourceDefinition of one kind."""
    subresources: dict[str, Any] = {}
    if "status" in kind.model.model_fields:
        subresources["status"] = {}
    if kind.scale is not None:
        subresources["scale"] = kind.scale.to_wire()
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema(kind.model)},
        "additionalPrinterColumns": [column.to_wire() for column in kind.columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.is_namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["slipway"],
            },
            "versions": [version | ({"subresources": subresources} if subresources else {})],
        },
    }


def _root_schema(model: type[ContractModel]) -> Schema:
    """Make the schema of a whole object.

    The API server owns metadata. Defaults of status members would fill every object with words the
    operator never said; the one default that status has as a whole makes an object that nobody has
    looked at yet count as in progress for kstatus, and so for Helm and Flux.
    """
    raw = model.model_json_schema()
    spec = structural(raw)["properties"]["spec"]
    schema: Schema = {
        "description": " ".join(raw["description"].split()),
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION_DESCRIPTION},
            "kind": {"type": "string", "description": KIND_DESCRIPTION},
            "metadata": {"type": "object"},
            "spec": spec,
        },
        "required": ["spec"],
    }
    if "x-kubernetes-validations" in raw:
        schema["x-kubernetes-validations"] = raw["x-kubernetes-validations"]
    if "status" in raw["properties"]:
        status = structural(raw, with_defaults=False)["properties"]["status"]
        schema["properties"]["status"] = status | {"default": {"observedGeneration": -1}}
    return schema
