"""Clusters and endpoints of one ModelDeployment.

Per revision and protocol: its pods (EDS), its Service address (static), and one chain per
revision that may have to stand in: attempt n of a request goes to member n of the chain, empty
members are skipped. No cluster's definition ever changes while it exists, pods come and go by
EDS only: a changed cluster opens all its connections anew.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import (
    address_pb2,
    config_source_pb2,
    protocol_pb2,
    socket_option_pb2,
)
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, wrappers_pb2

from slipway_operator.engine.traffic import Backend, Traffic
from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_names import PROTOCOLS, ClusterName, Protocol
from slipway_operator.render.envoy_wire import Resource, duration, pack, resource

CONNECT_TIMEOUT_S: Final = 0.25
# A pod whose node is cut off says nothing at all. Connections that nobody acknowledges for so long
# are broken, and their requests go to another pod; a slow model's connections are acknowledged.
SILENCE_S: Final = 5
KEEPALIVE_S: Final = 2  # of silence until the first probe; one more each second
_IPPROTO_TCP: Final = 6
_TCP_USER_TIMEOUT: Final = 18  # linux/tcp.h, milliseconds
# Servers close idle connections too; who closes second loses the request that is just on its way.
# uvicorn's default is 5 s, the shortest in common use: the router has to be first.
IDLE_TIMEOUT_S: Final = {"http": 4.0, "grpc": 300.0}
# Envoy's default of 1024 turned a busy machine into thousands of 503.
BREAKER_LIMIT: Final = 1_000_000
RETRIES_CONCURRENT_MIN: Final = 1000
# Copies under way at once, in each router. Of a candidate that hung, 20 kept a router's memory as
# it was; Envoy's default of 1024 cost 42 MiB.
MIRROR_LIMIT: Final = 20

# Keys and type names as Envoy registers them.
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_COMPOSITE_TYPE: Final = "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig"


def clusters(traffic: Traffic) -> Iterator[Resource]:
    """Render everything that a RouteConfiguration of this deployment, old or new, may name."""
    known = backends(traffic)
    for protocol in PROTOCOLS:
        for backend in known:
            identity = cluster_name(traffic, backend, protocol)
            yield resource(envoy_names.pods(identity), _pods(identity))
            if backend.cluster_ip is not None:
                name = envoy_names.service(identity)
                yield resource(name, _service(identity, backend))
        if is_mirrored(traffic):
            assert traffic.candidate is not None
            identity = cluster_name(traffic, traffic.candidate, protocol)
            yield resource(envoy_names.mirror(identity), _mirror(identity))
        for first in known:
            for fallback in known:
                yield _chain(traffic, first, fallback=fallback, protocol=protocol)


def endpoints(traffic: Traffic) -> Iterator[Resource]:
    """Render the pods of each revision; an empty list empties the cluster."""
    for protocol in PROTOCOLS:
        for backend in backends(traffic):
            identity = cluster_name(traffic, backend, protocol)
            targets = _targets(
                backend.endpoints, _port(backend, protocol), revision=backend.revision
            )
            yield empty_endpoints(envoy_names.pods(identity), targets)
            if is_mirrored(traffic) and backend == traffic.candidate:
                # Of its own: Envoy asks for an assignment once, and a second cluster of the same
                # one would wait for its next change.
                yield empty_endpoints(envoy_names.mirror(identity), targets)


def empty_endpoints(
    cluster: str, targets: Iterable[endpoint_components_pb2.LbEndpoint] = ()
) -> Resource:
    """Render one load assignment; without targets, one that takes all endpoints away.

    Envoy ignores the removal of an assignment, so that emptying is the only way.
    """
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    locality = endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=targets)
    if locality.lb_endpoints:
        assignment.endpoints.append(locality)
    return resource(cluster, assignment)


def is_mirrored(traffic: Traffic) -> bool:
    """Tell whether the candidate gets copies: there must be others' requests to copy."""
    has_others = traffic.stable is not None and traffic.weight_percent < 100
    return traffic.candidate is not None and traffic.mirror_percent > 0 and has_others


def backends(traffic: Traffic) -> tuple[Backend, ...]:
    """List the revisions that have or may still have requests, each once."""
    listed = [traffic.candidate, traffic.stable, *traffic.drain]
    return tuple({b.revision: b for b in reversed(listed) if b is not None}.values())[::-1]


def cluster_name(traffic: Traffic, backend: Backend, protocol: Protocol) -> ClusterName:
    """Name a revision of this deployment in one protocol."""
    return ClusterName(traffic.namespace, traffic.name, backend.revision, protocol)


def ads() -> config_source_pb2.ConfigSource:
    """Point to the stream on which the rest of the configuration comes, however long it takes."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(0),
    )


def _pods(identity: ClusterName) -> cluster_pb2.Cluster:
    return _of_pods(identity, name=envoy_names.pods(identity), breakers=_breakers())


def _mirror(identity: ClusterName) -> cluster_pb2.Cluster:
    """Let copies that would wait be dropped: they must not pile up in the router."""
    limit = wrappers_pb2.UInt32Value(value=MIRROR_LIMIT)
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=limit, max_pending_requests=limit, max_requests=limit
    )
    breakers = circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])
    return _of_pods(identity, name=envoy_names.mirror(identity), breakers=breakers)


def _of_pods(
    identity: ClusterName, *, name: str, breakers: circuit_breaker_pb2.CircuitBreakers
) -> cluster_pb2.Cluster:
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ads()),
        connect_timeout=duration(CONNECT_TIMEOUT_S),
        lb_policy=cluster_pb2.Cluster.LEAST_REQUEST,
        circuit_breakers=breakers,
        outlier_detection=_outliers(),
        upstream_connection_options=_keepalive(),
        upstream_bind_config=_user_timeout(),
        typed_extension_protocol_options={_HTTP_OPTIONS: _protocol_options(identity.protocol)},
    )


def _service(identity: ClusterName, backend: Backend) -> cluster_pb2.Cluster:
    assert backend.cluster_ip is not None
    name = envoy_names.service(identity)
    targets = _targets((backend.cluster_ip,), _port(backend, identity.protocol))
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=targets)],
        ),
        connect_timeout=duration(CONNECT_TIMEOUT_S),
        circuit_breakers=_breakers(),
        upstream_connection_options=_keepalive(),
        upstream_bind_config=_user_timeout(),
        typed_extension_protocol_options={_HTTP_OPTIONS: _protocol_options(identity.protocol)},
    )


def _chain(traffic: Traffic, first: Backend, *, fallback: Backend, protocol: Protocol) -> Resource:
    own = cluster_name(traffic, first, protocol)
    other = cluster_name(traffic, fallback, protocol)
    # The stand-in twice: another of its pods, where the first is on the node that is cut off, too.
    members = [envoy_names.pods(own), *[envoy_names.pods(other)] * 2]
    if fallback.cluster_ip is not None:
        members.append(envoy_names.service(other))
    name = envoy_names.chain(own, fallback.revision)
    cluster = cluster_pb2.Cluster(
        name=name,
        connect_timeout=duration(CONNECT_TIMEOUT_S),
        lb_policy=cluster_pb2.Cluster.CLUSTER_PROVIDED,
        cluster_type=cluster_pb2.Cluster.CustomClusterType(
            name="envoy.clusters.composite",
            typed_config=any_pb2.Any(type_url=_COMPOSITE_TYPE, value=_composite(members)),
        ),
        circuit_breakers=_breakers(),
    )
    return resource(name, cluster)


def _composite(members: Iterable[str]) -> bytes:
    """Encode `ClusterConfig { repeated Entry clusters = 1; }`, `Entry { string name = 1; }`.

    xds-protos lacks this message. Field 1 with wire type 2 has the tag byte 0x0A; lengths are
    varints (protobuf encoding guide, "Length-Delimited Records").
    """
    return b"".join(_delimited(_delimited(name.encode())) for name in members)


def _delimited(content: bytes) -> bytes:
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"\x0a" + bytes(length) + content


def _port(backend: Backend, protocol: Protocol) -> int:
    return backend.http_port if protocol == "http" else backend.grpc_port


def _targets(
    addresses: Iterable[str], port: int, *, revision: str = ""
) -> list[endpoint_components_pb2.LbEndpoint]:
    """List addresses; the revision names the hosts, so that retries can go by it."""
    return [
        endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(
                address=address_pb2.Address(
                    socket_address=address_pb2.SocketAddress(address=address, port_value=port)
                ),
                hostname=revision,
            )
        )
        for address in addresses
    ]


def _protocol_options(protocol: Protocol) -> any_pb2.Any:
    """Say one protocol explicitly: uvicorn speaks no HTTP/2, grpcio no HTTP/1.1."""
    explicit = http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig()
    if protocol == "http":
        explicit.http_protocol_options.SetInParent()
    else:
        explicit.http2_protocol_options.SetInParent()
    return pack(
        http_protocol_options_pb2.HttpProtocolOptions(
            explicit_http_config=explicit,
            common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
                idle_timeout=duration(IDLE_TIMEOUT_S[protocol])
            ),
        )
    )


def _breakers() -> circuit_breaker_pb2.CircuitBreakers:
    """Lift the limits; a fallback is worth nothing if its retries are rationed."""
    limit = wrappers_pb2.UInt32Value(value=BREAKER_LIMIT)
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(
                max_connections=limit,
                max_pending_requests=limit,
                max_requests=limit,
                retry_budget=thresholds.RetryBudget(
                    budget_percent=percent_pb2.Percent(value=100),
                    min_retry_concurrency=wrappers_pb2.UInt32Value(value=RETRIES_CONCURRENT_MIN),
                ),
            )
        ]
    )


def _keepalive() -> cluster_pb2.UpstreamConnectionOptions:
    """Probe connections on which only an answer is waited for: they have nothing to acknowledge."""
    count = wrappers_pb2.UInt32Value
    return cluster_pb2.UpstreamConnectionOptions(
        tcp_keepalive=address_pb2.TcpKeepalive(
            keepalive_time=count(value=KEEPALIVE_S),
            keepalive_interval=count(value=1),
            keepalive_probes=count(value=SILENCE_S - KEEPALIVE_S),
        )
    )


def _user_timeout() -> address_pb2.BindConfig:
    """Break connections whose data nobody acknowledges; the kernel would try for minutes."""
    return address_pb2.BindConfig(
        socket_options=[
            socket_option_pb2.SocketOption(
                description="TCP_USER_TIMEOUT",
                level=_IPPROTO_TCP,
                name=_TCP_USER_TIMEOUT,
                int_value=SILENCE_S * 1000,
            )
        ]
    )


def _outliers() -> outlier_detection_pb2.OutlierDetection:
    """Eject pods that do not answer at all, never more than half of them.

    Answers never eject: a pod that sheds load with 503 would double the load of the others.
    """
    count = wrappers_pb2.UInt32Value
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=count(value=5),
        enforcing_consecutive_local_origin_failure=count(value=100),
        enforcing_consecutive_5xx=count(value=0),
        enforcing_consecutive_gateway_failure=count(value=0),
        enforcing_success_rate=count(value=0),
        enforcing_local_origin_success_rate=count(value=0),
        interval=duration(1),
        base_ejection_time=duration(5),
        max_ejection_percent=count(value=50),
    )
