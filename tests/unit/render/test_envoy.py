"""Envoy's resources as golden files; refresh them with SLIPWAY_UPDATE_GOLDEN=1, review the diff."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format
from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.engine.traffic import Backend, Match, StaticAnswer, StickyKey, Traffic
from slipway_operator.render import envoy, envoy_names, envoy_routes
from slipway_operator.render.envoy_wire import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource

GOLDEN = Path(__file__).parents[2] / "golden" / "envoy"

STABLE = Backend("r1", ("10.0.0.1", "10.0.0.2"), "10.96.0.1", 8080, 9000)
CANDIDATE = Backend("r2", ("10.0.0.3",), "10.96.0.2", 8080, 9000)
OLD = Backend("r0", (), None, 8080, 9000)
TRAFFIC = Traffic(
    namespace="ml",
    name="churn",
    port=10_000,
    stable=STABLE,
    candidate=CANDIDATE,
    weight_percent=5,
    drain=(),
    timeout_s=60.0,
    per_try_timeout_s=1.5,
    retry="any",
    salt="rollout-7",
    is_logged=True,
)
CASES = {
    "canary": TRAFFIC,
    "routes-stable-alone": replace(TRAFFIC, candidate=None, weight_percent=0),
    "routes-unprocessed": replace(TRAFFIC, retry="unprocessed", per_try_timeout_s=None),
    "routes-none": replace(TRAFFIC, retry="none"),
    "routes-sticky": replace(TRAFFIC, sticky=StickyKey("header", "x-user-id")),
    "mirror": replace(TRAFFIC, weight_percent=0, mirror_percent=25),
    "routes-matches": replace(
        TRAFFIC,
        weight_percent=0,
        match=(Match("header", "x-beta", "on"), Match("cookie", "tester", "a.b")),
    ),
    "listener-static": replace(TRAFFIC, static_answer=StaticAnswer('{"outputs": []}', 200)),
    "routes-nobody": replace(TRAFFIC, stable=None, candidate=None, weight_percent=0),
}


@pytest.fixture(scope="session", autouse=True)
def composite_descriptor() -> None:
    """Teach protobuf the message that xds-protos lacks and that we encode by hand."""
    file = descriptor_pb2.FileDescriptorProto(
        name="composite.proto", package="envoy.extensions.clusters.composite.v3", syntax="proto3"
    )
    message = file.message_type.add(name="ClusterConfig")
    entry = message.nested_type.add(name="Entry")
    text, nested = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, 11
    entry.field.add(name="name", number=1, type=text, label=1)
    message.field.add(
        name="clusters",
        number=1,
        type=nested,
        label=3,
        type_name=".envoy.extensions.clusters.composite.v3.ClusterConfig.Entry",
    )
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def _decoded(resources: Sequence[Resource]) -> dict[str, Any]:
    bodies = [(r, any_pb2.Any.FromString(r.body)) for r in resources]
    return {f"{r.type_url}/{r.name}": json_format.MessageToDict(body) for r, body in bodies}


def _of(traffic: Traffic, type_url: str) -> dict[str, Resource]:
    return {r.name: r for r in envoy.resources(traffic) if r.type_url == type_url}


@pytest.mark.parametrize("case", CASES)
def test_rendering_is_as_recorded(case: str) -> None:
    resources = envoy.resources(CASES[case])
    kinds = {"routes": ROUTES, "listener": LISTENER}
    only = kinds.get(case.split("-")[0])
    resources = tuple(r for r in resources if only in (None, r.type_url))
    text = json.dumps(_decoded(resources), indent=1, sort_keys=True) + "\n"
    file = GOLDEN / f"{case}.json"
    if os.environ.get("SLIPWAY_UPDATE_GOLDEN"):
        file.write_text(text)

    assert file.read_text() == text


def test_runtime_layer_lists_the_deployments_that_are_logged() -> None:
    resource = envoy.runtime_resource([("shop", "sales"), ("ml", "churn")])

    (body,) = _decoded([resource]).values()
    assert body["layer"] == {"slipway.log.ml.churn": 100, "slipway.log.shop.sales": 100}


def _weights(traffic: Traffic) -> dict[str, int]:
    return {backend.revision: weight for backend, weight in envoy_routes.shares(traffic)}


@pytest.mark.parametrize(
    ("has_stable", "has_candidate", "weight", "expected"),
    [
        (True, True, 0, {"r1": 10_000}),
        (True, True, 5, {"r2": 500, "r1": 9_500}),
        (True, True, 100, {"r2": 10_000}),
        (True, False, 0, {"r1": 10_000}),
        (False, True, 0, {}),
        (False, True, 30, {"r2": 10_000}),
        (False, False, 0, {}),
    ],
)
def test_shares(
    has_stable: bool, has_candidate: bool, weight: int, expected: dict[str, int]
) -> None:
    traffic = replace(
        TRAFFIC,
        stable=STABLE if has_stable else None,
        candidate=CANDIDATE if has_candidate else None,
        weight_percent=weight,
    )

    assert expected == _weights(traffic)


def test_hash_does_not_depend_on_pods() -> None:
    moved = replace(TRAFFIC, stable=replace(STABLE, endpoints=("10.0.0.9",)))

    assert envoy.config_hash(TRAFFIC) == envoy.config_hash(moved)
    assert _of(TRAFFIC, CLUSTER) == _of(moved, CLUSTER)
    assert _of(TRAFFIC, ENDPOINTS) != _of(moved, ENDPOINTS)


@pytest.mark.parametrize(
    "change",
    [
        {"weight_percent": 6},
        {"timeout_s": 59.0},
        {"per_try_timeout_s": 1.6},
        {"retry": "none"},
        {"salt": "rollout-8"},
        {"mirror_percent": 1},
        {"match": (Match("header", "x-beta", "on"),)},
        {"stable": replace(STABLE, revision="r9")},
    ],
    ids=str,
)
def test_hash_changes_with_everything_that_routes_carry(change: dict[str, Any]) -> None:
    assert envoy.config_hash(TRAFFIC) != envoy.config_hash(replace(TRAFFIC, **change))


def test_version_of_routes_is_the_hash_that_the_router_shows() -> None:
    (routes,) = _of(TRAFFIC, ROUTES).values()

    shown = envoy.config_hash(TRAFFIC)
    assert shown == routes.version
    assert routes.body.count(shown.encode()) == 2  # answered when asked, stamped on answers


@given(
    weight=st.integers(0, 100),
    mirror=st.sampled_from([0, 1, 100]),
    match=st.sampled_from([(), (Match("cookie", "tester", "1"),)]),
    roles=st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)),
    endpoints=st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), unique=True),
    cluster_ip=st.sampled_from([None, "10.96.0.1"]),
)
def test_law_whatever_routes_name_is_rendered(
    weight: int,
    mirror: int,
    match: tuple[Match, ...],
    roles: tuple[bool, bool, int],
    endpoints: list[str],
    cluster_ip: str | None,
) -> None:
    has_stable, has_candidate, drained = roles
    backends = [
        Backend(f"r{i}", tuple(endpoints), cluster_ip, 8080, 9000) for i in range(2 + drained)
    ]
    traffic = replace(
        TRAFFIC,
        stable=backends[0] if has_stable else None,
        candidate=backends[1] if has_candidate else None,
        weight_percent=weight if has_candidate else 0,
        mirror_percent=mirror if has_candidate else 0,
        match=match if has_candidate else (),
        drain=tuple(backends[2:]),
    )

    resources = envoy.resources(traffic)

    clusters = {r.name for r in resources if r.type_url == CLUSTER}
    assert clusters.issuperset(next(r for r in resources if r.type_url == ROUTES).needs)
    assert {r.name for r in resources if r.type_url == ENDPOINTS} <= clusters
    (routes,) = _decoded([r for r in resources if r.type_url == ROUTES]).values()
    assert _named(routes) <= {*clusters}
    assert {"ml/churn"} == {envoy_names.owner_of(r.name) for r in resources}
    assert len(resources) == len({(r.type_url, r.name) for r in resources})
    assert resources == envoy.resources(traffic)
    assert sum(_weights(traffic).values()) in (0, envoy_routes.WEIGHT_TOTAL)


def _named(routes: object) -> set[str]:
    """List the clusters that routes name, wherever."""
    if isinstance(routes, dict):
        names = {routes["cluster"]} if "cluster" in routes else set()
        weighted = {each["name"] for each in routes.get("clusters", ())}
        return names.union(weighted, *(_named(each) for each in routes.values()))
    return set().union(*map(_named, routes)) if isinstance(routes, list) else set()


def test_promotion_keeps_the_chains_that_requests_in_flight_may_need() -> None:
    before = _of(replace(TRAFFIC, weight_percent=100), CLUSTER)
    after = _of(
        replace(TRAFFIC, stable=CANDIDATE, candidate=None, weight_percent=0, drain=(STABLE,)),
        CLUSTER,
    )

    assert before == after


_ROLLOUT_CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"weight_percent": 50},
    {"mirror_percent": 10},
    {"match": (Match("header", "x-beta", "on"),)},
    {"salt": "x"},
    {"stable": None},
)


def test_listener_stays_as_it_is_during_rollouts() -> None:
    versions = {
        next(iter(_of(replace(TRAFFIC, **change), LISTENER).values())).version
        for change in _ROLLOUT_CHANGES
    }

    assert len(versions) == 1


def test_only_another_static_answer_changes_the_listener() -> None:
    answers = (None, StaticAnswer("{}"), StaticAnswer("{}", 503), StaticAnswer('{"a": 1}'))
    versions = {
        (
            answer,
            _of(replace(TRAFFIC, static_answer=answer, **change), LISTENER)["ml/churn"].version,
        )
        for change in _ROLLOUT_CHANGES
        for answer in answers
    }

    assert len(versions) == len(answers)


def test_an_emptied_revision_has_an_empty_assignment() -> None:
    traffic = replace(TRAFFIC, drain=(OLD,))

    body = any_pb2.Any.FromString(_of(traffic, ENDPOINTS)["ml~churn~r0~http"].body)

    assert list(endpoint_pb2.ClusterLoadAssignment.FromString(body.value).endpoints) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"port": 0}, "port"),
        ({"timeout_s": 0}, "timeout"),
        ({"match": (Match("header", "", "on"),)}, "match"),
    ],
)
def test_what_envoy_would_refuse_is_refused_before(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} of ml/churn"):
        envoy.resources(replace(TRAFFIC, **change))


@pytest.mark.parametrize(
    "cluster",
    [
        envoy_names.ClusterName(*parts)
        for parts in itertools.product(["ml"], ["churn"], ["r1", "churn-5d8f7c"], ["http", "grpc"])
    ],
)
def test_cluster_names_are_read_back(cluster: envoy_names.ClusterName) -> None:
    for name in (
        envoy_names.pods(cluster),
        envoy_names.service(cluster),
        envoy_names.chain(cluster, "r0"),
    ):
        assert cluster == envoy_names.parse(name)


@pytest.mark.parametrize("name", ["", "xds", "a~b", "a~b~c~ftp"])
def test_names_of_others_are_not_read(name: str) -> None:
    assert envoy_names.parse(name) is None


@given(st.integers(0, 99), st.integers(0, 99), st.text(max_size=8))
def test_a_sticky_share_that_grows_keeps_the_keys_it_has(
    weight: int, growth: int, rollout: str
) -> None:
    grown = min(100, weight + growth)
    sticky = replace(TRAFFIC, sticky=StickyKey("cookie", "session"), salt=rollout)

    before = _places(replace(sticky, weight_percent=weight))
    after = _places(replace(sticky, weight_percent=grown))

    assert (100 * weight, 100 * grown) == (len(before), len(after))
    assert before <= after


def test_another_rollout_begins_with_other_keys() -> None:
    sticky = replace(TRAFFIC, sticky=StickyKey("header", "x-user-id"))

    first, second = (_places(replace(sticky, salt=f"churn-0a-g{number}")) for number in (2, 3))

    assert not first & second


def _places(traffic: Traffic) -> set[int]:
    """List the places of the ring that the candidate has."""
    found: set[int] = set()
    begin = 0
    for backend, weight in envoy_routes.ring(traffic):
        if backend is traffic.candidate:
            found |= set(range(begin, begin + weight))
        begin += weight
    assert begin == envoy_routes.WEIGHT_TOTAL
    return found
