"""Room: whether any node could ever take a pod, before anything is made that would wait for ever.

Only what is certain is said: a node that is merely full, cordoned or not ready may have room later,
and the scheduler's own words tell that about a pod that waits. It knows what nodes offer and pods
need, and nothing of what else runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from slipway_api.compute_pool import Resources, Toleration

# Taints that the cluster itself sets while a node is cordoned, not ready or new: they pass.
PASSING_TAINT_PREFIXES: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
BLOCKING_EFFECTS: Final = ("NoSchedule", "NoExecute")
# Suffixes of a resource.Quantity (k8s.io/apimachinery/pkg/api/resource), two letters before one.
_FACTORS: Final = (
    *((f"{suffix}i", Fraction(1024**power)) for power, suffix in enumerate("KMGTPE", 1)),
    *((suffix, Fraction(1000**power)) for power, suffix in enumerate("kMGTPE", 1)),
    *((suffix, Fraction(1, 1000**power)) for power, suffix in enumerate("mun", 1)),
)


@dataclass(frozen=True, slots=True)
class Taint:
    """What keeps pods off a node that do not tolerate it."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node as far as it matters to the scheduler; `allocatable` is what all its pods share."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a pod needs of its node."""

    selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    resources: Resources


def lack(needs: Needs, nodes: Iterable[Node]) -> str | None:
    """Say why no node can ever take such a pod; None if one may."""
    known = tuple(nodes)
    if not known:
        return "the cluster has no nodes"
    labelled = tuple(node for node in known if needs.selector.items() <= node.labels.items())
    if not labelled:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(needs.selector.items()))
        return f"none of {len(known)} nodes has the labels {wanted}"
    barriers = {node.name: _barriers(needs, node) for node in labelled}
    admitting = tuple(node for node in labelled if not barriers[node.name])
    if not admitting:
        taints = ", ".join(sorted({taint for found in barriers.values() for taint in found}))
        return f"all of its {len(labelled)} nodes have taints that it does not tolerate: {taints}"
    return _shortage(needs, admitting)


def _barriers(needs: Needs, node: Node) -> tuple[str, ...]:
    return tuple(
        f"{taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"
        for taint in node.taints
        if taint.effect in BLOCKING_EFFECTS
        and not taint.key.startswith(PASSING_TAINT_PREFIXES)
        and not any(_tolerates(toleration, taint) for toleration in needs.tolerations)
    )


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Match as the scheduler does (ToleratesTaint of k8s.io/api/core/v1)."""
    if toleration.effect not in ("", taint.effect):
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return (toleration.key, toleration.value) == (taint.key, taint.value)


def _shortage(needs: Needs, nodes: tuple[Node, ...]) -> str | None:
    wanted = {
        name: str(value)
        for name, value in ({**needs.resources.limits, **needs.resources.requests}).items()
        if amount(value) > 0
    }
    if any(all(_offers(node, name, value) for name, value in wanted.items()) for node in nodes):
        return None
    for name, value in sorted(wanted.items()):
        best = max(nodes, key=lambda node: amount(node.allocatable.get(name, "0")))
        if not _offers(best, name, value):
            most = best.allocatable.get(name, "0")
            count = f"the most that one of its {len(nodes)} nodes has is {most} ({best.name})"
            return f"a pod asks for {name} {value}, {count}"
    asked = ", ".join(f"{name} {value}" for name, value in sorted(wanted.items()))
    return f"a pod asks for {asked}, and none of its {len(nodes)} nodes has all of that"


def _offers(node: Node, name: str, value: str) -> bool:
    return amount(node.allocatable.get(name, "0")) >= amount(value)


def amount(quantity: str | int) -> Fraction:
    """Read a resource.Quantity, exactly.

    >>> amount("500m"), amount("1.5Gi"), amount("2e3"), amount(4)
    (Fraction(1, 2), Fraction(1610612736, 1), Fraction(2000, 1), Fraction(4, 1))
    """
    text = str(quantity)
    for suffix, factor in _FACTORS:
        if text.endswith(suffix):
            return Fraction(text.removesuffix(suffix)) * factor
    return Fraction(text)
