"""ComputePool: where model pods may run and what they get by default (cluster-scoped)."""

from typing import Annotated

from pydantic import Field

from slipway_api.base import ContractModel

ResourceMap = dict[str, int | str]


class Resources(ContractModel):
    """Requests and limits of the model container, as in a Pod."""

    requests: Annotated[ResourceMap, Field(description="Minimum guaranteed, e.g. cpu: 500m.")] = {}
    limits: Annotated[ResourceMap, Field(description="Upper bound, e.g. memory: 1Gi.")] = {}


class Toleration(ContractModel):
    """As in a Pod."""

    key: Annotated[str, Field(max_length=317)] = ""
    operator: Annotated[str, Field(pattern="^(Exists|Equal)$")] = "Equal"
    value: Annotated[str, Field(max_length=63)] = ""
    effect: Annotated[str, Field(pattern="^(|NoSchedule|PreferNoSchedule|NoExecute)$")] = ""


class ComputePoolSpec(ContractModel):
    """Where pods of this pool run and what they get by default."""

    node_selector: Annotated[
        dict[str, str], Field(description="Labels a node must carry to belong to this pool.")
    ] = {}
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=16, description="Taints that pods of this pool accept."),
    ] = ()
    resources: Annotated[
        Resources,
        Field(description="Used where a ModelDeployment names none; entries are merged by name."),
    ] = Resources()


class ComputePool(ContractModel):
    """A named set of nodes with default resources; changes apply to the next revision only."""

    spec: ComputePoolSpec = ComputePoolSpec()
