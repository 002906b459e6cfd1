"""Tallies: what one tick's attempts add up to, before anybody judges them.

Adding is all that happens between ticks, so the order in which routers deliver attempts cannot
matter. Shed attempts are neither good nor bad: they are counted apart. It must not know gates.
"""

from collections.abc import Iterable
from math import exp
from typing import Final

from slipway_operator.engine.attempts import AttemptClass
from slipway_operator.engine.clumping import Halves
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.latency import Latencies
from slipway_operator.engine.questions import Subject

LATENCIES_MAX: Final = 5_000  # per tick and host; beyond it latencies of the tick are sampled first
SHED_MEMORY_S: Final = 5.0
SHED_MIN: Final = 1.0  # remembered shed attempts; a single one among many is no reason to wait
SHED_SHARE_MIN: Final = 0.01


class HostTally:
    """Attempts at one host in one tick."""

    __slots__ = ("attempts", "failures", "latencies_s", "refusals", "shed")

    def __init__(self) -> None:
        self.attempts = self.failures = self.refusals = self.shed = 0
        self.latencies_s: list[float] = []

    def add(self, kind: AttemptClass) -> None:
        """Count one ended attempt."""
        if kind is AttemptClass.SHED:
            self.shed += 1
            return
        self.attempts += 1
        if kind is AttemptClass.FAIL:
            self.failures += 1
        elif kind is AttemptClass.REFUSED:
            self.refusals += 1

    def add_latency(self, latency_s: float) -> None:
        """Note how long a good answer took."""
        if len(self.latencies_s) < LATENCIES_MAX:
            self.latencies_s.append(latency_s)

    def bad(self, subject: Subject) -> int:
        """Count bad attempts in the sense of a subject other than latency."""
        return self.failures if subject is Subject.FAILURES else self.refusals


class Tally:
    """Attempts of both sides in one tick, by host."""

    __slots__ = ("candidate", "stable")

    def __init__(self) -> None:
        self.candidate: dict[str, HostTally] = {}
        self.stable: dict[str, HostTally] = {}

    def at(self, host: str, *, is_candidate: bool) -> HostTally:
        """Return the tally of a host."""
        hosts = self.candidate if is_candidate else self.stable
        tally = hosts.get(host)
        if tally is None:
            tally = hosts[host] = HostTally()
        return tally

    def count(self, subject: Subject, other_half: frozenset[str]) -> tuple[Counts, Halves]:
        """Sum up what is bad in the sense of a subject; stable also in its two halves."""
        n1 = sum([tally.attempts for tally in self.candidate.values()])
        x1 = sum([tally.bad(subject) for tally in self.candidate.values()])
        n, x, m, y = 0, 0, 0, 0
        for host, tally in self.stable.items():
            if host in other_half:
                m, y = m + tally.attempts, y + tally.bad(subject)
            else:
                n, x = n + tally.attempts, x + tally.bad(subject)
        return Counts(n1, x1, n + m, x + y), (n, x, m, y)

    def latencies(self, other_half: frozenset[str]) -> Latencies:
        """Collect latencies; stable's in its two halves."""
        candidate: list[float] = []
        for tally in self.candidate.values():
            candidate += tally.latencies_s
        stable: list[float] = []
        other: list[float] = []
        for host, tally in self.stable.items():
            (other if host in other_half else stable).extend(tally.latencies_s)
        return Latencies(candidate, stable, other)


class Shedding:
    """Whether the candidate sheds load more than stable, over the last seconds."""

    __slots__ = ("_attempts", "_shed")

    def __init__(self) -> None:
        self._attempts = [0.0, 0.0]  # candidate, stable; shed ones included
        self._shed = [0.0, 0.0]

    def add(self, tally: Tally, *, span_s: float) -> None:
        """Take in one tick, `span_s` long."""
        keep = exp(-span_s / SHED_MEMORY_S)
        for side, hosts in enumerate((tally.candidate.values(), tally.stable.values())):
            attempts, shed = _attempts_and_shed(hosts)
            self._attempts[side] = self._attempts[side] * keep + attempts
            self._shed[side] = self._shed[side] * keep + shed

    @property
    def is_candidate_shedding(self) -> bool:
        """Whether the candidate's share of shed attempts is above stable's, and not by one."""
        shares = [
            shed / attempts if attempts else 0.0
            for shed, attempts in zip(self._shed, self._attempts, strict=True)
        ]
        return self._shed[0] > SHED_MIN and shares[0] > max(2 * shares[1], SHED_SHARE_MIN)


def _attempts_and_shed(hosts: Iterable[HostTally]) -> tuple[int, int]:
    attempts = shed = 0
    for tally in hosts:
        attempts += tally.attempts + tally.shed
        shed += tally.shed
    return attempts, shed
