"""The strategies that are measured: values only.

A new strategy is one entry of `STRATEGIES`: how it is asked for, and where a rollout by it can be
stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Stop:
    """A place where a rollout is taken back: at this weight, by a plan that comes there.

    Weight 0: before the candidate has got anything, or, if `is_shown`, as soon as it is seen in the
    way that its strategy shows it without a weight.
    """

    weight: int
    spec: Mapping[str, Any]
    is_shown: bool = False


@dataclass(frozen=True, slots=True)
class Strategy:
    """`spec` is what stands in `spec.strategy`; the last of `stops` is where things go wrong.

    `more` are other sections of the deployment's spec that it needs.

    `is_guarded` False: the candidate has everything before anybody could judge it. `is_approved`:
    a person says yes where a rollout to its end asks for one. `load` is how clients of this
    strategy are told from others: options of `bench.load`.
    """

    name: str
    spec: Mapping[str, Any]
    stops: tuple[Stop, ...]
    is_guarded: bool = True
    is_approved: bool = False
    load: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def canary(*steps: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write a canary's section of the manifest."""
    return {"canary": {"steps": list(steps)}}


_ROLLING: Final[Mapping[str, Any]] = {"rolling": {}}
_DIRECT: Final[Mapping[str, Any]] = {"direct": {}}
_USER: Final = "x-user-id"
_STICKY: Final[Mapping[str, Any]] = {"traffic": {"sticky": {"header": _USER}}}
_USERS: Final = ("--user-header", _USER, "--users", "100")
# One user of four, and so every fourth request, asks for the candidate.
_FLAG: Final[Mapping[str, Any]] = {"featureFlag": {"match": [{"header": _USER, "value": "user-0"}]}}
_FLAGGED: Final = ("--user-header", _USER, "--users", "4")


def _blue_green(probation: str, **how: Any) -> Mapping[str, Any]:
    return {"blueGreen": how, "probation": probation}


def _shadow(**how: Any) -> Mapping[str, Any]:
    return {"shadow": {"mirror": 50, "canary": {"steps": [{"weight": 50, "hold": "2s"}]}} | how}


def _ab_test(**how: Any) -> Mapping[str, Any]:
    return {"abTest": {"weight": 50} | how}


STRATEGIES: Final = (
    Strategy(
        "canary",
        canary({"weight": 25, "hold": "2s"}, {"weight": 50, "hold": "2s"}),
        stops=(
            Stop(25, canary({"weight": 25, "pause": True})),
            Stop(50, canary({"weight": 50, "pause": True})),
        ),
    ),
    Strategy(
        "rolling",
        _ROLLING,
        stops=(Stop(25, _ROLLING), Stop(50, _ROLLING), Stop(75, _ROLLING)),
    ),
    Strategy("direct", _DIRECT, stops=(Stop(0, _DIRECT),), is_guarded=False),
    Strategy(
        "blue-green",
        _blue_green("10s", hold="2s"),
        stops=(Stop(0, _blue_green("1h", pause=True), is_shown=True), Stop(100, _blue_green("1h"))),
    ),
    Strategy("shadow", _shadow(hold="2s"), stops=(Stop(0, _shadow(hold="2h"), is_shown=True),)),
    Strategy(
        "A/B",
        _ab_test(hold="2s"),
        stops=(Stop(50, _ab_test(hold="2h")),),
        more=_STICKY,
        load=_USERS,
    ),
    Strategy(
        "champion-challenger",
        _ab_test(hold="2s", then="pause"),
        stops=(Stop(50, _ab_test(hold="2h", then="pause")),),
        is_approved=True,
        more=_STICKY,
        load=_USERS,
    ),
    Strategy(
        "feature flag",
        _FLAG,
        stops=(Stop(0, _FLAG, is_shown=True),),
        is_approved=True,
        load=_FLAGGED,
    ),
)


def strategy(name: str) -> Strategy:
    """Find a strategy; KeyError if there is none of that name."""
    return {each.name: each for each in STRATEGIES}[name]
