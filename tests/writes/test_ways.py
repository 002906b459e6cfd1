"""What a played router reads out of the operator's own configuration."""

from envoy.config.route.v3 import route_pb2
from google.protobuf import any_pb2

from slipway_operator.engine.traffic import Backend, Match, StickyKey, Traffic
from slipway_operator.render import envoy_routes
from tests.writes import ways
from tests.writes.ways import Shares


def shares_of(*, weight: int = 0, mirror: int = 0, match: tuple[Match, ...] = ()) -> Shares:
    stable, candidate = (
        Backend(name, ("10.0.0.1",), None, http_port=8080, grpc_port=9000)
        for name in ("churn-1", "churn-2")
    )
    traffic = Traffic(
        namespace="ml",
        name="churn",
        port=10000,
        stable=stable,
        candidate=candidate,
        weight_percent=weight,
        drain=(),
        timeout_s=30.0,
        per_try_timeout_s=None,
        retry="any",
        salt="rollout-1",
        is_logged=True,
        sticky=StickyKey("header", "x-user-id"),
        mirror_percent=mirror,
        match=match,
    )
    packed = any_pb2.Any.FromString(envoy_routes.routes(traffic).body)
    return ways.shares_of(route_pb2.RouteConfiguration.FromString(packed.value))


def test_shares_copies_and_marked_requests_are_ways_of_their_own() -> None:
    assert shares_of() == {"churn-1": 100}
    assert shares_of(weight=20) == {"churn-1": 80, "churn-2": 20}
    assert shares_of(mirror=20) == {"churn-1": 100, "copies churn-2": 20}
    assert shares_of(match=(Match("header", "x-beta", "yes"),)) == {
        "churn-1": 100,
        "x-beta churn-2": 100,
    }


def test_a_share_that_lies_on_both_ends_of_the_ring_is_one() -> None:
    assert all(shares_of(weight=weight)["churn-2"] == weight for weight in range(1, 100))


def test_a_way_without_pods_and_shares_that_are_no_whole_are_faults() -> None:
    shares = {"churn-1": 80, "churn-2": 10, "copies churn-2": 5}

    assert list(ways.faults(shares, lambda way: way == "churn-1")) == [
        "shares sum to 90",
        "churn-2 has 10 % and no pod",
        "copies churn-2 has 5 % and no pod",
    ]
    assert list(ways.faults({}, lambda _: 0)) == []
