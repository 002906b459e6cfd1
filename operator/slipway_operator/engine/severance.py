"""Severance: pods of a candidate that are ready, as far as Kubernetes knows, and out of reach.

Kubernetes takes most of a minute to notice that a node's network failed. To the routers, pods there
are pods that hang. What tells them apart is the connection: a process that hangs still has it taken
by its kernel, and one that ended has it refused; behind a cut link nobody says anything. This
module must not know how that is found out.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from slipway_operator.engine import budget
from slipway_operator.engine.facts import Workload
from slipway_operator.engine.questions import GATE_ERRORS
from slipway_operator.engine.verdicts import GuardView

COUNTING_FAILURES: Final = (GATE_ERRORS, budget.GATE)  # gates that a cut link may have failed


def suspects(
    workloads: Iterable[Workload],
    guard: GuardView | None,
    *,
    pair: tuple[str | None, str | None],
    before: frozenset[str],
) -> frozenset[str]:
    """List the hosts that are to be tried before a candidate is judged; mostly none.

    `pair` is (candidate, stable), `before` what was out of reach at the last look. Pods of stable
    are tried as well: if none of them answers either, it is we who are cut off.
    """
    hosts = {one.revision: frozenset(one.endpoints) for one in workloads if one.revision in pair}
    of_candidate = hosts.get(pair[0] or "", frozenset())
    is_convicted = (
        guard is not None and guard.failed is not None and guard.failed.gate in COUNTING_FAILURES
    )
    if None in pair or not (is_convicted or of_candidate & before):
        return frozenset()
    return frozenset().union(*hosts.values())


def sever(
    workloads: Iterable[Workload], silent: frozenset[str], *, pair: tuple[str | None, str | None]
) -> tuple[Workload, ...]:
    """Take the candidate's pods that nobody reaches from what may get requests."""
    known = tuple(workloads)
    candidate, stable = pair
    is_any_reached = any(set(one.endpoints) - silent for one in known if one.revision == stable)
    if not silent or not is_any_reached:
        return known
    return tuple(
        replace(
            one,
            endpoints=tuple(host for host in one.endpoints if host not in silent),
            pods=tuple(replace(pod, is_reachable=pod.host not in silent) for pod in one.pods),
        )
        if one.revision == candidate
        else one
        for one in known
    )


def is_excused(guard: GuardView | None, workload: Workload | None) -> bool:
    """Tell whether failures that convict may be those of a network, and count for nothing.

    Pods that are still in reach go on without the others, and are convicted anew if it was them.
    """
    failed = guard.failed if guard is not None else None
    return (
        failed is not None
        and failed.gate in COUNTING_FAILURES
        and workload is not None
        and any(not pod.is_reachable for pod in workload.pods)
    )
