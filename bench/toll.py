"""What a fault cost the clients: figures from the lines of a ledger, and nothing else.

A router that dies takes the requests with it that it had; that is no fault of Slipway. A request
that a living router had and lost is one. So lost requests are counted apart, by whether the router
that had them lived on. What failed before the fault tells how calm the machine was. Pure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from bench import ledger, report

IN_FLIGHT_S: Final = 1.0  # what was sent so shortly before a fault was on its way when it came


@dataclass(frozen=True, slots=True)
class Toll:
    """Figures of the requests from the fault on; `failed_before` are those that failed before it.

    `lost_at_living`: lost at a router that lived on. `lost_at_dead`: at one of the routers that
    died or were cut off. `lost_at_unknown`: the first on their connection, so that no answer had
    named the router. `never_connected`: no router was reached at all.
    `seconds_of_trouble`: from the fault until the last request was sent that got no good answer;
    0 if there was none. `seconds_first_bad_to_zero`: from the first bad attempt at the candidate
    (`bench.report`) to the last attempt at it; None: no attempt was bad.
    """

    requests_sent: int
    lost_at_living: int
    lost_at_dead: int
    lost_at_unknown: int
    never_connected: int
    client_errors: int
    wrong_answers: int
    seconds_of_trouble: float
    attempts_at_candidate: int
    seconds_first_bad_to_zero: float | None
    failed_before: int

    @property
    def lost(self) -> int:
        """Count all requests without an answer."""
        known = self.lost_at_living + self.lost_at_dead
        return known + self.lost_at_unknown + self.never_connected

    @property
    def is_nothing(self) -> bool:
        """Tell whether no client noticed anything."""
        return not (self.lost or self.client_errors or self.wrong_answers)


def take(
    lines: Sequence[ledger.Line],
    *,
    fault_at: float | None = None,
    dead: Collection[str] = (),
    candidate: str | None = None,
) -> Toll:
    """Count what the clients of one run saw.

    `fault_at` is the moment of the fault (Unix time; None: the first request). `dead` are the
    names of the routers that died or that nobody could reach.
    """
    everything = [line for line in lines if isinstance(line, ledger.Request)]
    began = min((each.sent for each in everything), default=0.0) if fault_at is None else fault_at
    requests = [each for each in everything if each.sent >= began - IN_FLIGHT_S]
    before = [each for each in everything if each.sent < began - IN_FLIGHT_S]
    lost = [each for each in requests if each.received is None]
    reached = [each for each in lost if each.is_connected]
    at_dead = sum(each.router in dead for each in reached)
    at_unknown = sum(each.router is None for each in reached)
    errors = [each for each in requests if each.received is not None and is_failed(each)]
    troubled = max((each.sent for each in (*lost, *errors)), default=None)
    attempts = [
        line for line in lines if isinstance(line, ledger.Attempt) and line.revision == candidate
    ]
    return Toll(
        requests_sent=len(requests),
        lost_at_living=len(reached) - at_dead - at_unknown,
        lost_at_dead=at_dead,
        lost_at_unknown=at_unknown,
        never_connected=len(lost) - len(reached),
        client_errors=len(errors),
        wrong_answers=sum(each.wrong for each in requests),
        seconds_of_trouble=0.0 if troubled is None else round(max(0.0, troubled - began), 3),
        attempts_at_candidate=len(attempts),
        seconds_first_bad_to_zero=report.seconds_first_bad_to_zero(attempts),
        failed_before=sum(is_failed(each) for each in before),
    )


def is_failed(request: ledger.Request) -> bool:
    """Tell whether a client got no good answer."""
    return request.received is None or not report.is_good(request.status)
