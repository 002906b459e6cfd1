"""Builders for the guard's tests: attempts of a candidate and a stable revision, and their time."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from slipway_api.analysis import Analysis
from slipway_operator.engine.attempts import Attempt
from slipway_operator.engine.guard import TICK_S, Guard
from slipway_operator.engine.traffic import Opening

CANDIDATE, STABLE = "churn-new", "churn-old"
START_S = 1_700_000_000.0


def guard(
    *,
    analysis: Analysis | None = None,
    timeout_s: float | None = 1.0,
    evidence: str | None = None,
    phi: float | None = None,
) -> Guard:
    """A guard over CANDIDATE and STABLE with the defaults of a user who sets nothing."""
    return Guard(
        "rollout-1",
        candidate=CANDIDATE,
        stable=STABLE,
        analysis=analysis or Analysis(),
        per_try_timeout_s=timeout_s,
        evidence=evidence,
        phi=phi,
    )


def attempt(
    key: str,
    at_s: float,
    *,
    revision: str = CANDIDATE,
    status: int = 200,
    took_s: float | None = 0.01,
    host: str | None = None,
    grpc_status: int | None = None,
    has_retry_after: bool = False,
    is_cut: bool = False,
    request: str = "",
) -> Attempt:
    """One record; `took_s` None is a start."""
    return Attempt(
        namespace="ml",
        deployment="churn",
        revision=revision,
        key=key,
        router="router-1",
        host=host or f"{revision}-0",
        is_grpc=grpc_status is not None,
        began_at_s=at_s,
        duration_s=took_s,
        http_status=status,
        grpc_status=grpc_status,
        has_retry_after=has_retry_after,
        is_cut_by_client=is_cut,
        request=request,
    )


@dataclass
class Stream:
    """Steady traffic, tick by tick, drawn from a seed.

    `candidate_status` is what every candidate attempt answers from `bad_from_s` on; before and at
    stable `base` is the share of errors.
    """

    rate_hz: float
    weight_percent: int
    seed: int = 1
    base: float = 0.0
    candidate_status: int = 503
    bad_from_s: float = 0.0
    now_s: float = START_S
    count: int = 0
    source: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)

    def tick(self) -> list[Attempt]:
        """The next 250 ms of attempts; moves `now_s`."""
        due = self.rate_hz * TICK_S
        count = int(due) + (self.source.random() < due - int(due))
        begin_s, self.now_s = self.now_s, self.now_s + TICK_S
        return [self._attempt(begin_s + TICK_S * index / count) for index in range(count)]

    def _attempt(self, at_s: float) -> Attempt:
        self.count += 1
        is_candidate = 100 * self.source.random() < self.weight_percent
        status = 500 if self.source.random() < self.base else 200
        if is_candidate and at_s - START_S >= self.bad_from_s:
            status = self.candidate_status
        return attempt(
            str(self.count),
            at_s,
            revision=CANDIDATE if is_candidate else STABLE,
            status=status,
            took_s=self.source.expovariate(200.0),
            host="candidate-0" if is_candidate else f"stable-{self.count % 3}",
        )

    def run(self, judge: Guard, seconds: float, *, is_source_alive: bool = True) -> float | None:
        """Feed a guard; return when it convicted, in seconds of this run, or None."""
        for index in range(round(seconds / TICK_S)):
            feed(
                judge,
                self.tick(),
                self.now_s,
                weight_percent=self.weight_percent,
                is_alive=is_source_alive,
            )
            if judge.is_convicted:
                return (index + 1) * TICK_S
        return None


def feed(
    judge: Guard,
    attempts: Iterable[Attempt],
    now_s: float,
    *,
    weight_percent: int = 50,
    opening: Opening | None = None,
    is_alive: bool = True,
) -> None:
    """Let a guard see attempts, then tick; `opening` None: there is nothing besides weight."""
    for one in attempts:
        judge.observe(one)
    judge.tick(now_s, opening=opening or Opening(weight_percent), is_source_alive=is_alive)
