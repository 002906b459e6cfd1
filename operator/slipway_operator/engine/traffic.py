"""What the routers are asked to do for one ModelDeployment, as a value."""

from dataclasses import dataclass
from typing import Literal

RetryPolicy = Literal["any", "unprocessed", "none"]


@dataclass(frozen=True, slots=True)
class StickyKey:
    """What requests are told apart by: those of one value go the same way."""

    kind: Literal["header", "cookie"]
    name: str


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

    `weight_percent` is the candidate's share, 0..100. `drain` are revisions that get no new
    requests but may still have some in flight: their clusters stay. `per_try_timeout_s` None means
    no limit below `timeout_s`. `salt` (the rollout's id) lets sticky shares of two rollouts begin
    with other keys. `is_logged` turns the access logs of this deployment on. `sticky` None draws
    the share of each request by chance.
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

    def __post_init__(self) -> None:
        assert 0 <= self.weight_percent <= 100, self.weight_percent
        assert self.candidate is not None or self.weight_percent == 0
