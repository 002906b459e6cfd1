# ruff: noqa: N818 - the classes bear the reason words of the Kubernetes API itself
"""What the API server can answer instead of doing what it was asked.

The classes are what callers tell apart: absent, changed meanwhile, too old, not allowed, not valid,
and "not now". Everything that a later try may mend is `Unreachable`.
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """The API server refused a request.

    `status` is the HTTP status (0: there was no answer), `reason` the API's word (NotFound,
    Conflict, …), `message` the API's sentence. `retry_after_s` is how long the server asked us to
    wait, if it did.
    """

    def __init__(
        self, status: int, *, reason: str, message: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class NotFound(ApiError):
    """There is no such object (or no such kind)."""


class Conflict(ApiError):
    """A fence held: another resourceVersion or uid, a field another manager owns, a name taken."""


class Gone(ApiError):
    """The resourceVersion or continue token is too old: list again."""


class Forbidden(ApiError):
    """Our role does not allow it; the message names verb and resource."""


class Invalid(ApiError):
    """The object itself is wrong (400, 413, 422); the same request will never succeed."""


class Unreachable(ApiError):
    """No usable answer now: no connection, timeout, 5xx, 429, or credentials not accepted (401)."""


class WindowClosed(Unreachable):
    """We do not hold the Lease, or not surely any more: nothing was sent."""

    def __init__(self, holder: str) -> None:
        message = f"{holder} may not write: the window of its Lease is over, nothing was sent"
        super().__init__(0, reason="WindowClosed", message=message)


def error_of(
    status: int, *, body: Mapping[str, Any], what: str, retry_after_s: float | None = None
) -> ApiError:
    """Make the error for an answer with a Status object (or anything else) as its body.

    `what` names the request, for people.
    """
    reason = str(body.get("reason") or "")
    message = str(body.get("message") or "no message")
    return _class_of(status)(
        status, reason=reason, message=f"{what}: {message}", retry_after_s=retry_after_s
    )


def _class_of(status: int) -> type[ApiError]:
    match status:
        case 404:
            return NotFound
        case 409:
            return Conflict
        case 410:
            return Gone
        case 403:
            return Forbidden
        case 400 | 413 | 422:
            return Invalid
        case 401 | 429:
            return Unreachable
        case _:
            return Unreachable if status == 0 or status >= 500 else ApiError
