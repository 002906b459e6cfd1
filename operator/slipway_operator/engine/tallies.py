"""Tallies: what one tick's attempts add up to, before anybody judges them.

Adding is all that happens between ticks, so the order in which routers deliver attempts cannot
matter. Shed attempts are neither good nor bad: they are counted apart. It must not know gates.
"""

from collections.abc import Iterable
from math import exp
from typing import Final

from slipway_operator.engine.attempts import AttemptClass
from slipway_operator.engine.clumping import Sample
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.latency import Latencies
from slipway_operator.engine.questions import Subject

HOSTS_MAX: Final = 4096
LATENCIES_MAX: Final = 5_000  # per tick and host; beyond it latencies of the tick are sampled first
SHED_MEMORY_S: Final = 5.0
SHED_MIN: Final = 1.0  # remembered shed attempts; a single one among many is no reason to wait
SHED_SHARE_MIN: Final = 0.01

_BAD: Final = {
    Subject.FAILURES: AttemptClass.FAIL,
    Subject.REFUSALS: AttemptClass.REFUSED,
}


class HostTally:
    """Attempts at one host in one tick."""

    __slots__ = ("attempts", "bad", "latencies_s", "onsets", "shed")

    def __init__(self) -> None:
        self.attempts = self.shed = 0
        self.bad = dict.fromkeys(_BAD.values(), 0)
        self.onsets = dict.fromkeys(_BAD.values(), 0)
        self.latencies_s: list[float] = []

    def add(self, kind: AttemptClass, *, is_onset: bool) -> None:
        """Count one ended attempt."""
        if kind is AttemptClass.SHED:
            self.shed += 1
            return
        self.attempts += 1
        if kind in self.bad:
            self.bad[kind] += 1
            self.onsets[kind] += is_onset

    def add_latency(self, latency_s: float) -> None:
        """Note how long a good answer took."""
        if len(self.latencies_s) < LATENCIES_MAX:
            self.latencies_s.append(latency_s)


class Onsets:
    """Tells where clumps begin: a bad attempt whose forerunner at the same host was not so bad.

    However long clumps are, how often one begins is as often as they come.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, AttemptClass] = {}

    def take(self, host: str, kind: AttemptClass) -> bool:
        """Take in the next ended attempt of a host; shed ones are passed over."""
        if kind is AttemptClass.SHED:
            return False
        before = self._last.pop(host, None)
        self._last[host] = kind
        if len(self._last) > HOSTS_MAX:
            del self._last[next(iter(self._last))]
        return kind is not before and kind in _BAD.values()


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

    def count(self, subject: Subject, other_half: frozenset[str]) -> tuple[Sample, Sample]:
        """Sum up what is bad in the sense of a subject other than latency; then where it began."""
        kind = _BAD[subject]
        halves, onset_halves = [0, 0, 0, 0], [0, 0, 0, 0]
        for host, tally in self.stable.items():
            at = 2 * (host in other_half)
            for half, bad in ((halves, tally.bad), (onset_halves, tally.onsets)):
                half[at] += tally.attempts
                half[at + 1] += bad[kind]
        attempts = sum([tally.attempts for tally in self.candidate.values()])
        bad_count = sum([tally.bad[kind] for tally in self.candidate.values()])
        onset_count = sum([tally.onsets[kind] for tally in self.candidate.values()])
        return (
            _sample(attempts, bad_count, halves=halves),
            _sample(attempts, onset_count, halves=onset_halves),
        )

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


def _sample(attempts: int, bad: int, *, halves: list[int]) -> Sample:
    n, x, m, y = halves
    return Sample(Counts(attempts, bad, n + m, x + y), (n, x, m, y))


def _attempts_and_shed(hosts: Iterable[HostTally]) -> tuple[int, int]:
    attempts = shed = 0
    for tally in hosts:
        attempts += tally.attempts + tally.shed
        shed += tally.shed
    return attempts, shed
