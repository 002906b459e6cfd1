"""Steps: what a plan is written with. The strategies that have names are in `strategy`."""

import re
from typing import Annotated, Final

from pydantic import Field

from slipway_api.base import ContractModel, Duration, cel_text, duration_s
from slipway_api.rules import rule

STEP_COUNT_MAX: Final = 20
MATCH_COUNT_MAX: Final = 4
HOLD_HOURS_MAX: Final = 168
HEADER_PATTERN: Final = r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
COOKIE_PATTERN: Final = r"^[-_.A-Za-z0-9]+$"
MATCH_VALUE_PATTERN: Final = r"^[!-:<-~]+$"  # visible characters; a semicolon ends a cookie
SHARE_OF_PODS_PATTERN: Final = r"^(100|[1-9][0-9]?)%$"
POD_COUNT_MAX: Final = 1000

HEADER_ARRIVES_CEL: Final = (
    "!has(self.header) || !(self.header.startsWith('x-slipway-')"
    " || self.header.startsWith('x-envoy-'))"
)
HEADER_ARRIVES_MESSAGE: Final = (
    "x-slipway-* and x-envoy-* are removed from requests: name a header of your own"
)

# What must hold wherever there is a `hold`; CEL knows no functions of our own.
HOLD_ENDS_CEL: Final = f"!has(self.hold) || duration(self.hold) <= duration('{HOLD_HOURS_MAX}h')"
HOLD_ENDS_MESSAGE: Final = (
    f"hold may be at most {HOLD_HOURS_MAX}h; to wait for a person write pause: true"
)


def header_arrives(header: str | None) -> bool:
    """Tell whether routers leave a client's header in a request."""
    return not (header or "").startswith(("x-slipway-", "x-envoy-"))


def hold_ends(hold: str | None) -> bool:
    """Tell whether a hold ends within a week."""
    return hold is None or duration_s(hold) <= HOLD_HOURS_MAX * 3600


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
        bool, Field(description="Stay at this step until a person approves, resumes or promotes.")
    ] = False

    @rule(HOLD_ENDS_CEL, message=HOLD_ENDS_MESSAGE, field="hold")
    def holdhold_ends(self) -> bool:
        return hold_ends(self.hold)


class Match(ContractModel):
    """Requests that go to the candidate whatever its weight is."""

    header: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=HEADER_PATTERN,
            description="Header (gRPC: metadata) that a request has, in lower case: x-beta.",
        ),
    ] = None
    cookie: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=COOKIE_PATTERN,
            description="Cookie that a request has.",
        ),
    ] = None
    value: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=MATCH_VALUE_PATTERN,
            description="The whole value that it has, e.g. yes.",
        ),
    ]

    @rule(
        "has(self.header) != has(self.cookie)",
        message="give a header or a cookie, e.g. header: x-beta and value: yes in quotes",
    )
    def is_one(self) -> bool:
        return (self.header is None) != (self.cookie is None)

    @rule(HEADER_ARRIVES_CEL, message=HEADER_ARRIVES_MESSAGE, field="header")
    def header_arrives(self) -> bool:
        return header_arrives(self.header)


Matches = Annotated[
    tuple[Match, ...],
    Field(
        max_length=MATCH_COUNT_MAX,
        description="Requests that go to the candidate whatever its weight is; one entry suffices.",
    ),
]
Mirror = Annotated[
    int,
    Field(
        ge=0,
        le=100,
        description="Percent of the live requests of stable that the candidate gets a copy of; its"
        " answers are measured and thrown away.",
    ),
]


class RolloutStep(ContractModel):
    """One step of a plan of your own. What it does not name stays as the step before left it.

    First weight, mirror, match and scale are brought about, then it is held, then gates are waited
    for, then a person.
    """

    weight: Annotated[
        int | None,
        Field(ge=0, le=100, description="Percent of live traffic for the candidate."),
    ] = None
    mirror: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Percent of the live requests of stable that the candidate gets a copy of;"
            " 0 ends it.",
        ),
    ] = None
    match: Annotated[
        Matches | None,
        Field(description="Requests that go to the candidate at any weight; [] ends it."),
    ] = None
    scale: Annotated[
        Annotated[int, Field(ge=0, le=POD_COUNT_MAX)] | Annotated[str, Field(max_length=4)] | None,
        Field(
            description="Least number of candidate pods, or a percentage of compute.replicas; the"
            " weight may need more."
        ),
    ] = None
    hold: Annotated[
        Duration | None,
        Field(description="Shortest time of this step, counted from when every router shows it."),
    ] = None
    gate: Annotated[
        bool,
        Field(
            description="Stay until every gate has passed. A gate that fails takes the candidate"
            " back at any step."
        ),
    ] = False
    approve: Annotated[
        bool, Field(description="Stay until a person approves, resumes or promotes.")
    ] = False

    @property
    def asks_something(self) -> bool:
        """Whether it changes or waits for anything."""
        named = (self.weight, self.mirror, self.match, self.scale, self.hold)
        return self.gate or self.approve or any(value is not None for value in named)

    @rule(HOLD_ENDS_CEL, message=HOLD_ENDS_MESSAGE, field="hold")
    def holdhold_ends(self) -> bool:
        return hold_ends(self.hold)

    @rule(
        "has(self.weight) || has(self.mirror) || has(self.match) || has(self.scale)"
        " || has(self.hold) || (has(self.gate) && self.gate)"
        " || (has(self.approve) && self.approve)",
        message="a step has one or more of weight, mirror, match, scale, hold, gate and approve",
    )
    def says_something(self) -> bool:
        return self.asks_something

    @rule(
        "!has(self.scale) || type(self.scale) == int ||"
        f" string(self.scale).matches({cel_text(SHARE_OF_PODS_PATTERN)})",
        message="scale is a number of pods or a percentage of compute.replicas, e.g. 2 or 50%",
        field="scale",
    )
    def scale_is_pods(self) -> bool:
        if not isinstance(self.scale, str):
            return True
        return bool(re.fullmatch(SHARE_OF_PODS_PATTERN, self.scale))
