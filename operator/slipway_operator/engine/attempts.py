"""Classes of attempts: what one try at one pod says about its revision.

Failure means the same on REST and gRPC: 5xx, reset, timeout; grpc-status 2 UNKNOWN, 4
DEADLINE_EXCEEDED, 13 INTERNAL, 14 UNAVAILABLE, 15 DATA_LOSS. Refused: 4xx; grpc-status 3
INVALID_ARGUMENT, 5 NOT_FOUND, 7 PERMISSION_DENIED, 12 UNIMPLEMENTED, 16 UNAUTHENTICATED (a changed
signature looks like this). Shed: 429, 503 with Retry-After, grpc-status 8 RESOURCE_EXHAUSTED: the
server protects itself, it is not broken.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AttemptClass(StrEnum):
    OK = "ok"
    FAIL = "fail"
    REFUSED = "refused"
    SHED = "shed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One record of an upstream attempt.

    `began_at_s` is Unix time. `duration_s` None: the attempt has only begun (its end comes in a
    later record with the same `key`). `http_status` 0: no answer came (reset, connect failure,
    timeout). `grpc_status` None: not gRPC, or no such header or trailer. `is_cut_by_client`: the
    client went away first; such an attempt says nothing about the pod. `request` is the client
    request's id, the same on all its attempts; empty if unknown. A copy has an id of its own, and
    `copy_of` is that of the request which was copied; empty: it is no copy.
    """

    namespace: str
    deployment: str
    revision: str
    key: str
    router: str
    host: str
    is_grpc: bool
    began_at_s: float
    duration_s: float | None
    http_status: int
    grpc_status: int | None
    has_retry_after: bool
    is_cut_by_client: bool
    request: str = ""
    copy_of: str = ""


GRPC_FAIL: Final = frozenset({2, 4, 13, 14, 15})
GRPC_REFUSED: Final = frozenset({3, 5, 7, 12, 16})
GRPC_SHED: Final = 8


def classify(attempt: Attempt) -> AttemptClass:
    """Name the class of an attempt that has ended."""
    if attempt.http_status == 0:
        return AttemptClass.FAIL
    if attempt.grpc_status is not None and attempt.http_status == 200:
        return _classify_grpc(attempt.grpc_status)
    if attempt.http_status == 429 or (attempt.http_status == 503 and attempt.has_retry_after):
        return AttemptClass.SHED
    if attempt.http_status >= 500:
        return AttemptClass.FAIL
    if attempt.http_status >= 400:
        return AttemptClass.REFUSED
    return AttemptClass.OK


def _classify_grpc(status: int) -> AttemptClass:
    if status in GRPC_FAIL:
        return AttemptClass.FAIL
    if status in GRPC_REFUSED:
        return AttemptClass.REFUSED
    return AttemptClass.SHED if status == GRPC_SHED else AttemptClass.OK
