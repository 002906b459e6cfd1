"""Strategies: how a new revision takes over, as a user writes it.

`steps` is the whole language; every other strategy is a short way to write some of it.
"""

from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import Field

from slipway_api.base import ContractModel, Duration
from slipway_api.rules import rule
from slipway_api.steps import (
    HOLD_ENDS_CEL,
    HOLD_ENDS_MESSAGE,
    HOLD_HOURS_MAX,
    MATCH_COUNT_MAX,
    STEP_COUNT_MAX,
    CanaryStep,
    Match,
    Mirror,
    RolloutStep,
    hold_ends,
)


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


class BlueGreen(ContractModel):
    """Bring all pods of the candidate up beside stable's, then switch all traffic at once.

    The Service NAME-preview leads to the candidate for the whole rollout, after the switch as
    before it, and between rollouts to stable. After the switch stable keeps its pods for the time
    of `probation`.
    """

    mirror: Mirror = 0
    hold: Annotated[
        Duration,
        Field(description="Shortest time before the switch, from when all pods are ready."),
    ] = "0s"
    pause: Annotated[
        bool, Field(description="Switch only when a person approves, resumes or promotes.")
    ] = False

    @rule(HOLD_ENDS_CEL, message=HOLD_ENDS_MESSAGE, field="hold")
    def holdhold_ends(self) -> bool:
        return hold_ends(self.hold)


class Shadow(ContractModel):
    """Let the candidate answer copies of live requests; clients get stable's answers only."""

    mirror: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Percent of live requests that the candidate gets a copy of.",
        ),
    ] = 10
    hold: Annotated[
        Duration, Field(description="Shortest time of the shadow; the gates must pass, too.")
    ] = "10m"
    canary: Annotated[
        Canary | None,
        Field(
            description="How the candidate goes on when the gates pass. If absent the rollout ends"
            " there and the candidate goes."
        ),
    ] = None

    @rule(HOLD_ENDS_CEL, message=HOLD_ENDS_MESSAGE, field="hold")
    def holdhold_ends(self) -> bool:
        return hold_ends(self.hold)


class ABTest(ContractModel):
    """Give the candidate one share of the users for a time; the gates say who won.

    The candidate wins if every gate passes; stable wins as soon as one fails.
    """

    weight: Annotated[
        int, Field(ge=1, le=99, description="Percent of the users that meet the candidate.")
    ] = 50
    hold: Annotated[Duration, Field(description="Shortest time of the test, e.g. 24h.")]
    then: Annotated[
        Literal["promote", "pause"],
        Field(description="promote: a candidate that won takes over; pause: a person decides."),
    ] = "promote"

    @rule(HOLD_ENDS_CEL, message=HOLD_ENDS_MESSAGE, field="hold")
    def holdhold_ends(self) -> bool:
        return hold_ends(self.hold)


class FeatureFlag(ContractModel):
    """Lead only marked requests to the candidate, until a person promotes it."""

    match: Annotated[
        tuple[Match, ...],
        Field(
            min_length=1,
            max_length=MATCH_COUNT_MAX,
            description="Requests that go to the candidate; one entry suffices.",
        ),
    ]
    canary: Annotated[
        Canary | None,
        Field(description="How the candidate goes on when a person approves; if absent to 100 %."),
    ] = None


_KINDS: Final = (
    *("canary", "blueGreen", "shadow", "abTest", "featureFlag"),
    *("rolling", "direct", "steps"),
)


class Strategy(ContractModel):
    """How a new revision takes over."""

    canary: Annotated[
        Canary | None, Field(description="Grow the candidate's weight step by step, then to 100 %.")
    ] = None
    blue_green: Annotated[
        BlueGreen | None,
        Field(
            description="Bring all pods of the candidate up beside stable's, look at them through"
            " the Service NAME-preview, then switch all traffic at once. Write {} for defaults."
        ),
    ] = None
    shadow: Annotated[
        Shadow | None,
        Field(
            description="Let the candidate answer copies of live requests, then end or go on as"
            " a canary. Write {} for defaults."
        ),
    ] = None
    ab_test: Annotated[
        ABTest | None,
        Field(
            description="Give the candidate a fixed share of the users for a time; needs"
            " traffic.sticky."
        ),
    ] = None
    feature_flag: Annotated[
        FeatureFlag | None,
        Field(description="Lead only requests with a header or cookie to the candidate."),
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
    steps: Annotated[
        tuple[RolloutStep, ...] | None,
        Field(
            min_length=1,
            max_length=STEP_COUNT_MAX,
            description="A plan of your own, step by step; after the last step the candidate gets"
            " 100 %.",
        ),
    ] = None
    probation: Annotated[
        Duration | None,
        Field(
            description="How long stable keeps all its pods after the candidate got 100 %; a gate"
            " that fails meanwhile leads all traffic back at once. If absent: 5m for blueGreen,"
            " else 0s."
        ),
    ] = None

    @rule(
        f"[{', '.join(f'has(self.{name})' for name in _KINDS)}].filter(x, x).size() == 1",
        message="name exactly one strategy of canary, blueGreen, shadow, abTest, featureFlag,"
        " rolling, direct and steps, e.g. canary: {steps: […]} or rolling: {}",
    )
    def is_one(self) -> bool:
        named = (
            *(self.canary, self.blue_green, self.shadow, self.ab_test, self.feature_flag),
            *(self.rolling, self.direct, self.steps),
        )
        return sum(each is not None for each in named) == 1

    @rule(
        "!has(self.steps) || self.steps.filter(s, has(s.weight)).map(s, s.weight).isSorted()",
        message="weights may not fall from step to step, e.g. 0, 5, 50 (100 follows by itself)",
        field="steps",
    )
    def weights_do_not_fall(self) -> bool:
        weights = [step.weight for step in self.steps or () if step.weight is not None]
        return weights == sorted(weights)

    @rule(
        f"!has(self.probation) || duration(self.probation) <= duration('{HOLD_HOURS_MAX}h')",
        message=f"probation may be at most {HOLD_HOURS_MAX}h",
        field="probation",
    )
    def probationhold_ends(self) -> bool:
        return hold_ends(self.probation)


def default_strategy() -> Strategy:
    """Make the strategy of a deployment that names none.

    It is no default of the schema: an object that stored it could not be changed to another
    strategy by `kubectl apply`, which adds the new one and leaves what it never wrote.
    """
    return Strategy(canary=DEFAULT_CANARY)
