"""What the routers are asked to do for one ModelDeployment, as a value."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Literal

RetryPolicy = Literal["any", "unprocessed", "none"]


@dataclass(frozen=True, slots=True)
class StickyKey:
    """What requests are told apart by: those of one value go the same way."""

    kind: Literal["header", "cookie"]
    name: str


@dataclass(frozen=True, slots=True)
class StaticAnswer:
    """What REST clients get when no revision can be reached; `body` is a JSON object's text."""

    body: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Match:
    """What leads a request to the candidate whatever its weight: a header, or a cookie, that has
    exactly this value. Names of headers are in lower case.
    """

    kind: Literal["header", "cookie"]
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How far the way to a candidate is open.

    `weight_percent` of the requests are answered by it, `mirror_percent` of them are copied to it,
    whoever answers them, and those that have any of `match` are led to it and not copied. Without
    anything it is shut.
    """

    weight_percent: int = 0
    mirror_percent: int = 0
    match: tuple[Match, ...] = ()

    @property
    def beside(self) -> str:
        """Name what brings the candidate requests besides weight; empty: nothing does."""
        if not self.mirror_percent and not self.match:
            return ""
        asked = repr((self.mirror_percent, self.match))
        return hashlib.sha256(asked.encode()).hexdigest()[:8]

    def exceeds(self, other: "Opening") -> bool:
        """Tell whether any part is open further than the other's."""
        return (
            self.weight_percent > other.weight_percent
            or self.mirror_percent > other.mirror_percent
            or not set(self.match) <= set(other.match)
        )

    def narrowed(self, other: "Opening") -> "Opening":
        """Open only as far as both are."""
        return Opening(
            weight_percent=min(self.weight_percent, other.weight_percent),
            mirror_percent=min(self.mirror_percent, other.mirror_percent),
            match=tuple(one for one in self.match if one in other.match),
        )


SHUT: Final = Opening()


@dataclass(frozen=True, slots=True)
class Backend:
    """One revision as a destination.

    `endpoints` are the addresses of pods that are ready and not on their way out, sorted.
    `cluster_ip` is the address of the revision's own Service: the last resort of the fallback,
    kept true by kube-proxy without the operator; None while it has none.
    """

    revision: str
    endpoints: tuple[str, ...]
    cluster_ip: str | None
    http_port: int
    grpc_port: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Weights and backends of one ModelDeployment; the routers' whole knowledge of it.

    `weight_percent` is the candidate's share, 0..100, `mirror_percent` how many of the requests,
    0..100, are copied to it, its answers to them being dropped. Requests that have any of `match`
    are led to it whatever the weight. `drain` are revisions that get no new
    requests but may still have some in flight: their clusters stay. `per_try_timeout_s` None means
    no limit below `timeout_s`. `salt` (the rollout's id) lets sticky shares of two rollouts begin
    with other keys. `is_logged` turns the access logs of this deployment on. `sticky` None draws
    the share of each request by chance. `static_answer` None: clients get an error when nobody can
    answer.
    """

    namespace: str
    name: str
    port: int
    stable: Backend | None
    candidate: Backend | None
    weight_percent: int
    drain: tuple[Backend, ...]
    timeout_s: float
    per_try_timeout_s: float | None
    retry: RetryPolicy
    salt: str
    is_logged: bool
    sticky: StickyKey | None = None
    mirror_percent: int = 0
    match: tuple[Match, ...] = ()
    static_answer: StaticAnswer | None = None

    def __post_init__(self) -> None:
        assert 0 <= self.weight_percent <= 100, self.weight_percent
        assert 0 <= self.mirror_percent <= 100, self.mirror_percent
        assert self.candidate is not None or self.opening == SHUT

    @property
    def opening(self) -> Opening:
        """How far the way to the candidate is open; shut without one."""
        return Opening(self.weight_percent, self.mirror_percent, self.match)

    def opened(self, opening: Opening) -> "Traffic":
        """Open the way to the candidate so far, and change nothing else."""
        return replace(
            self,
            weight_percent=opening.weight_percent,
            mirror_percent=opening.mirror_percent,
            match=opening.match,
        )


def is_opened(before: Traffic | None, after: Traffic) -> bool:
    """Tell whether the candidate gets more, in whatever way, than before; another one had nothing.

    Such a change waits until status says so; one that only shuts waits for nothing.
    """
    had = before.opening if before is not None and _is_same_candidate(before, after) else SHUT
    return after.opening.exceeds(had)


def shut(before: Traffic, after: Traffic) -> Traffic:
    """Shut, in what was before, what is shut afterwards to the same candidate; open nothing."""
    if not _is_same_candidate(before, after):
        return before
    return before.opened(before.opening.narrowed(after.opening))


def _is_same_candidate(one: Traffic, other: Traffic) -> bool:
    if one.candidate is None or other.candidate is None:
        return False
    return one.candidate.revision == other.candidate.revision
