"""Laws of the ADS stream, against a router that answers when and how it likes."""

from collections import deque
from collections.abc import Iterable

import hypothesis.strategies as st
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from slipway_operator.adapters.ads_catalogue import Catalogue
from slipway_operator.adapters.ads_stream import DeltaStream, Timing
from slipway_operator.render.envoy_names import owner_of
from slipway_operator.render.envoy_wire import (
    CLUSTER,
    ENDPOINTS,
    LISTENER,
    ROUTES,
    Resource,
)

OWNERS = ("ml/a", "ml/b")
REVISIONS = ("r1", "r2", "r3")
TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)


def _resource(type_url: str, name: str, version: str, *, needs: Iterable[str] = ()) -> Resource:
    body = any_pb2.Any(type_url=type_url, value=",".join(needs).encode())
    return Resource(type_url, name, version, body.SerializeToString(), tuple(needs))


class AdsMachine(RuleBasedStateMachine):
    """A model of Envoy: takes responses in order, late, or after a new connection."""

    @initialize()
    def begin(self) -> None:
        self.catalogue = Catalogue()
        self.now_s = 0.0
        self.version = 0
        self.held: dict[str, dict[str, str]] = {t: {} for t in TYPES}
        self.needs: dict[str, set[str]] = {}
        self.wanted: dict[str, list[Resource]] = {}
        self.connect()

    @rule()
    def connect(self) -> None:
        """Open a stream, with what an earlier one has left."""
        self.stream = DeltaStream(self.catalogue, Timing(ack_deadline_s=1e9, removal_delay_s=5.0))
        self.inbox: deque[bytes] = deque()
        self.subscribed = {
            ENDPOINTS: set(self.held[CLUSTER]),
            ROUTES: set(self.held[LISTENER]),
        }
        for type_url in TYPES:
            names = self.subscribed.get(type_url)
            if names is None or names:
                self._ask(type_url, names or (), initial=True)

    @rule(
        owner=st.sampled_from(OWNERS),
        revisions=st.sets(st.sampled_from(REVISIONS), min_size=1),
        data=st.data(),
    )
    def put(self, owner: str, revisions: set[str], data: st.DataObject) -> None:
        """Ask for something new; routes need some of the clusters."""
        used = data.draw(st.sets(st.sampled_from(sorted(revisions)), min_size=1))
        self.version += 1
        prefix = owner.replace("/", "~")
        names = [f"{prefix}~{revision}" for revision in sorted(revisions)]
        self.wanted[owner] = [
            *(_resource(CLUSTER, name, "1") for name in names),
            *(_resource(ENDPOINTS, name, str(self.version)) for name in names),
            _resource(LISTENER, owner, "1"),
            _resource(
                ROUTES,
                owner,
                str(self.version),
                needs=[f"{prefix}~{r}" for r in sorted(used)],
            ),
        ]
        self.catalogue.put(owner, self.wanted[owner])
        self._advance([owner])

    @rule(owner=st.sampled_from(OWNERS))
    def remove(self, owner: str) -> None:
        """Take an owner away."""
        if self.wanted.pop(owner, None):
            self.catalogue.put(owner, ())
            self._advance([owner])

    @rule()
    def wait(self) -> None:
        """Let time pass."""
        self.now_s += 10.0
        self._advance(self.stream.waiting)

    @rule(count=st.integers(1, 5))
    def take(self, count: int) -> None:
        """Take some responses in and acknowledge them."""
        for _ in range(min(count, len(self.inbox))):
            self._apply(discovery_pb2.DeltaDiscoveryResponse.FromString(self.inbox.popleft()))

    @invariant()
    def routes_lead_to_clusters_that_exist(self) -> None:
        if hasattr(self, "needs"):
            for owner, needs in self.needs.items():
                if owner in self.held[LISTENER]:
                    assert needs <= self.held[CLUSTER].keys(), owner

    def teardown(self) -> None:
        """In the end, with answers and time, the router has exactly what was asked for."""
        if not hasattr(self, "wanted"):
            return
        for _ in range(10):
            while self.inbox:
                self.take(5)
            self.wait()
        resources = [r for wanted in self.wanted.values() for r in wanted]
        for type_url in TYPES:
            expected = {r.name: r.version for r in resources if r.type_url == type_url}
            assert expected == self.held[type_url], type_url

    def _advance(self, owners: Iterable[str]) -> None:
        self.inbox.extend(self.stream.advance(list(owners), self.now_s))

    def _ask(self, type_url: str, names: Iterable[str], *, initial: bool = False) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=sorted(names),
            initial_resource_versions=self.held[type_url] if initial else {},
        )
        touched, _ = self.stream.receive(request)
        self._advance(touched)

    def _apply(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        held = self.held[response.type_url]
        for resource in response.resources:
            held[resource.name] = resource.version
            if response.type_url == ROUTES:
                needs = resource.resource.value.decode()
                self.needs[resource.name] = set(needs.split(","))
        for name in response.removed_resources:
            held.pop(name, None)
        self._follow(response)
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=response.type_url, response_nonce=response.nonce
        )
        touched, _ = self.stream.receive(request)
        self._advance(touched)

    def _follow(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        """Subscribe to what new clusters and listeners refer to, and drop what went with them."""
        child = {CLUSTER: ENDPOINTS, LISTENER: ROUTES}.get(response.type_url)
        if child is None:
            return
        new = {r.name for r in response.resources} - self.subscribed[child]
        if new:
            self.subscribed[child] |= new
            self._ask(child, new)
        gone = set(response.removed_resources) & self.subscribed[child]
        if gone:
            self.subscribed[child] -= gone
            request = discovery_pb2.DeltaDiscoveryRequest(
                type_url=child, resource_names_unsubscribe=sorted(gone)
            )
            for name in gone:
                self.held[child].pop(name, None)
                if child == ROUTES:
                    self.needs.pop(name, None)
            touched, _ = self.stream.receive(request)
            assert all(owner_of(owner) == owner for owner in touched)
            self._advance(touched)


TestAdsLaws = AdsMachine.TestCase
TestAdsLaws.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
