"""Rules of one router's ADS stream, without a router."""

from collections.abc import Iterable, Iterator

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from slipway_operator.adapters.ads_catalogue import Catalogue
from slipway_operator.adapters.ads_stream import DeltaStream, Timing
from slipway_operator.render.envoy_wire import (
    CLUSTER,
    ENDPOINTS,
    LISTENER,
    ROUTES,
    Resource,
)

OWNER = "ml/churn"
STABLE, CANDIDATE = "ml~churn~r1~http", "ml~churn~r2~http"
REFUSED = "refused for a test"


def _resource(type_url: str, name: str, version: str, *, needs: Iterable[str] = ()) -> Resource:
    body = any_pb2.Any(type_url=type_url, value=version.encode()).SerializeToString()
    return Resource(type_url, name, version, body, tuple(needs))


def _deployment(*clusters: str, version: str = "1") -> list[Resource]:
    """Everything of a deployment whose routes need all its clusters."""
    return [
        *(_resource(CLUSTER, cluster, "1") for cluster in clusters),
        *(_resource(ENDPOINTS, cluster, "1") for cluster in clusters),
        _resource(LISTENER, OWNER, "1"),
        _resource(ROUTES, OWNER, version, needs=clusters),
    ]


Sent = list[tuple[str, list[str], list[str]]]


class Router:
    """A router's side of the stream; it subscribes and acknowledges when told to."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.stream = DeltaStream(catalogue, Timing(ack_deadline_s=2.0, removal_delay_s=5.0))
        self.now_s = 100.0
        self.unanswered: list[discovery_pb2.DeltaDiscoveryResponse] = []
        self.nacks: list[str] = []

    def ask(self, type_url: str, *names: str, initial: dict[str, str] | None = None) -> Sent:
        """Send a request for names, or for everything, and take in the answers."""
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=names,
            initial_resource_versions=initial or {},
        )
        request.node.id = "router-0"
        return self._send(request)

    def answer(self, type_url: str, *, error: str = "") -> Sent:
        """Acknowledge or refuse the oldest unanswered response of a type."""
        response = next(r for r in self.unanswered if r.type_url == type_url)
        self.unanswered.remove(response)
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url, response_nonce=response.nonce
        )
        if error:
            request.error_detail.message = error
        return self._send(request)

    def drop(self, type_url: str, *names: str) -> Sent:
        """Unsubscribe."""
        return self._send(
            discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_unsubscribe=names)
        )

    def advance(self, owner: str = OWNER) -> Sent:
        """Let the stream send what it may."""
        return list(self._take(self.stream.advance([owner], self.now_s)))

    def _send(self, request: discovery_pb2.DeltaDiscoveryRequest) -> Sent:
        touched, nack = self.stream.receive(request)
        if nack is not None:
            self.nacks.append(nack.message)
        return list(self._take(self.stream.advance(touched, self.now_s)))

    def _take(self, responses: Iterable[bytes]) -> Iterator[tuple[str, list[str], list[str]]]:
        for raw in responses:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
            self.unanswered.append(response)
            names = [resource.name for resource in response.resources]
            yield response.type_url, names, list(response.removed_resources)

    def settle(self) -> None:
        """Acknowledge everything, and ask for what new clusters and listeners refer to."""
        while self.unanswered:
            response = self.unanswered[0]
            names = [resource.name for resource in response.resources]
            self.answer(response.type_url)
            if response.type_url == CLUSTER and names:
                self.ask(ENDPOINTS, *names)
            if response.type_url == LISTENER and names:
                self.ask(ROUTES, *names)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def router(catalogue: Catalogue) -> Router:
    """A router that has one deployment with a stable revision."""
    catalogue.put(OWNER, _deployment(STABLE))
    router = Router(catalogue)
    router.ask(CLUSTER)
    router.settle()
    router.ask(LISTENER)
    router.settle()
    assert router.stream.is_settled(OWNER)
    return router


def test_a_fresh_router_is_answered_even_if_there_is_nothing(catalogue: Catalogue) -> None:
    router = Router(catalogue)

    assert router.ask(CLUSTER) == [(CLUSTER, [], [])]
    assert router.ask(LISTENER) == [(LISTENER, [], [])]


def test_routes_wait_for_the_clusters_they_need(router: Router, catalogue: Catalogue) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="2"))

    assert router.advance() == [(CLUSTER, [CANDIDATE], [])]
    assert router.ask(ENDPOINTS, CANDIDATE) == [(ENDPOINTS, [CANDIDATE], [])]
    assert router.answer(CLUSTER) == [(ROUTES, [OWNER], [])]


def test_routes_do_not_wait_longer_than_the_deadline(router: Router, catalogue: Catalogue) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="2"))
    router.advance()

    assert router.now_s + 2.0 == router.stream.wake_at_s
    router.now_s += 2.0
    assert router.advance() == [(ROUTES, [OWNER], [])]
    assert router.stream.wake_at_s is None


def test_routes_to_known_clusters_go_out_while_others_wait(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="raise"))
    router.advance()
    lowered = [
        *(r for r in _deployment(STABLE, CANDIDATE) if r.type_url != ROUTES),
        _resource(ROUTES, OWNER, "lower", needs=[STABLE]),
    ]

    catalogue.put(OWNER, lowered)

    assert router.advance() == [(ROUTES, [OWNER], [])]


def test_endpoints_go_with_a_cluster_that_changes(router: Router, catalogue: Catalogue) -> None:
    """Envoy warms it anew and acknowledges nothing until it has its endpoints again."""
    resources = [r for r in _deployment(STABLE) if r.type_url != CLUSTER]
    catalogue.put(OWNER, [_resource(CLUSTER, STABLE, "2"), *resources])

    assert router.advance() == [(CLUSTER, [STABLE], []), (ENDPOINTS, [STABLE], [])]


def test_clusters_leave_some_time_after_the_routes_that_used_them(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="2"))
    router.advance()
    router.settle()
    catalogue.put(OWNER, _deployment(STABLE, version="3"))

    assert router.advance() == [(ROUTES, [OWNER], [])]
    assert router.answer(ROUTES) == []
    router.now_s += 5.0
    assert router.advance() == [(CLUSTER, [], [CANDIDATE])]
    router.drop(ENDPOINTS, CANDIDATE)
    router.settle()
    assert router.advance() == []


def test_clusters_stay_while_the_routes_that_replace_them_are_refused(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment("ml~churn~r3~http", version="2"))
    router.advance()
    router.ask(ENDPOINTS, "ml~churn~r3~http")
    router.answer(CLUSTER)
    router.answer(ROUTES, error=REFUSED)

    router.now_s += 60.0

    assert router.advance() == []
    assert router.nacks == [REFUSED]


def test_a_refused_version_is_not_sent_again_but_the_next_one_is(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment(STABLE, version="bad"))
    router.advance()
    router.answer(ROUTES, error=REFUSED)
    again = router.advance()
    kept = router.stream.acked(ROUTES)

    catalogue.put(OWNER, _deployment(STABLE, version="good"))

    assert again == []
    assert kept == {OWNER: "1"}
    assert router.advance() == [(ROUTES, [OWNER], [])]


def test_routes_refused_for_want_of_a_cluster_go_again_when_it_is_there(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="2"))
    router.advance()
    router.now_s += 2.0
    router.advance()
    router.answer(ROUTES, error="unknown cluster")

    assert router.answer(CLUSTER) == [(ROUTES, [OWNER], [])]


def test_a_listener_refused_for_its_address_goes_again_when_another_has_left(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put("ml/other", [_resource(LISTENER, "ml/other", "1")])
    router.advance("ml/other")
    router.answer(LISTENER, error="duplicate address")
    catalogue.put(OWNER, ())
    router.advance()

    assert router.advance("ml/other") == []
    assert router.answer(LISTENER) == [(LISTENER, ["ml/other"], [])]


def test_resources_refused_in_company_are_tried_alone(router: Router, catalogue: Catalogue) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, "ml~churn~r3~http", version="2"))
    router.advance()

    alone = router.answer(CLUSTER, error=REFUSED)

    assert [sent for sent in alone if sent[0] == CLUSTER] == [
        (CLUSTER, [CANDIDATE], []),
        (CLUSTER, ["ml~churn~r3~http"], []),
    ]


def test_a_router_that_comes_back_gets_only_what_differs(catalogue: Catalogue) -> None:
    catalogue.put(OWNER, _deployment(STABLE, version="2"))
    router = Router(catalogue)

    assert router.ask(CLUSTER, initial={STABLE: "1"}) == []
    assert router.ask(ENDPOINTS, STABLE, initial={STABLE: "1"}) == []
    assert router.ask(LISTENER, initial={OWNER: "1"}) == []
    assert router.ask(ROUTES, OWNER, initial={OWNER: "1"}) == [(ROUTES, [OWNER], [])]


def test_what_nobody_has_put_or_removed_stays(catalogue: Catalogue) -> None:
    router = Router(catalogue)

    assert router.ask(CLUSTER, initial={STABLE: "1"}) == []
    assert router.ask(LISTENER, initial={OWNER: "1"}) == []
    assert list(router.stream.owners()) == [OWNER]
    catalogue.put(OWNER, ())
    assert router.advance() == [(LISTENER, [], [OWNER])]


def test_a_removed_owner_loses_its_listener_first(router: Router, catalogue: Catalogue) -> None:
    catalogue.put(OWNER, ())

    assert router.advance() == [(LISTENER, [], [OWNER])]
    assert not router.stream.is_settled(OWNER)
    assert router.answer(LISTENER) == []
    assert router.stream.is_settled(OWNER)
    router.drop(ROUTES, OWNER)
    router.now_s += 5.0
    assert router.advance() == [(CLUSTER, [], [STABLE])]
    router.answer(CLUSTER)
    router.drop(ENDPOINTS, STABLE)
    assert list(router.stream.owners()) == []
    assert router.stream.wake_at_s is None


def test_what_is_asked_for_again_is_sent_again(router: Router) -> None:
    assert router.ask(ENDPOINTS, STABLE) == [(ENDPOINTS, [STABLE], [])]


def test_an_owner_forgotten_while_it_waited_wakes_nobody(
    router: Router, catalogue: Catalogue
) -> None:
    catalogue.put(OWNER, _deployment(STABLE, CANDIDATE, version="2"))
    router.advance()
    catalogue.put(OWNER, ())
    catalogue.forget(OWNER)

    router.now_s += 10.0

    assert router.advance() == []
    assert router.stream.wake_at_s is None


def test_a_router_that_answers_nothing_is_found_out(router: Router, catalogue: Catalogue) -> None:
    for number in range(10_002):
        catalogue.put(OWNER, _deployment(STABLE, version=f"v{number}"))
        router.advance()

    assert router.stream.is_overrun
