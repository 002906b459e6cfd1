"""When a stopping router may end: pure, observations in, answer out.

Envoy drops what is in flight when it is told to end, and clients learn of a router's end only
after its endpoint has left their tables. So it serves on until nothing new has come for a while.
"""

from dataclasses import dataclass, replace
from typing import Self

from slipway_operator.router.admin import Traffic


@dataclass(frozen=True, slots=True)
class Drain:
    """A drain under way; times are of the monotonic clock, in seconds.

    `quiet_since_s` is when the last connection or request was new. Requests count as well as
    connections: one that sits in a client's pool is told to close with its next answer only.
    """

    began_at_s: float
    quiet_s: float
    longest_s: float
    last: Traffic
    quiet_since_s: float

    @classmethod
    def begin(cls, traffic: Traffic, *, now_s: float, quiet_s: float, longest_s: float) -> Self:
        """Start to wait for `quiet_s` without anything new, `longest_s` in all."""
        return cls(now_s, quiet_s, longest_s, traffic, now_s)

    def seen(self, traffic: Traffic, *, now_s: float) -> Self:
        """Take in one observation."""
        is_quiet = (traffic.connections_total, traffic.requests_total) == (
            self.last.connections_total,
            self.last.requests_total,
        )
        since_s = self.quiet_since_s if is_quiet else now_s
        return replace(self, last=traffic, quiet_since_s=since_s)

    def is_over(self, now_s: float) -> bool:
        """Tell whether Envoy may end now."""
        if now_s - self.began_at_s >= self.longest_s:
            return True
        return self.last.requests_active == 0 and now_s - self.quiet_since_s >= self.quiet_s
