"""ModelDeployment: the specification that a user writes."""

import re
from itertools import pairwise
from typing import Annotated, Final, Literal

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
from slipway_api.status import ModelDeploymentStatus
from slipway_api.workload import Compute, Runtime

STEP_COUNT_MAX: Final = 20
HEADER_PATTERN: Final = r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
COOKIE_PATTERN: Final = r"^[-_.A-Za-z0-9]+$"


class CanaryStep(ContractModel):
    """One step of a canary."""

    weight: Annotated[
        int, Field(ge=1, le=100, description="Percent of live traffic for the candidate.")
    ]
    hold: Annotated[
        Duration,
        Field(description="Shortest time at this weight, counted from when every router shows it."),
    ] = "0s"
    pause: Annotated[
        bool, Field(description="Stay at this step until a person promotes or resumes.")
    ] = False

    @rule(
        "!has(self.hold) || duration(self.hold) <= duration('168h')",
        message="hold may be at most 168h; to wait for a person write pause: true",
        field="hold",
    )
    def hold_ends(self) -> bool:
        return duration_s(self.hold) <= 168 * 3600


class Canary(ContractModel):
    """Grow the candidate's weight step by step, then to 100 %."""

    steps: Annotated[
        tuple[CanaryStep, ...],
        Field(
            min_length=1,
            max_length=STEP_COUNT_MAX,
            description="Weights in rising order; after the last step the candidate gets 100 %.",
        ),
    ]

    @rule(
        # A list of indexes instead of a two-variable comprehension: older API servers lack it.
        f"{list(range(1, STEP_COUNT_MAX))}.all(i, i >= self.steps.size() ||"
        " self.steps[i].weight > self.steps[i - 1].weight)",
        message="weights must rise from step to step, e.g. 5, 25, 50 (100 follows by itself)",
        field="steps",
    )
    def weights_rise(self) -> bool:
        return all(one.weight < next_.weight for one, next_ in pairwise(self.steps))


DEFAULT_CANARY: Final = Canary(
    steps=(
        CanaryStep(weight=5, hold="2m"),
        CanaryStep(weight=25, hold="5m"),
        CanaryStep(weight=50, hold="5m"),
    )
)


class Rolling(ContractModel):
    """Replace pod by pod: the weight grows with each pod of the candidate that is ready.

    Nothing is held and no proof is waited for; a gate that fails takes the candidate back.
    """


class Direct(ContractModel):
    """Go to 100 % at once, when all pods of the candidate are ready."""


class Strategy(ContractModel):
    """How a new revision takes over."""

    canary: Annotated[
        Canary | None, Field(description="Grow the candidate's weight step by step, then to 100 %.")
    ] = None
    rolling: Annotated[
        Rolling | None,
        Field(
            description="Replace pod by pod: the weight grows with each pod of the candidate that"
            " is ready. Nothing is held, and a gate that fails takes the candidate back. Write {}."
        ),
    ] = None
    direct: Annotated[
        Direct | None,
        Field(
            description="Go to 100 % at once, when all pods of the candidate are ready. No gate is"
            " waited for. Write {}."
        ),
    ] = None

    @rule(
        "[has(self.canary), has(self.rolling), has(self.direct)].filter(x, x).size() == 1",
        message="name exactly one strategy: canary: {steps: […]}, rolling: {} or direct: {}",
    )
    def is_one(self) -> bool:
        return [self.canary, self.rolling, self.direct].count(None) == 2


def default_strategy() -> Strategy:
    """Make the strategy of a deployment that names none.

    It is no default of the schema: an object that stored it could not be changed to another
    strategy by `kubectl apply`, which adds the new one and leaves what it never wrote.
    """
    return Strategy(canary=DEFAULT_CANARY)


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

    @rule(
        "!has(self.header) || !(self.header.startsWith('x-slipway-')"
        " || self.header.startsWith('x-envoy-'))",
        message="x-slipway-* and x-envoy-* are removed from requests: name a header of your own",
        field="header",
    )
    def header_arrives(self) -> bool:
        return not (self.header or "").startswith(("x-slipway-", "x-envoy-"))


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
            description="How a new revision takes over: canary, rolling or direct. If absent:"
            " canary with 5 % for 2m, 25 % for 5m and 50 % for 5m.",
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
