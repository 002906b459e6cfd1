"""What a request needs and what a client has. Default deny: what is not listed needs INFER."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """What can be asked for; the words of settings and of key files."""

    PROBE = "probe"  # nobody needs anything for it
    METADATA = "metadata"
    METRICS = "metrics"
    INFER = "infer"
    ADMIN = "admin"  # to load and unload models


# What a key may be given, and what a setting may open to everybody.
GRANTABLE: Final = frozenset({Right.METRICS, Right.INFER, Right.ADMIN})
OPENABLE: Final = frozenset({Right.METADATA, Right.METRICS})


@dataclass(frozen=True, slots=True)
class Grant:
    """Who asks, and what that one may."""

    name: str
    rights: frozenset[Right]

    def has(self, right: Right) -> bool:
        """Whether this is enough; who may infer may know what of."""
        wanted = Right.INFER if right is Right.METADATA else right
        return wanted in self.rights


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a token is not taken, in words for who sent it."""

    reason: str


_MODEL: Final = re.compile(r"/v2/models/(?!stats$|stats/)[^/]+(/versions/[^/]+)?(/ready)?")
_SERVICE: Final = "/inference.GRPCInferenceService/"
_HEALTH: Final = "/grpc.health.v1.Health/"
_METHODS: Final = {
    f"{_SERVICE}ServerLive": Right.PROBE,
    f"{_SERVICE}ServerReady": Right.PROBE,
    f"{_HEALTH}Check": Right.PROBE,
    f"{_HEALTH}Watch": Right.PROBE,
    f"{_SERVICE}ServerMetadata": Right.METADATA,
    f"{_SERVICE}ModelMetadata": Right.METADATA,
    f"{_SERVICE}ModelReady": Right.METADATA,
    f"{_SERVICE}RepositoryModelLoad": Right.ADMIN,
    f"{_SERVICE}RepositoryModelUnload": Right.ADMIN,
}
_PATHS: Final = {
    "/v2/health/live": Right.PROBE,
    "/v2/health/ready": Right.PROBE,
    "/metrics": Right.METRICS,
    "/v2": Right.METADATA,
}
_ADMIN: Final = re.compile(r"/v2/repository/models/.*", re.S)


def of_path(method: str, path: str) -> Right:
    """What a request over REST needs; the path is the one that is routed by, decoded once.

    >>> of_path("GET", "/v2/models/churn"), of_path("GET", "/v2/models/churn/config")
    (<Right.METADATA: 'metadata'>, <Right.INFER: 'infer'>)
    """
    if _ADMIN.fullmatch(path):
        return Right.ADMIN
    if method != "GET":
        return Right.INFER
    found = _PATHS.get(path)
    if found is not None:
        return found
    return Right.METADATA if _MODEL.fullmatch(path) else Right.INFER


def of_method(method: str) -> Right:
    """What a request over gRPC needs; `:path` must be a method to the letter to need less."""
    return _METHODS.get(method, Right.INFER)
