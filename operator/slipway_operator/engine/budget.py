"""Budgets: how many bad answers one rollout may cost, whatever they prove.

A plain count and no test: a good candidate spends it as well, with the errors that every service
has. It counts from the first attempt on, also where no budget is given, so that one which is given
later holds for all of the rollout. It must not know why an attempt was bad.
"""

from collections.abc import Sequence
from typing import Final

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.verdicts import Verdict

GATE: Final = "budget"


class Budget:
    """Bad answers of one rollout's candidate."""

    __slots__ = ("_attempts", "_failed", "_limit", "_refused")

    def __init__(self, limit: int | None) -> None:
        """Allow fewer bad answers than `limit` (at least 1); None: any number."""
        self._limit = limit
        self._attempts = self._failed = self._refused = 0

    def add(self, failures: Counts, refusals: Counts) -> None:
        """Count attempts of one tick: the same ones, by what failed and by what was refused."""
        self._attempts += failures.candidate
        self._failed += failures.candidate_bad
        self._refused += refusals.candidate_bad

    @property
    def is_spent(self) -> bool:
        return self._limit is not None and self._failed + self._refused >= self._limit

    def verdicts(self, *, is_source_alive: bool) -> tuple[Verdict, ...]:
        """Say how much is spent; nothing if there is no budget."""
        if self._limit is None:
            return ()
        bad = self._failed + self._refused
        message = (
            f"bad answers in this rollout: {bad} of at most {self._limit} (candidate failed"
            f" {self._failed} and refused {self._refused} of {self._attempts} attempts)"
        )
        state, reason = VerdictState.PASS, Reason.BUDGET_SPENT
        if self.is_spent:
            state = VerdictState.FAIL
        elif not is_source_alive:
            state, reason = VerdictState.UNAVAILABLE, Reason.MEASUREMENT_UNAVAILABLE
            message = f"access logs of a router are missing or incomplete; last known: {message}"
        verdict = Verdict(
            gate=GATE,
            state=state,
            reason=reason,
            message=message,
            candidate_count=self._attempts,
            candidate_bad_count=bad,
            stable_count=0,
            stable_bad_count=0,
            have=self._attempts,
            need=0,
        )
        return (verdict,)

    def dump(self) -> list[int]:
        """Return what `load` needs."""
        return [self._attempts, self._failed, self._refused]

    def load(self, state: Sequence[int]) -> None:
        """Go on from a dump; the limit may be another one now."""
        self._attempts, self._failed, self._refused = state
