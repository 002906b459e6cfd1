"""All gates of one rollout together: who is convicted, who passes, who still waits.

The error probability of the whole rollout is shared by the mean of the gates' e-values; a step
passes only if every gate does. It must not know where counts come from.
"""

from math import log
from typing import Final

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine import wording
from slipway_operator.engine.evidence import GateState
from slipway_operator.engine.gates import RECENT_S, WEIGHT_ALONE, Gate
from slipway_operator.engine.judgement import Counts, mean_log_e
from slipway_operator.engine.questions import Question, Subject
from slipway_operator.engine.verdicts import Verdict

ALPHA: Final = 0.01  # false aborts: at most one in a hundred rollouts, however often one looks
ALPHA_PASS: Final = 0.05  # a step passes a candidate that is not good
WINDOWS_S: Final = (RECENT_S, 10, 3)


class Panel:
    """The gates of one rollout."""

    __slots__ = ("_goal_fail", "_goal_pass", "conviction", "gates")

    def __init__(self, asked: tuple[Question, ...], *, phi: float | None) -> None:
        self.gates = tuple(Gate(question, phi=phi) for question in asked)
        self._goal_fail = log(len(self.gates) / ALPHA)  # of one gate alone
        self._goal_pass = -log(ALPHA_PASS)
        self.conviction: Verdict | None = None

    def close(
        self, now_s: float, *, weight_percent: int, may_pass: bool = True, is_forced: bool = False
    ) -> None:
        """Close every block that is due (all if forced, at a change of weight), and judge."""
        is_worse = False
        for gate in self.gates:
            if is_forced or gate.is_due(weight_percent=weight_percent):
                is_alone = weight_percent >= WEIGHT_ALONE
                is_worse |= gate.close(now_s, may_pass=may_pass, is_alone=is_alone)
        if is_worse:
            self.judge(now_s)

    def judge(self, now_s: float) -> None:
        """Convict if the mean of all e-values reaches 1/alpha; a conviction is final."""
        if self.conviction is not None:
            return
        # The mean cannot reach its goal while the largest is below 1/alpha.
        if not any(gate.comparison.may_fail(-log(ALPHA)) for gate in self.gates):
            return
        logs = [gate.comparison.log_fail for gate in self.gates]
        if mean_log_e(logs) >= -log(ALPHA):
            worst = max(range(len(logs)), key=logs.__getitem__)
            self.conviction = self._convict(self.gates[worst], now_s)

    def drop_open(self) -> None:
        """Forget open blocks: part of their time is unknown."""
        for gate in self.gates:
            gate.drop_open()

    def start_step(self) -> None:
        """Ask every gate for a pass anew."""
        for gate in self.gates:
            gate.start_step()

    @property
    def phi(self) -> float:
        """Clumping for the next rollout to start from: the largest measured, else this start's."""
        always_on = [gate.clumping for gate in self.gates[:2]]
        measured = [one.phi for one in always_on if one.is_measured]
        return max(measured, default=always_on[0].phi)

    def verdicts(self, now_s: float, *, is_source_alive: bool) -> tuple[Verdict, ...]:
        """Say what every gate says now."""
        return tuple(
            self.conviction
            if self.conviction is not None and self.conviction.gate == gate.question.name
            else self._verdict(gate, now_s, is_source_alive=is_source_alive)
            for gate in self.gates
        )

    def dump(self) -> dict[str, GateState]:
        """Return what `load` needs."""
        return {gate.question.name: gate.dump() for gate in self.gates}

    def load(self, states: dict[str, GateState]) -> None:
        """Go on from a dump; a gate that is new starts anew, one with another limit nearly so."""
        gates = []
        for gate in self.gates:
            state, restored = states.get(gate.question.name), Gate(gate.question)
            try:
                if state is not None:
                    restored.load(state)
                gates.append(gate if state is None else restored)
            except ValueError:
                gates.append(gate)
        self.gates = tuple(gates)

    def _verdict(self, gate: Gate, now_s: float, *, is_source_alive: bool) -> Verdict:
        said = wording.rates(gate.question, gate.step, tau_s=gate.tau_s, past=gate.past)
        if not is_source_alive:
            reason = Reason.MEASUREMENT_UNAVAILABLE
            message = f"access logs of a router are missing or incomplete; last known: {said}"
            return _verdict(gate, VerdictState.UNAVAILABLE, reason, message=message)
        if gate.comparison.log_pass >= self._goal_pass:
            return _verdict(gate, VerdictState.PASS, gate.question.reason, message=said)
        need = gate.comparison.need(
            gate.step, goal_fail=self._goal_fail, goal_pass=self._goal_pass, alone=gate.alone
        )
        missing = self._missing(gate, need, now_s)
        message = f"{said}: {missing}" if gate.step.candidate else missing
        reason = Reason.INSUFFICIENT_DATA
        return _verdict(gate, VerdictState.INSUFFICIENT, reason, message=message, need=need)

    def _missing(self, gate: Gate, need: int | None, now_s: float) -> str:
        step, asks_stable = gate.step, gate.question.ratio is not None
        noun = "answers" if gate.question.subject is Subject.LATENCY else "requests"
        if gate.question.increase is not None and gate.tau_s is None:
            return f"how long stable takes is not known: it had too few {noun} in this rollout"
        if not step.candidate and not step.stable:
            return f"no {noun} in this step yet{wording.wanted(need)}"
        if not step.candidate:
            said = f"no candidate {noun} in this step yet, stable had {step.stable}"
            return f"{said}{wording.wanted(need)}"
        if asks_stable and not step.stable and need is None:
            return f"have {step.candidate} candidate {noun}, but stable has none to compare with"
        return wording.forecast(step.candidate, need, rate_hz=gate.rate_hz(now_s))

    def _convict(self, gate: Gate, now_s: float) -> Verdict:
        """Word the conviction by the longest time that shows it: a good hour hides a bad minute."""
        seen = [(gate.total, "")]
        for span_s in WINDOWS_S:
            seen.append((gate.recent(now_s, span_s=span_s), f" in the last {span_s} s"))
        highest = max(_share(counts) for counts, _ in seen)
        counts, when = next(one for one in seen if 2 * _share(one[0]) >= highest)
        message = wording.rates(gate.question, counts, tau_s=gate.tau_s, past=gate.past) + when
        return _verdict(gate, VerdictState.FAIL, gate.question.reason, message=message, need=0)


def _share(counts: Counts) -> float:
    return counts.candidate_bad / counts.candidate if counts.candidate else 0.0


def _verdict(
    gate: Gate, state: VerdictState, reason: Reason, *, message: str, need: int | None = 0
) -> Verdict:
    return Verdict(
        gate=gate.question.name,
        state=state,
        reason=reason,
        message=message,
        candidate_count=gate.total.candidate,
        candidate_bad_count=gate.total.candidate_bad,
        stable_count=gate.total.stable,
        stable_bad_count=gate.total.stable_bad,
        have=gate.step.candidate,
        need=need,
    )
