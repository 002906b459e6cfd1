"""What a gate says, with the numbers behind it."""

from dataclasses import dataclass
from datetime import datetime

from slipway_api.conditions import Reason, VerdictState
from slipway_api.status import QueryState


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's verdict.

    `reason` is the abort reason if the state is fail. `have` counts candidate attempts so far,
    `need` about how many more a verdict takes at the rates seen (None: not to be foreseen; 0:
    decided). `message` is one sentence with both sides' numbers. For a query, `value` is the last
    number, `limit` words what it is held against, and `have` and `need` count numbers.
    `needs_requests`: the routers measure it on the candidate's requests, so without any it stays
    insufficient for ever.
    """

    gate: str
    state: VerdictState
    reason: Reason
    message: str
    candidate_count: int
    candidate_bad_count: int
    stable_count: int
    stable_bad_count: int
    have: int
    need: int | None
    value: float | None = None
    limit: str | None = None
    needs_requests: bool = True


@dataclass(frozen=True, slots=True)
class GuardView:
    """Everything the guard knows of one rollout at one moment.

    `rollout` is the rollout's id; a view of another rollout counts as none. `is_shedding`: the
    candidate shed load in the last seconds more than stable did. `evidence` is the opaque text
    that restores the guard after a restart (below 4 KiB). `stable_latency_s_p999` is None before
    the first answer of stable. `phi` is how far failures come in clumps, for the next rollout.
    `queries` is what gates that ask Prometheus remember; `away` is the first such gate, or alert,
    that cannot say anything, and `away_since` since when that is so.
    """

    rollout: str
    verdicts: tuple[Verdict, ...]
    is_shedding: bool
    evidence: str
    stable_latency_s_p999: float | None
    phi: float | None = None
    queries: tuple[QueryState, ...] = ()
    away: Verdict | None = None
    away_since: datetime | None = None

    @property
    def failed(self) -> Verdict | None:
        """The first gate that convicts the candidate, if any."""
        return next((v for v in self.verdicts if v.state is VerdictState.FAIL), None)

    def answerable(self, *, has_requests: bool) -> tuple[Verdict, ...]:
        """The verdicts that can become a pass in a step whose candidate has requests, or has none.

        It has some by a weight above 0, a mirrored share or a match.
        """
        return tuple(one for one in self.verdicts if has_requests or not one.needs_requests)
