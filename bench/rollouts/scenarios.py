"""The scenarios that a rollout is put to, and what is promised of each: values only.

A new scenario is one entry of `SCENARIOS`; something that has not been broken yet is one more
`Break`, which `bench.rollouts.playing` must know how to break.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bench import trial
from bench.rollouts.strategies import Stop, Strategy, canary
from slipway_api.conditions import Outcome

HELD: Final = "Held"  # the outcome of a rollout that goes on, neither promoted nor taken back
ZERO_S_MEDIAN: Final = 1.0
ZERO_S_MAX: Final = 2.0


class Break(StrEnum):
    """What is done besides applying another version of the model."""

    NOTHING = "nothing"
    PERSON_ABORTS = "a person aborts"
    PERSON_UNDOES = "a person undoes"
    STABLE_POD = "one stable pod refuses connections"
    OPERATOR = "the leading operator is killed as the candidate gets weight"
    PROMETHEUS_DIES = "Prometheus is killed while the candidate has weight"
    PROMETHEUS_DEAD = "Prometheus is dead from before the change on"
    ONE_POD = "one candidate pod crashes again and again"
    ALL_PODS = "all candidate pods crash, each five seconds after its start"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`outcome` is what is promised, `reacts` that the candidate is at zero within `ZERO_S_MAX`.

    `rate` is of requests per second (None: what the run is for), `watched_s` how long a rollout
    that must go on is looked at. `only` names the strategies it makes sense with (empty: every one
    that is guarded). `repeats` is how often it is played, unless somebody asks for another number.
    `stop` is where trouble comes, if not at the strategy's own last place.
    """

    name: str
    version: str
    outcome: str
    breaks: Break = Break.NOTHING
    reacts: bool = False
    rate: float | None = None
    watched_s: float = 0.0
    only: tuple[str, ...] = ()
    repeats: int = 1
    is_quick: bool = False
    stop: Stop | None = None


_CANARY: Final = ("canary",)
_ABORTED: Final = Outcome.ABORTED.value
_PROMOTED: Final = Outcome.PROMOTED.value

# In this order: a cluster on which something was broken comes after one that is whole.
SCENARIOS: Final = (
    Scenario("promotion", trial.HEALTHY, _PROMOTED, is_quick=True),
    Scenario("undo", trial.FIRST, _PROMOTED, breaks=Break.PERSON_UNDOES),
    Scenario("abort", trial.HEALTHY, _ABORTED, breaks=Break.PERSON_ABORTS, is_quick=True),
    Scenario("errors", trial.HALF, _ABORTED, reacts=True, repeats=5, is_quick=True),
    Scenario("crash loop", trial.CRASH, _ABORTED, reacts=True, repeats=5, is_quick=True),
    Scenario(
        "one pod of four crashes",
        trial.HEALTHY,
        _ABORTED,
        breaks=Break.ONE_POD,
        reacts=True,
        only=_CANARY,
        repeats=3,
        stop=Stop(90, canary({"weight": 90, "pause": True})),  # as many pods as stable has
    ),
    Scenario(
        "flapping",
        trial.HEALTHY,
        _ABORTED,
        breaks=Break.ALL_PODS,
        reacts=True,
        only=_CANARY,
        repeats=3,
    ),
    Scenario(
        "errors, a stable pod is out",
        trial.HALF,
        _ABORTED,
        breaks=Break.STABLE_POD,
        reacts=True,
        only=_CANARY,
        repeats=3,
    ),
    Scenario(
        "errors, Prometheus is dead",
        trial.HALF,
        _ABORTED,
        breaks=Break.PROMETHEUS_DEAD,
        reacts=True,
        only=_CANARY,
        repeats=3,
    ),
    Scenario(
        "Prometheus dies, healthy",
        trial.HEALTHY,
        HELD,
        breaks=Break.PROMETHEUS_DIES,
        watched_s=45.0,
        only=_CANARY,
    ),
    Scenario(
        "0.2 requests per second, healthy",
        trial.HEALTHY,
        HELD,
        rate=0.2,
        watched_s=120.0,
        only=_CANARY,
    ),
    Scenario(
        "errors, operator killed",
        trial.HALF,
        _ABORTED,
        breaks=Break.OPERATOR,
        only=_CANARY,
        repeats=2,
    ),
)


@dataclass(frozen=True, slots=True)
class Play:
    """One run: a scenario with a strategy, and where the rollout is stopped (None: nowhere)."""

    strategy: Strategy
    scenario: Scenario
    stop: Stop | None
    turn: int

    @property
    def name(self) -> str:
        """Name the scenario with what tells it from others of its kind."""
        if self.stop is None or self.scenario.breaks is not Break.PERSON_ABORTS:
            return self.scenario.name
        return f"{self.scenario.name} at {self.stop.weight} %"


def scenario(name: str) -> Scenario:
    """Find what a play's name promises; KeyError if there is none of that name.

    >>> scenario("abort at 25 %").name
    'abort'
    """
    return {each.name: each for each in SCENARIOS}[name.partition(" at ")[0]]


def plays(
    strategies: Sequence[Strategy], wanted: Sequence[Scenario], *, repeats: int | None = None
) -> Iterator[Play]:
    """List what is to be played, in order."""
    for each in wanted:
        for by in strategies:
            if not _makes_sense(each, by):
                continue
            for turn in range(each.repeats if repeats is None else repeats):
                for stop in _stops(each, by):
                    yield Play(by, each, stop, turn)


def _makes_sense(wanted: Scenario, by: Strategy) -> bool:
    return by.name in wanted.only if wanted.only else by.is_guarded or not wanted.reacts


def _stops(wanted: Scenario, by: Strategy) -> Sequence[Stop | None]:
    if wanted.breaks is Break.PERSON_ABORTS:
        return by.stops
    if wanted.outcome == _PROMOTED:
        return [None]
    return [wanted.stop or by.stops[-1]]
