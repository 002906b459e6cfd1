"""ModelDeployment: the specification that a user writes."""

import re
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from slipway_api.analysis import Analysis
from slipway_api.base import (
    DNS_LABEL_PATTERN,
    ContractModel,
    Duration,
    cel_text,
    duration_s,
)
from slipway_api.model_source import ModelSource
from slipway_api.names import NAME_LENGTH_MAX
from slipway_api.rules import rule
from slipway_api.static_answer import StaticAnswer
from slipway_api.status import ModelDeploymentStatus
from slipway_api.steps import (
    COOKIE_PATTERN,
    HEADER_ARRIVES_CEL,
    HEADER_ARRIVES_MESSAGE,
    HEADER_PATTERN,
    header_arrives,
)
from slipway_api.strategy import Strategy, default_strategy
from slipway_api.workload import Compute, Runtime


class Sticky(ContractModel):
    """What a client is known by: while a weight grows, whoever met the candidate stays with it."""

    header: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=128,
            pattern=HEADER_PATTERN,
            description="Header (gRPC: metadata) that names a user, in lower case: x-user-id.",
        ),
    ] = None
    cookie: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=128,
            pattern=COOKIE_PATTERN,
            description="Cookie that names a session. None is set by us.",
        ),
    ] = None

    @rule(
        "has(self.header) != has(self.cookie)",
        message="give a header or a cookie, e.g. header: x-user-id",
    )
    def is_one(self) -> bool:
        return (self.header is None) != (self.cookie is None)

    @rule(HEADER_ARRIVES_CEL, message=HEADER_ARRIVES_MESSAGE, field="header")
    def header_arrives(self) -> bool:
        return header_arrives(self.header)


class TrafficPolicy(ContractModel):
    """How requests are treated on their way to the pods."""

    timeout: Annotated[
        Duration, Field(description="Longest time for one request, retries included.")
    ] = "60s"
    retry: Annotated[
        Literal["any", "unprocessed", "none"],
        Field(
            description="any: a failed attempt is tried again, at most twice, on another pod or on"
            " stable; unprocessed: only if the pod cannot have begun; none: never."
        ),
    ] = "any"

    sticky: Annotated[
        Sticky | None,
        Field(description="Who stays with the revision that answered; absent: nobody."),
    ] = None
    static_answer: Annotated[
        StaticAnswer | None,
        Field(description="What clients get when no revision can be reached; absent: an error."),
    ] = None

    @rule(
        "!has(self.timeout) || (duration(self.timeout) > duration('0s')"
        " && duration(self.timeout) <= duration('1h'))",
        message="timeout must be above 0 and at most 1h, e.g. 60s",
        field="timeout",
    )
    def timeout_is_sensible(self) -> bool:
        return 0 < duration_s(self.timeout) <= 3600


class ModelDeploymentSpec(ContractModel):
    """What should serve, where, and how changes are made."""

    model: Annotated[ModelSource, Field(description="Which model, and where its bytes are.")]
    runtime: Annotated[Runtime, Field(description="The program that serves the model.")] = Runtime()
    compute: Annotated[Compute, Field(description="Where the pods run, how many, with what.")] = (
        Compute()
    )
    strategy: Annotated[
        Strategy,
        Field(
            default_factory=default_strategy,
            description="How a new revision takes over: canary, blueGreen, shadow, abTest,"
            " featureFlag, rolling, direct, or steps of your own. If absent: canary with 5 % for"
            " 2m, 25 % for 5m and 50 % for 5m.",
        ),
    ]
    analysis: Annotated[
        Analysis,
        Field(
            description="Which measurements decide, besides failures, refusals and pod health,"
            " which are always watched."
        ),
    ] = Analysis()
    traffic: Annotated[
        TrafficPolicy, Field(description="How requests are treated on their way to the pods.")
    ] = TrafficPolicy()

    @rule(
        "!has(self.strategy) || !has(self.strategy.abTest)"
        " || (has(self.traffic) && has(self.traffic.sticky))",
        message="abTest shows each user one of two arms: say in traffic.sticky what a user is known"
        " by, e.g. traffic: {sticky: {header: x-user-id}}",
        field="strategy",
    )
    def arms_are_sticky(self) -> bool:
        return self.strategy.ab_test is None or self.traffic.sticky is not None


class Metadata(ContractModel):
    """The part of ObjectMeta that the operator reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class ModelDeployment(ContractModel):
    """A model in production, and how it is changed.

    A change of spec.model, or of anything else that changes pods, becomes a new revision that takes
    over step by step and is taken back if it does worse than the one that serves.
    """

    metadata: Metadata
    spec: Annotated[
        ModelDeploymentSpec,
        Field(description="What should serve, where, and how changes are made."),
    ]
    status: Annotated[
        ModelDeploymentStatus,
        Field(description="Where the deployment stands and why; written by the operator."),
    ] = ModelDeploymentStatus()

    @rule(
        f"self.metadata.name.size() <= {NAME_LENGTH_MAX}",
        message=f"metadata.name may have at most {NAME_LENGTH_MAX} characters:"
        " names of Services are made from it",
    )
    def name_is_short(self) -> bool:
        return len(self.metadata.name) <= NAME_LENGTH_MAX

    @rule(
        f"self.metadata.name.matches({cel_text(DNS_LABEL_PATTERN)})",
        message="metadata.name becomes the name of a Service: write lower-case letters, digits and"
        " '-', beginning with a letter, e.g. churn-v2",
    )
    def name_is_a_label(self) -> bool:
        return bool(re.fullmatch(DNS_LABEL_PATTERN, self.metadata.name))
