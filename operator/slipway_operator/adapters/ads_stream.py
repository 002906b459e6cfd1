"""One router's delta-ADS stream as a state machine: requests in, responses out, no I/O.

Rules (xDS protocol specification, "Incremental xDS", and what Envoy 1.40 was seen to do):
- A request with a nonce acknowledges that response, or refuses it if it has `error_detail`.
- `initial_resource_versions` of a stream's first request of a type say what the router kept from
  an earlier stream; only what differs is sent.
- A cluster that changes is warmed anew and waits for its endpoints, so they go out with it.
- Make before break: routes wait until the clusters they need are acknowledged, clusters leave after
  the routes that used them. Every wait has a deadline: Envoy withholds acknowledgements while
  any cluster warms.
- A listener that is refused because another has its address goes again when one has left.
- Routes go alone: one that is refused would take the others of its message with it.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from slipway_operator.adapters.ads_catalogue import Catalogue
from slipway_operator.render.envoy_names import owner_of
from slipway_operator.render.envoy_wire import (
    CLUSTER,
    ENDPOINTS,
    LISTENER,
    ROUTES,
    RUNTIME,
    Resource,
)

WILDCARD: Final = "*"
WILDCARD_TYPES: Final = frozenset({CLUSTER, LISTENER})  # a router takes all of them, unasked
PENDING_MAX: Final = 10_000  # responses a router may leave unanswered before it is cut off


@dataclass(frozen=True, slots=True)
class Nack:
    """A response that a router refused; it keeps what it had."""

    router: str
    type_url: str
    resources: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines of one stream, in seconds."""

    ack_deadline_s: float = 2.0  # then routes go out although their clusters are not confirmed
    removal_delay_s: float = 5.0  # requests that still follow an old route may need its clusters


DEFAULT_TIMING: Final = Timing()


@dataclass(slots=True)
class _Pending:
    type_url: str
    versions: dict[str, str]
    removed: tuple[str, ...]


@dataclass(slots=True)
class _Subscription:
    """What the router asked for of one type, and how far it is."""

    is_wildcard: bool
    must_answer: bool  # a first answer is due even if it is empty, else Envoy never gets ready
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)  # were refused in company, are tried singly

    def takes(self, resource: Resource) -> bool:
        if not (self.is_wildcard or resource.name in self.names):
            return False
        return resource.version not in (
            self.sent.get(resource.name),
            self.refused.get(resource.name),
        )

    def forget(self, name: str) -> None:
        for memory in (self.sent, self.acked, self.refused):
            memory.pop(name, None)


class DeltaStream:
    """State of one stream. `now_s` is the monotonic clock."""

    def __init__(self, catalogue: Catalogue, timing: Timing) -> None:
        self.node_id = ""
        self.wake_at_s: float | None = None  # when to call `advance` for `waiting` again
        self._catalogue = catalogue
        self._timing = timing
        self._subscriptions: dict[str, _Subscription] = {}
        self._pending: dict[str, _Pending] = {}
        self._nonces = itertools.count(1)
        self._held: dict[str, set[tuple[str, str]]] = {}  # owner -> what the router has of it
        self._routes_due_s: dict[str, float] = {}  # owner -> when its routes go anyway
        self._removal_due_s: dict[str, float] = {}  # owner -> when its old clusters go

    @property
    def waiting(self) -> set[str]:
        """Owners that wait for an acknowledgement or for a moment."""
        return {*self._routes_due_s, *self._removal_due_s}

    @property
    def is_overrun(self) -> bool:
        """Tell whether the router takes in nothing any more."""
        return len(self._pending) > PENDING_MAX

    def owners(self) -> Iterable[str]:
        """List whose resources the router has."""
        return self._held.keys()

    def acked(self, type_url: str) -> dict[str, str]:
        """Copy the versions that the router has accepted, by name."""
        subscription = self._subscriptions.get(type_url)
        return dict(subscription.acked) if subscription is not None else {}

    def has_told_routes(self) -> bool:
        """Tell whether the router has asked for listeners, and for the routes of each it has."""
        listeners = self._subscriptions.get(LISTENER)
        told = self.acked(ROUTES)
        return listeners is not None and all(owner_of(name) in told for name in listeners.acked)

    def is_settled(self, owner: str) -> bool:
        """Tell whether the router has accepted everything of the owner that it should have."""
        wanted = self._catalogue.of(owner)
        for type_url, resources in wanted.items():
            subscription = self._subscriptions.get(type_url)
            if subscription is None:
                return False
            for name, resource in resources.items():
                if subscription.acked.get(name) != resource.version:
                    return False
        listeners = self._subscriptions.get(LISTENER)
        names = wanted.get(LISTENER, {})
        return listeners is None or not any(
            owner_of(name) == owner and name not in names for name in listeners.acked
        )

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> tuple[set[str], Nack | None]:
        """Take in a request; returns the owners to `advance` for, and a refusal if it was one."""
        if request.node.id:
            self.node_id = request.node.id
        touched: set[str] = set()
        nack = None
        pending = self._pending.pop(request.response_nonce, None)
        if pending is not None:
            touched, nack = self._answered(request, pending)
        return touched | self._subscribed(request), nack

    def advance(self, owners: Iterable[str], now_s: float) -> Iterator[bytes]:
        """Yield the responses, serialized, that may go out for these owners now."""
        known = []
        for owner in owners:
            if self._catalogue.knows(owner):
                known.append(owner)
            else:
                self._routes_due_s.pop(owner, None)
                self._removal_due_s.pop(owner, None)
        changed = [r for owner in known for r in self._news(CLUSTER, owner)]
        yield from self._send(CLUSTER, changed)
        yield from self._send(ENDPOINTS, self._endpoints(known, changed))
        removed = [name for owner in known for name in self._leftovers(LISTENER, owner)]
        listeners = [r for owner in known for r in self._news(LISTENER, owner)]
        yield from self._send(LISTENER, listeners, removed)
        yield from self._send(RUNTIME, [r for o in known for r in self._news(RUNTIME, o)])
        for owner in known:
            for routes in self._routes(owner, now_s):
                yield from self._send(ROUTES, [routes])
        gone = [name for owner in known for name in self._removable(owner, now_s)]
        yield from self._send(CLUSTER, [], gone)
        due_s = [*self._routes_due_s.values(), *self._removal_due_s.values()]
        self.wake_at_s = min(due_s, default=None)

    def _answered(
        self, request: discovery_pb2.DeltaDiscoveryRequest, pending: _Pending
    ) -> tuple[set[str], Nack | None]:
        subscription = self._subscriptions[pending.type_url]
        owners = {owner_of(name) for name in (*pending.versions, *pending.removed)}
        if not request.HasField("error_detail"):
            return owners | self._accepted(subscription, pending), None
        for name, version in pending.versions.items():
            if subscription.sent.get(name) != version:
                continue  # a newer one is on its way
            self._restore(subscription, pending.type_url, name)
            if len(pending.versions) > 1:
                subscription.alone.add(name)
            else:
                subscription.refused[name] = version
        message = request.error_detail.message
        return owners, Nack(self.node_id, pending.type_url, tuple(pending.versions), message)

    def _accepted(self, subscription: _Subscription, pending: _Pending) -> set[str]:
        """Note what the router has now; returns whose refused resources may be tried again."""
        for name, version in pending.versions.items():
            if name in subscription.sent:
                subscription.acked[name] = version
                subscription.refused.pop(name, None)
        for name in pending.removed:
            if name not in subscription.sent:
                subscription.acked.pop(name, None)
        routes = self._subscriptions.get(ROUTES)
        if pending.type_url == CLUSTER and routes is not None:
            for name in pending.versions:  # routes may have been refused for the want of them
                routes.refused.pop(owner_of(name), None)
        if pending.type_url != LISTENER or not pending.removed:
            return set()
        again = {owner_of(name) for name in subscription.refused}  # for an address, most likely
        subscription.refused.clear()
        return again

    def _restore(self, subscription: _Subscription, type_url: str, name: str) -> None:
        """Go back to what the router kept when it refused something newer."""
        kept = subscription.acked.get(name)
        if kept is None:
            self._drop(subscription, type_url, name)
        else:
            subscription.sent[name] = kept

    def _subscribed(self, request: discovery_pb2.DeltaDiscoveryRequest) -> set[str]:
        """Note what a request asks for; returns the owners that it concerns."""
        touched: set[str] = set()
        added = set(request.resource_names_subscribe)
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            is_wildcard = request.type_url in WILDCARD_TYPES and (not added or WILDCARD in added)
            initial = dict(request.initial_resource_versions)
            subscription = _Subscription(is_wildcard, must_answer=is_wildcard and not initial)
            self._subscriptions[request.type_url] = subscription
            for name, version in initial.items():
                subscription.sent[name] = subscription.acked[name] = version
                self._held.setdefault(owner_of(name), set()).add((request.type_url, name))
            added.update(initial)
            touched.update(self._catalogue.owners() if is_wildcard else ())
        else:
            for name in added:  # asked for again: it has to be answered again
                self._drop(subscription, request.type_url, name)
        subscription.names.update(added - {WILDCARD})
        touched.update(owner_of(name) for name in added)
        for name in request.resource_names_unsubscribe:
            subscription.names.discard(name)
            self._drop(subscription, request.type_url, name)
        return touched

    def _drop(self, subscription: _Subscription, type_url: str, name: str) -> None:
        subscription.forget(name)
        owner = owner_of(name)
        held = self._held.get(owner)
        if held is not None:
            held.discard((type_url, name))
            if not held:
                del self._held[owner]

    def _news(self, type_url: str, owner: str) -> list[Resource]:
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            return []
        wanted = self._catalogue.of(owner).get(type_url, {})
        return [resource for resource in wanted.values() if subscription.takes(resource)]

    def _endpoints(self, owners: list[str], changed: list[Resource]) -> list[Resource]:
        """Collect endpoints that are new, and those of clusters that are warmed anew."""
        subscription = self._subscriptions.get(ENDPOINTS)
        if subscription is None:
            return []
        found = {r.name: r for owner in owners for r in self._news(ENDPOINTS, owner)}
        for cluster in changed:
            wanted = self._catalogue.of(owner_of(cluster.name)).get(ENDPOINTS, {})
            if cluster.name in wanted and cluster.name in subscription.names:
                found[cluster.name] = wanted[cluster.name]
        return list(found.values())

    def _routes(self, owner: str, now_s: float) -> list[Resource]:
        """Give the owner's routes out as soon as their clusters are there, or the wait is over."""
        news = self._news(ROUTES, owner)
        if not news:
            self._routes_due_s.pop(owner, None)
            return []
        clusters = self._subscriptions.get(CLUSTER)
        ready = clusters.acked if clusters is not None else {}
        if not all(name in ready for routes in news for name in routes.needs):
            due_s = self._routes_due_s.setdefault(owner, now_s + self._timing.ack_deadline_s)
            if now_s < due_s:
                return []
        self._routes_due_s.pop(owner, None)
        return news

    def _leftovers(self, type_url: str, owner: str) -> list[str]:
        wanted = self._catalogue.of(owner).get(type_url, {})
        held = self._held.get(owner, ())
        return [name for kind, name in held if kind == type_url and name not in wanted]

    def _removable(self, owner: str, now_s: float) -> list[str]:
        """Give old clusters up once nothing leads to them, and some time more."""
        leftovers = self._leftovers(CLUSTER, owner)
        if not leftovers or not self._is_rerouted(owner):
            self._removal_due_s.pop(owner, None)
            return []
        due_s = self._removal_due_s.setdefault(owner, now_s + self._timing.removal_delay_s)
        if now_s < due_s:
            return []
        del self._removal_due_s[owner]
        return leftovers

    def _is_rerouted(self, owner: str) -> bool:
        """Tell whether the router has confirmed the owner's listener and routes, or their end."""
        wanted = self._catalogue.of(owner)
        for type_url in (LISTENER, ROUTES):
            subscription = self._subscriptions.get(type_url)
            acked = subscription.acked if subscription is not None else {}
            resources = wanted.get(type_url, {})
            if any(acked.get(name) != r.version for name, r in resources.items()):
                return False
            if type_url == LISTENER and owner in acked and owner not in resources:
                return False
        return True

    def _send(
        self, type_url: str, resources: list[Resource], removed: Iterable[str] = ()
    ) -> Iterator[bytes]:
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            return
        together = [r for r in resources if r.name not in subscription.alone]
        removed = tuple(removed)
        if together or removed or subscription.must_answer:
            yield self._response(type_url, together, removed)
        for resource in resources:
            if resource.name in subscription.alone:
                subscription.alone.discard(resource.name)
                yield self._response(type_url, [resource], ())

    def _response(
        self, type_url: str, resources: list[Resource], removed: tuple[str, ...]
    ) -> bytes:
        subscription = self._subscriptions[type_url]
        subscription.must_answer = False
        nonce = str(next(self._nonces))
        response = discovery_pb2.DeltaDiscoveryResponse(
            type_url=type_url,
            nonce=nonce,
            removed_resources=removed,
            # Envoy shows it in its statistics; it means nothing to the protocol.
            system_version_info=resources[0].version if len(resources) == 1 else "",
        )
        for resource in resources:
            body = any_pb2.Any.FromString(resource.body)
            response.resources.add(name=resource.name, version=resource.version, resource=body)
            subscription.sent[resource.name] = resource.version
            held = self._held.setdefault(owner_of(resource.name), set())
            held.add((type_url, resource.name))
        for name in removed:
            acked = subscription.acked.get(name)
            self._drop(subscription, type_url, name)
            if acked is not None:
                subscription.acked[name] = acked  # until the router confirms
        versions = {resource.name: resource.version for resource in resources}
        self._pending[nonce] = _Pending(type_url, versions, removed)
        return bytes(response.SerializeToString())
