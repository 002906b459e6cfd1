"""Envoy resources as values: a name, a content hash and the bytes that go over the wire.

Must not know what a ModelDeployment is, and must not talk to anybody.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

_TYPES: Final = "type.googleapis.com/"
CLUSTER: Final = _TYPES + "envoy.config.cluster.v3.Cluster"
ENDPOINTS: Final = _TYPES + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = _TYPES + "envoy.config.listener.v3.Listener"
ROUTES: Final = _TYPES + "envoy.config.route.v3.RouteConfiguration"
RUNTIME: Final = _TYPES + "envoy.service.runtime.v3.Runtime"


@dataclass(frozen=True, slots=True)
class Resource:
    """One xDS resource.

    `body` is a serialized `google.protobuf.Any`. `version` changes exactly when the content does,
    so that a restarted operator need not send again what a router already has. `needs` are the
    clusters that a RouteConfiguration names: Envoy refuses it before it knows them.
    """

    type_url: str
    name: str
    version: str
    body: bytes
    needs: tuple[str, ...] = ()


def pack(message: Message) -> any_pb2.Any:
    """Wrap a message; equal messages give equal bytes."""
    return any_pb2.Any(
        type_url=_TYPES + message.DESCRIPTOR.full_name,
        value=message.SerializeToString(deterministic=True),
    )


def digest(content: bytes) -> str:
    """Name a content: 16 hex digits of its sha256."""
    return hashlib.sha256(content).hexdigest()[:16]


def resource(name: str, message: Message) -> Resource:
    """Make a resource whose version is the hash of its content."""
    wrapped = pack(message)
    return Resource(
        type_url=wrapped.type_url,
        name=name,
        version=digest(wrapped.value),
        body=wrapped.SerializeToString(deterministic=True),
    )


def duration(seconds: float) -> duration_pb2.Duration:
    """Convert seconds, rounded to whole milliseconds."""
    milliseconds = round(seconds * 1000)
    return duration_pb2.Duration(
        seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000
    )
