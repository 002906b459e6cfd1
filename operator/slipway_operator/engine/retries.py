"""Retries: second attempts that a router makes because a first one failed.

They go to stable, also for the candidate's share, and mostly succeed: counted, they would make
stable look better the more requests fail, and a burst that hits both sides look like the
candidate's. So comparisons leave them out. The records do not say which attempt is a retry: it is
the next one of the same request, at the same router, right after a failure. One failure explains
one attempt only, because clients may send the same request id twice.
"""

from typing import Final

FAILURES_MAX: Final = 10_000
RETRY_AFTER_S_MAX: Final = 0.5  # the router backs off 5 to 20 ms; the rest is for a busy one


class Retries:
    """Failures that may still be followed by a retry; attempts are passed in order of beginning."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str], tuple[float, float]] = {}  # began, ended

    def failed(self, request: tuple[str, str], *, began_at_s: float, ended_at_s: float) -> None:
        """Note a failed attempt of a request (router and id), in the router's own time."""
        self._failures.pop(request, None)
        self._failures[request] = (began_at_s, ended_at_s)
        if len(self._failures) > FAILURES_MAX:
            del self._failures[next(iter(self._failures))]

    def take(self, request: tuple[str, str], *, began_at_s: float) -> bool:
        """Whether an attempt that began then is the retry of a failure; asked once per attempt."""
        failure = self._failures.get(request)
        if failure is None or began_at_s <= failure[0]:
            return False
        del self._failures[request]
        return began_at_s <= failure[1] + RETRY_AFTER_S_MAX
