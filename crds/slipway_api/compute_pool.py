"""ComputePool: where model pods may run and what they get by default (cluster-scoped)."""

import re
from typing import Annotated, Final

from pydantic import Field

from slipway_api.base import (
    LABEL_KEY_PATTERN,
    QUANTITY_PATTERN,
    ContractModel,
    LabelValue,
    cel_text,
)
from slipway_api.rules import rule

Quantity = (
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=32)]
)
ResourceMap = dict[str, Quantity]

_LABEL_KEY: Final = re.compile(LABEL_KEY_PATTERN)


class Resources(ContractModel):
    """Requests and limits of the model container, as in a Pod."""

    requests: Annotated[
        ResourceMap,
        Field(max_length=16, description="What the scheduler sets aside, e.g. cpu: 500m."),
    ] = Field(default_factory=dict)
    limits: Annotated[
        ResourceMap, Field(max_length=16, description="What may be used at most, e.g. memory: 1Gi.")
    ] = Field(default_factory=dict)

    def over(self, base: "Resources") -> "Resources":
        """Merge by name: each entry of this wins over the base's."""
        return Resources(
            requests=base.requests | self.requests,
            limits=base.limits | self.limits,
        )


class Toleration(ContractModel):
    """A taint that pods accept, as in a Pod."""

    key: Annotated[
        str, Field(max_length=317, description="The taint's key; empty with Exists: every taint.")
    ] = ""
    operator: Annotated[
        str,
        Field(pattern="^(Exists|Equal)$", max_length=6, description="Exists, or Equal to value."),
    ] = "Equal"
    value: Annotated[str, Field(max_length=63, description="The taint's value, for Equal.")] = ""
    effect: Annotated[
        str,
        Field(
            pattern="^(|NoSchedule|PreferNoSchedule|NoExecute)$",
            max_length=16,
            description="NoSchedule, PreferNoSchedule or NoExecute; empty: all of them.",
        ),
    ] = ""

    @rule(
        "self.operator != 'Exists' || self.value == ''",
        message="with operator: Exists leave value out, or write operator: Equal",
        field="value",
    )
    def exists_has_no_value(self) -> bool:
        return self.operator != "Exists" or not self.value

    @rule(
        "self.operator == 'Exists' || self.key != ''",
        message="name the taint's key, or write operator: Exists to accept every taint",
        field="key",
    )
    def equal_has_a_key(self) -> bool:
        return self.operator == "Exists" or bool(self.key)


class ComputePoolSpec(ContractModel):
    """Where pods of this pool run and what they get by default."""

    node_selector: Annotated[
        dict[str, LabelValue],
        Field(max_length=16, description="Labels a node must carry to belong to this pool."),
    ] = Field(default_factory=dict)
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=16, description="Taints that pods of this pool accept."),
    ] = ()
    resources: Annotated[
        Resources,
        Field(description="Used where a ModelDeployment names none; entries are merged by name."),
    ] = Resources()

    elastic: Annotated[
        bool,
        Field(
            description="Nodes come when pods wait for them (a cluster autoscaler): a rollout"
            " begins although no node of today has room for it."
        ),
    ] = False

    @rule(
        f"!has(self.nodeSelector) || self.nodeSelector.all(k, k.size() <= 317 &&"
        f" k.matches({cel_text(LABEL_KEY_PATTERN)}))",
        message="keys of nodeSelector must be label keys, e.g. kubernetes.io/arch",
        field="nodeSelector",
    )
    def selects_by_label_keys(self) -> bool:
        return all(len(key) <= 317 and _LABEL_KEY.fullmatch(key) for key in self.node_selector)


class ComputePool(ContractModel):
    """A named set of nodes with default resources; changes apply to the next revision only."""

    spec: Annotated[
        ComputePoolSpec, Field(description="Where pods run and what they get by default.")
    ] = ComputePoolSpec()
