"""One run of kopf as an event shell: which kinds, which labels, which settings.

kopf lists and watches; its handlers turn an object into a key and hand it on. Nothing of kopf's
own bookkeeping is used: no finalizers, no annotations, no posted events, no state handlers.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import kopf

from slipway_operator.adapters.event_source import Key
from slipway_operator.adapters.kube_resources import Resource
from slipway_operator.adapters.kubeconfig import ClusterAccess

BACKOFF_S_FIRST: Final = 0.25
BACKOFF_S_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind to watch. `key_of` gives None for an object that is nobody's.

    `label_selector` is evaluated by the server. `ignores_status`: changes that touch neither spec
    nor annotations nor the deletion mark are not passed on.
    """

    resource: Resource
    key_of: Callable[[Mapping[str, Any]], Key | None]
    label_selector: str = ""
    ignores_status: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run of kopf watches; `namespace` None is the whole cluster."""

    name: str
    namespace: str | None
    watched: tuple[Watched, ...]


class Backoffs:
    """Endless pauses between tries of one request: kopf gives up and ends with a finite list.

    A class and not a generator, because kopf starts the iteration anew for each request.
    """

    def __iter__(self) -> Iterator[float]:
        pause_s = BACKOFF_S_FIRST
        while True:
            yield pause_s * random.uniform(0.5, 1)
            pause_s = min(2 * pause_s, BACKOFF_S_MAX)


def settings_of(scope: Scope) -> kopf.OperatorSettings:
    """Settings that survive refusals, outages and dead connections (the fault tests hold them)."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.reconnect_backoff = 0.5
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0  # one task per object stays no longer than this
    settings.queueing.exit_timeout = 0.1
    for watched in scope.watched:
        if watched.label_selector:
            resource = watched.resource
            address = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[address] = watched.label_selector
    return settings


def registry_of(
    scope: Scope, *, access: ClusterAccess, emit: Callable[[Key], None]
) -> kopf.OperatorRegistry:
    """Handlers that turn events into keys, and a login from our own access.

    `emit` is called in kopf's thread.
    """
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_of(access)

    kopf.on.login(registry=registry)(login)
    for watched in scope.watched:
        resource = watched.resource
        handler = _handler_of(watched, emit)
        kopf.on.event(
            resource.group, resource.version, resource.plural, registry=registry, id=resource.plural
        )(handler)
    return registry


def connection_of(access: ClusterAccess) -> kopf.ConnectionInfo:
    """Say in kopf's words where the API server is; called again whenever it answers 401."""
    token = access.bearer_token()
    return kopf.ConnectionInfo(
        server=access.server,
        ca_data=access.ca,
        insecure=access.is_insecure,
        scheme="Bearer" if token else None,
        token=token,
        certificate_data=access.certificate,
        private_key_data=access.key,
        default_namespace=access.namespace,
    )


async def run(
    scope: Scope, *, access: ClusterAccess, emit: Callable[[Key], None], stop: asyncio.Event
) -> None:
    """Run kopf until `stop` is set or one of its watchers dies; then it raises what killed it."""
    await kopf.operator(
        registry=registry_of(scope, access=access, emit=emit),
        settings=settings_of(scope),
        standalone=True,
        clusterwide=scope.namespace is None,
        namespaces=[] if scope.namespace is None else [scope.namespace],
        stop_flag=stop,
    )


def _handler_of(watched: Watched, emit: Callable[[Key], None]) -> Callable[..., Any]:
    fingerprints: dict[str, object] = {}

    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        body = event["object"]
        if watched.ignores_status and not _is_news(event["type"], body, fingerprints):
            return
        if (key := watched.key_of(body)) is not None:
            emit(key)

    return handle


def _is_news(kind: str | None, body: Mapping[str, Any], fingerprints: dict[str, object]) -> bool:
    """Tell whether more than the status changed; remembers one fingerprint per living object."""
    metadata = body["metadata"]
    uid = metadata["uid"]
    if kind == "DELETED":
        fingerprints.pop(uid, None)
        return True
    annotations = metadata.get("annotations") or {}
    fingerprint = (
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(sorted(annotations.items())),
    )
    before = fingerprints.get(uid)
    fingerprints[uid] = fingerprint
    return kind != "MODIFIED" or fingerprint != before
