"""What a strategy compiles to: the steps that the operator's engine would run, by its arithmetic.

Pure. It cannot import the engine; a test compiles every strategy by both and compares the steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from slipway_plugin import contract
from slipway_plugin.exits import PluginError
from slipway_plugin.fields import Fields, fields

KINDS: Final = (
    *("canary", "blueGreen", "shadow", "abTest", "featureFlag"),
    *("rolling", "direct", "steps"),
)
FIELDS: Final = (*KINDS, "probation")
STEP_COUNT_MAX: Final = 20
MATCH_COUNT_MAX: Final = 4
POD_COUNT_MAX: Final = 1000
PROBATION_AFTER_SWITCH: Final = "5m"
MIRROR_OF_SHADOW: Final = 10
HOLD_OF_SHADOW: Final = "10m"
WEIGHT_OF_TEST: Final = 50
SHARE_OF_PODS: Final = r"(100|[1-9][0-9]?)%"
HEADER: Final = r"(?!x-slipway-|x-envoy-)[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
COOKIE: Final = r"[-_.A-Za-z0-9]+"
MATCH_VALUE: Final = r"[!-:<-~]+"


@dataclass(frozen=True, slots=True)
class Match:
    """A header or cookie of a whole value that leads a request to the candidate."""

    kind: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Step:
    """What holds while a step lasts, and what leaving it asks for.

    `needs_proof`: every gate must have passed. `is_probation`: the candidate has everything, and
    stable keeps all its pods.
    """

    weight_percent: int
    mirror_percent: int = 0
    match: tuple[Match, ...] = ()
    pods: int = 1
    hold_s: float = 0.0
    asks_person: bool = False
    needs_proof: bool = True
    is_probation: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """A strategy's name, its steps, and whether the candidate is promoted after them or goes."""

    kind: str
    steps: tuple[Step, ...]
    ends: Literal["promote", "stop"] = "promote"


def compile_strategy(wanted: Any, *, replicas: int, is_sticky: bool) -> Compiled:
    """Compile `spec.strategy`, None being the default, for so many pods.

    Raises PluginError that names the field and what to write.
    """
    default = {"canary": {"steps": contract.DEFAULT_STEPS}}
    strategy = fields(default if wanted is None else wanted, at="spec.strategy", known=FIELDS)
    named = [kind for kind in KINDS if strategy.has(kind)]
    if len(named) != 1:
        found = f"names {' and '.join(named)}" if named else "names none"
        raise PluginError(f"spec.strategy {found}: name exactly one of {', '.join(KINDS)}")
    kind = named[0]
    if kind == "abTest" and not is_sticky:
        instead = "write what a user is known by, e.g. {header: x-user-id}"
        raise PluginError(f"spec.traffic.sticky is missing, and abTest needs it: {instead}")
    steps = tuple(_steps(strategy, kind, replicas=replicas))
    if kind == "shadow" and not strategy.values["shadow"].get("canary"):
        strategy.time_s("probation")
        return Compiled(kind, steps, ends="stop")
    return Compiled(kind, (*steps, *_probation(strategy, kind, replicas=replicas)))


def _steps(strategy: Fields, kind: str, *, replicas: int) -> Iterator[Step]:
    match kind:
        case "canary":
            yield from _canary(strategy, replicas=replicas)
        case "blueGreen":
            yield _blue_green(strategy, replicas=replicas)
        case "shadow":
            yield from _shadow(strategy, replicas=replicas)
        case "abTest":
            yield _ab_test(strategy, replicas=replicas)
        case "featureFlag":
            yield from _feature_flag(strategy, replicas=replicas)
        case "rolling":
            strategy.part(kind, known=())
            yield from _rolling(replicas)
        case "direct":
            strategy.part(kind, known=())
        case _:
            yield from _own(strategy, replicas=replicas)


def _probation(strategy: Fields, kind: str, *, replicas: int) -> Iterator[Step]:
    is_switch = kind == "blueGreen"
    hold_s = strategy.time_s("probation", default=PROBATION_AFTER_SWITCH if is_switch else "0s")
    if hold_s or is_switch:
        yield Step(100, pods=replicas, hold_s=hold_s, needs_proof=is_switch, is_probation=True)


def _canary(parent: Fields, *, replicas: int) -> Iterator[Step]:
    wanted = parent.part("canary", known=("steps",))
    before = 0
    known = ("weight", "hold", "pause")
    for entry in wanted.entries("steps", known=known, most=STEP_COUNT_MAX):
        weight = entry.whole("weight", least=1, most=100)
        if weight <= before:
            raise entry.error("weight", f"weights must rise, write more than {before}")
        before = weight
        hold_s, pause = entry.time_s("hold"), entry.flag("pause")
        yield Step(weight, pods=pods_for(weight, replicas), hold_s=hold_s, asks_person=pause)


def _blue_green(strategy: Fields, *, replicas: int) -> Step:
    wanted = strategy.part("blueGreen", known=("mirror", "hold", "pause"))
    mirror = wanted.whole("mirror", least=0, most=100, default=0)
    hold_s, pause = wanted.time_s("hold"), wanted.flag("pause")
    return Step(0, mirror, pods=replicas, hold_s=hold_s, asks_person=pause)


def _shadow(strategy: Fields, *, replicas: int) -> Iterator[Step]:
    wanted = strategy.part("shadow", known=("mirror", "hold", "canary"))
    mirror = wanted.whole("mirror", least=1, most=100, default=MIRROR_OF_SHADOW)
    hold_s = wanted.time_s("hold", default=HOLD_OF_SHADOW)
    yield Step(0, mirror, pods=pods_for(mirror, replicas), hold_s=hold_s)
    if wanted.has("canary"):
        yield from _canary(wanted, replicas=replicas)


def _ab_test(strategy: Fields, *, replicas: int) -> Step:
    wanted = strategy.part("abTest", known=("weight", "hold", "then"))
    weight = wanted.whole("weight", least=1, most=99, default=WEIGHT_OF_TEST)
    hold_s = wanted.time_s("hold", default=None)
    if wanted.values.get("then") not in (None, "promote", "pause"):
        raise wanted.error("then", "write promote or pause")
    is_asked = wanted.values.get("then") == "pause"
    return Step(weight, pods=pods_for(weight, replicas), hold_s=hold_s, asks_person=is_asked)


def _feature_flag(strategy: Fields, *, replicas: int) -> Iterator[Step]:
    wanted = strategy.part("featureFlag", known=("match", "canary"))
    yield Step(0, match=_matches(wanted, least=1), asks_person=True, needs_proof=False)
    if wanted.has("canary"):
        yield from _canary(wanted, replicas=replicas)


def _own(strategy: Fields, *, replicas: int) -> Iterator[Step]:
    """Steps as written; each keeps what it does not name as the step before left it."""
    known = ("weight", "mirror", "match", "scale", "hold", "gate", "approve")
    now, scale = Step(0, pods=0), 0
    for entry in strategy.entries("steps", known=known, most=STEP_COUNT_MAX):
        gate, approve = entry.flag("gate"), entry.flag("approve")
        if not (gate or approve or any(map(entry.has, known[:5]))):
            raise PluginError(f"{entry.at} asks for nothing: write one or more of {known}")
        weight = entry.whole("weight", least=0, most=100, default=now.weight_percent)
        if weight < now.weight_percent:
            instead = f"weights may not fall, write {now.weight_percent} or more"
            raise entry.error("weight", instead)
        mirror = entry.whole("mirror", least=0, most=100, default=now.mirror_percent)
        scale = _scale(entry, replicas=replicas) if entry.has("scale") else scale
        now = replace(
            now,
            weight_percent=weight,
            mirror_percent=mirror,
            match=_matches(entry, least=0) if entry.has("match") else now.match,
            pods=max(scale, pods_for(max(weight, mirror), replicas)),
            hold_s=entry.time_s("hold"),
            asks_person=approve,
            needs_proof=gate,
        )
        yield now


def _scale(entry: Fields, *, replicas: int) -> int:
    if isinstance(entry.values["scale"], str):
        instead = "write a number of pods or a percentage of compute.replicas, e.g. 2 or 50%"
        share = entry.text("scale", pattern=SHARE_OF_PODS, instead=instead)
        return pods_for(int(share.removesuffix("%")), replicas)
    return entry.whole("scale", least=0, most=POD_COUNT_MAX)


def _matches(parent: Fields, *, least: int) -> tuple[Match, ...]:
    known = ("header", "cookie", "value")
    found = parent.entries("match", known=known, most=MATCH_COUNT_MAX, least=least)
    return tuple(map(_match, found))


def _match(entry: Fields) -> Match:
    if entry.has("header") == entry.has("cookie"):
        raise PluginError(f"{entry.at}: write a header or a cookie, e.g. header: x-beta")
    kind, pattern = ("header", HEADER) if entry.has("header") else ("cookie", COOKIE)
    instead = "write its name, a header's in lower case; x-slipway-* and x-envoy-* never arrive"
    name = entry.text(kind, pattern=pattern, instead=instead)
    instead = 'write the whole value in quotes, e.g. "yes", without spaces and semicolons'
    return Match(kind, name, entry.text("value", pattern=MATCH_VALUE, instead=instead))


def _rolling(replicas: int) -> Iterator[Step]:
    for weight in sorted({min(100, 100 * pods // replicas) for pods in range(1, replicas)} - {0}):
        yield Step(weight, pods=pods_for(weight, replicas), needs_proof=False)


def pods_for(weight_percent: int, replicas: int) -> int:
    """ceil(weight x replicas), at least one."""
    return max(1, -(-weight_percent * replicas // 100))


def is_measured(step: Step) -> bool:
    """Whether routers send the candidate anything by which they could judge it."""
    return bool(step.weight_percent or step.mirror_percent or step.match)


def marks(match: tuple[Match, ...]) -> str:
    """Name matches as people write them."""
    return " or ".join(f"{each.kind} {each.name}: {each.value}" for each in match)
