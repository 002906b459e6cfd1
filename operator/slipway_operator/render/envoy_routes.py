"""The RouteConfiguration of one ModelDeployment: weights, timeouts, retries, and its own hash.

The first route shows the hash of the configuration, and every answer carries it: what a router
really does can be asked for, an ACK alone does not say that its workers have switched.
"""

import json
from dataclasses import replace
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from slipway_api import names
from slipway_operator.engine.traffic import Backend, RetryPolicy, StickyKey, Traffic
from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_clusters import cluster_name
from slipway_operator.render.envoy_names import Protocol
from slipway_operator.render.envoy_wire import Resource, digest, duration, pack

WEIGHT_TOTAL: Final = 10_000  # constant, so that a share that grows keeps the keys it has
BODY_LIMIT_BYTES: Final = 1 << 20  # a larger request is passed on, but cannot be sent twice
# A chain has up to four members: first choice, stand-in twice, and the stand-in's Service address.
RETRY_COUNT: Final = 3
HOST_TRIES_MAX: Final = 10  # to draw a pod that this request has not been at
# Envoy retries an answer that has it only where a policy says so, and ours never does.
HEADER_NO_RETRY: Final = "x-envoy-ratelimited"
ROUTER_NAME: Final = "%ENVIRONMENT(SLIPWAY_ROUTER_NAME)%"  # filled in by each router for itself

_RETRY_ON: Final[dict[RetryPolicy, str]] = {
    "any": "connect-failure,refused-stream,reset,5xx,deadline-exceeded,internal,unavailable,"
    "retriable-headers",
    "unprocessed": "connect-failure,refused-stream",
}
# UNKNOWN and DATA_LOSS: failures for which Envoy has no word of its own.
_RETRIABLE_GRPC_STATUS: Final = ("2", "15")


def routes(traffic: Traffic) -> Resource:
    """Render the routes; the resource's version is the hash that the configuration shows."""
    shown = config_hash(traffic)
    wrapped = pack(_configuration(traffic, shown))
    return Resource(
        type_url=wrapped.type_url,
        name=envoy_names.owner(traffic.namespace, traffic.name),
        version=shown,
        body=wrapped.SerializeToString(deterministic=True),
        needs=tuple(
            chain_name(traffic, backend, protocol)
            for protocol in envoy_names.PROTOCOLS
            for backend, _ in shares(traffic)
        ),
    )


def config_hash(traffic: Traffic) -> str:
    """Hash everything that the routes carry: weights, timeouts, retries, the rollout.

    Endpoints are no part of it: pods come and go without a new configuration.
    """
    return digest(_configuration(traffic, "").SerializeToString(deterministic=True))


def weight_of(shown: str, traffic: Traffic) -> int | None:
    """Tell at which weight, up to that of `traffic`, a router with this hash serves the candidate.

    None: the hash stands for none of them. Routes without any rollout give the candidate nothing.
    """
    alone = replace(traffic, weight_percent=0, per_try_timeout_s=None)
    if shown in (config_hash(alone), config_hash(replace(alone, salt=""))):
        return 0
    for weight_percent in range(traffic.weight_percent, -1, -1):
        for per_try_timeout_s in {traffic.per_try_timeout_s, None}:
            variant = replace(
                traffic, weight_percent=weight_percent, per_try_timeout_s=per_try_timeout_s
            )
            if shown == config_hash(variant):
                return weight_percent
    return None


def shares(traffic: Traffic) -> tuple[tuple[Backend, int], ...]:
    """Divide WEIGHT_TOTAL, the candidate first; revisions without a share are left out.

    Leaving a candidate of weight 0 out lets a lowered weight go to the routers before they know
    the clusters of the next candidate. Without a stable revision the candidate has everything as
    soon as it has anything. Empty: nobody serves.
    """
    candidate_weight = traffic.weight_percent * WEIGHT_TOTAL // 100
    if traffic.candidate is None or candidate_weight == 0:
        return ((traffic.stable, WEIGHT_TOTAL),) if traffic.stable is not None else ()
    if traffic.stable is None or candidate_weight == WEIGHT_TOTAL:
        return ((traffic.candidate, WEIGHT_TOTAL),)
    return (
        (traffic.candidate, candidate_weight),
        (traffic.stable, WEIGHT_TOTAL - candidate_weight),
    )


def ring(traffic: Traffic) -> tuple[tuple[Backend, int], ...]:
    """Lay the shares out one after the other, as Envoy looks a request's hash up in them.

    The candidate's share begins at a place that only the rollout decides, and grows from there: a
    key that it has, it keeps, and another rollout begins with other keys. It may go past the end
    and on at the beginning, and so may stable's: a revision can be there twice.
    """
    divided = shares(traffic)
    if traffic.sticky is None or len(divided) < 2:
        return divided
    (candidate, width), (stable, _) = divided
    begin = int(digest(traffic.salt.encode()), 16) % WEIGHT_TOTAL
    over = max(0, begin + width - WEIGHT_TOTAL)
    before, after = begin - over, WEIGHT_TOTAL - begin - (width - over)
    laid = (
        (candidate, over),
        (stable, before),
        (candidate, width - over),
        (stable, after),
    )
    return tuple((backend, weight) for backend, weight in laid if weight)


def chain_name(traffic: Traffic, backend: Backend, protocol: Protocol) -> str:
    """Name the chain that takes a revision's share: stable stands in for everybody."""
    fallback = traffic.stable if traffic.stable is not None else backend
    return envoy_names.chain(cluster_name(traffic, backend, protocol), fallback.revision)


def _configuration(traffic: Traffic, shown: str) -> route_pb2.RouteConfiguration:
    name = envoy_names.owner(traffic.namespace, traffic.name)
    host = route_components_pb2.VirtualHost(
        name=name,
        domains=["*"],
        routes=[_config_route(name, shown), *_model_routes(traffic)],
        response_headers_to_add=[
            _header(names.HEADER_CONFIG, shown),
            _header(names.HEADER_ROUTER, ROUTER_NAME),
        ],
        response_headers_to_remove=[HEADER_NO_RETRY],
        include_attempt_count_in_response=True,
        request_body_buffer_limit=wrappers_pb2.UInt64Value(value=BODY_LIMIT_BYTES),
    )
    host.metadata.filter_metadata["slipway"]["rollout"] = traffic.salt
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=[host],
        validate_clusters=wrappers_pb2.BoolValue(value=True),
    )


def _config_route(name: str, shown: str) -> route_components_pb2.Route:
    return route_components_pb2.Route(
        name=name,
        match=route_components_pb2.RouteMatch(path=names.CONFIG_PATH),
        direct_response=route_components_pb2.DirectResponseAction(
            status=200, body=base_pb2.DataSource(inline_string=shown)
        ),
    )


def _model_routes(traffic: Traffic) -> list[route_components_pb2.Route]:
    name = envoy_names.owner(traffic.namespace, traffic.name)
    match_all = route_components_pb2.RouteMatch(prefix="/")
    if not shares(traffic):
        body = json.dumps({"error": f"no revision of {name} serves yet"})
        return [
            route_components_pb2.Route(
                name=name,
                match=match_all,
                direct_response=route_components_pb2.DirectResponseAction(
                    status=503, body=base_pb2.DataSource(inline_string=body)
                ),
                response_headers_to_add=[_header("content-type", "application/json")],
            )
        ]
    match_grpc = route_components_pb2.RouteMatch(
        prefix="/", grpc=route_components_pb2.RouteMatch.GrpcRouteMatchOptions()
    )
    return [
        route_components_pb2.Route(name=name, match=match_grpc, route=_action(traffic, "grpc")),
        route_components_pb2.Route(name=name, match=match_all, route=_action(traffic, "http")),
    ]


def _action(traffic: Traffic, protocol: Protocol) -> route_components_pb2.RouteAction:
    weighted = route_components_pb2.WeightedCluster(
        clusters=[
            route_components_pb2.WeightedCluster.ClusterWeight(
                name=chain_name(traffic, backend, protocol),
                weight=wrappers_pb2.UInt32Value(value=weight),
            )
            for backend, weight in ring(traffic)
        ],
        use_hash_policy=wrappers_pb2.BoolValue(value=True),  # without a key by chance
    )
    return route_components_pb2.RouteAction(
        weighted_clusters=weighted,
        timeout=duration(traffic.timeout_s),
        retry_policy=_retries(traffic),
        hash_policy=_hash_policies(traffic.sticky),
    )


def _hash_policies(sticky: StickyKey | None) -> list[route_components_pb2.RouteAction.HashPolicy]:
    """Hash what tells clients apart; Envoy's hash is the same in every process."""
    policy = route_components_pb2.RouteAction.HashPolicy
    if sticky is None:
        return []
    if sticky.kind == "header":
        return [policy(header=policy.Header(header_name=sticky.name))]
    return [policy(cookie=policy.Cookie(name=sticky.name))]


def _retries(traffic: Traffic) -> route_components_pb2.RetryPolicy | None:
    if traffic.retry == "none":
        return None
    back_off = route_components_pb2.RetryPolicy.RetryBackOff(
        base_interval=duration(0.005), max_interval=duration(0.02)
    )
    policy = route_components_pb2.RetryPolicy(
        retry_on=_RETRY_ON[traffic.retry],
        num_retries=wrappers_pb2.UInt32Value(value=RETRY_COUNT),
        retry_back_off=back_off,
        retry_host_predicate=[
            route_components_pb2.RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
        host_selection_retry_max_attempts=HOST_TRIES_MAX,
    )
    if traffic.retry == "any":
        policy.retriable_headers.extend(
            route_components_pb2.HeaderMatcher(
                name="grpc-status", string_match=string_pb2.StringMatcher(exact=status)
            )
            for status in _RETRIABLE_GRPC_STATUS
        )
    if traffic.per_try_timeout_s is not None and traffic.per_try_timeout_s < traffic.timeout_s:
        policy.per_try_timeout.CopyFrom(duration(traffic.per_try_timeout_s))
    return policy


def _header(key: str, value: str) -> base_pb2.HeaderValueOption:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=key, value=value),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
