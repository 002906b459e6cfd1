"""Copies: requests that the candidate gets twice, because routers copy what it answers itself too.

A mirror does not ask who answers. The same input to the same model is one observation: counted
twice, one bad request would look like two, and half the good answers would do for a pass. A copy of
what stable answers is one of its own, and comparing the two is what a mirror is for. The client's
request counts, its copy does not; one request explains one copy, for clients may send an id twice.
"""

from typing import Final

REQUESTS_MAX: Final = 10_000  # of the candidate, the latest; copies of older ones count

Request = tuple[str, str]  # router and id


class Copies:
    """Requests of clients that the candidate was asked to answer."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[Request, None] = {}

    def asked(self, request: Request) -> None:
        """Note that the candidate was asked by a client."""
        self._asked[request] = None
        if len(self._asked) > REQUESTS_MAX:
            del self._asked[next(iter(self._asked))]

    def take(self, request: Request) -> bool:
        """Whether the candidate was asked the same by the client; asked once per copy."""
        if request not in self._asked:
            return False
        del self._asked[request]
        return True
