"""The RouteConfiguration of one ModelDeployment: weights, timeouts, retries, and its own hash.

The first route shows the hash of the configuration, and every answer carries it: what a router
really does can be asked for, an ACK alone does not say that its workers have switched.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from slipway_api import names
from slipway_operator.engine.traffic import Backend, Match, RetryPolicy, StickyKey, Traffic
from slipway_operator.render import envoy_names, envoy_opening
from slipway_operator.render.envoy_clusters import cluster_name, is_mirrored
from slipway_operator.render.envoy_names import Protocol
from slipway_operator.render.envoy_wire import Resource, digest, duration, pack

WEIGHT_TOTAL: Final = 10_000  # constant, so that a share that grows keeps the keys it has
BODY_LIMIT_BYTES: Final = 1 << 20  # a larger request is passed on, but cannot be sent twice
# A chain has up to four members: first choice, stand-in twice, and the stand-in's Service address.
RETRY_COUNT: Final = 3
HOST_TRIES_MAX: Final = 10  # to draw a pod that this request has not been at
# What came of an attempt, so that a pattern can say which of them are made again. Put on a pod's
# answer on the way to the retry policy, taken off on the way to the client.
HEADER_ATTEMPT: Final = "x-slipway-attempt"
ATTEMPT: Final = "%RESP(:status)%|%RESP(grpc-status)%|%UPSTREAM_HOST_NAME%|%RESP(retry-after)%"
ROUTER_NAME: Final = "%ENVIRONMENT(SLIPWAY_ROUTER_NAME)%"  # filled in by each router for itself

_ROUTED: Final[tuple[Protocol, ...]] = ("grpc", "http")  # the narrower match first
_RETRY_ON: Final[dict[RetryPolicy, str]] = {
    "any": "connect-failure,refused-stream,reset,retriable-headers",
    "unprocessed": "connect-failure,refused-stream",
}
# Answers that a pod gave, as `ATTEMPT` begins with them (`engine.attempts` has the same classes).
_FAILED: Final = r"(?:5\d\d\|[^|]*|[^|]*\|(?:2|4|13|14|15))"
_FAILED_OR_SHED: Final = r"(?:(?:429|5\d\d)\|[^|]*|[^|]*\|(?:2|4|8|13|14|15))"


def routes(traffic: Traffic) -> Resource:
    """Render the routes; the resource's version is the hash that the configuration shows."""
    shown = config_hash(traffic)
    wrapped = pack(_configuration(traffic, shown))
    return Resource(
        type_url=wrapped.type_url,
        name=envoy_names.owner(traffic.namespace, traffic.name),
        version=shown,
        body=wrapped.SerializeToString(deterministic=True),
        needs=tuple(_needs(traffic)),
    )


def config_hash(traffic: Traffic) -> str:
    """Hash everything that the routes carry: weights, copies, timeouts, retries, the rollout.

    Behind the hash stands in clear how far they are open to the candidate. Endpoints are no part of
    it: pods come and go without a new configuration.
    """
    content = _configuration(traffic, "").SerializeToString(deterministic=True)
    return digest(content) + envoy_opening.mark(traffic)


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


def _needs(traffic: Traffic) -> Iterator[str]:
    for protocol in envoy_names.PROTOCOLS:
        served = [backend for backend, _ in shares(traffic)]
        if traffic.match and traffic.candidate is not None and traffic.candidate not in served:
            served.append(traffic.candidate)
        for backend in served:
            yield chain_name(traffic, backend, protocol)
        if is_mirrored(traffic):
            assert traffic.candidate is not None
            yield envoy_names.mirror(cluster_name(traffic, traffic.candidate, protocol))


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
        response_headers_to_remove=[HEADER_ATTEMPT],
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
    """Lead the requests that are matched, then divide the others."""
    led = [
        _route(traffic, protocol, action, header=_matcher(match))
        for match in traffic.match
        for protocol, action in _led_actions(traffic)
    ]
    if not shares(traffic):
        return [*led, _nobody(envoy_names.owner(traffic.namespace, traffic.name))]
    divided = [_route(traffic, protocol, _divided(traffic, protocol)) for protocol in _ROUTED]
    return [*led, *divided]


def _nobody(name: str) -> route_components_pb2.Route:
    body = json.dumps({"error": f"no revision of {name} serves yet"})
    return route_components_pb2.Route(
        name=name,
        match=route_components_pb2.RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(
            status=503, body=base_pb2.DataSource(inline_string=body)
        ),
        response_headers_to_add=[_header("content-type", "application/json")],
    )


def _route(
    traffic: Traffic,
    protocol: Protocol,
    action: route_components_pb2.RouteAction,
    *,
    header: route_components_pb2.HeaderMatcher | None = None,
) -> route_components_pb2.Route:
    """Take the requests of one protocol, or those among them that have a header."""
    match = route_components_pb2.RouteMatch(prefix="/")
    if protocol == "grpc":
        match.grpc.SetInParent()
    if header is not None:
        match.headers.append(header)
    name = envoy_names.owner(traffic.namespace, traffic.name)
    return route_components_pb2.Route(name=name, match=match, route=action)


def _matcher(match: Match) -> route_components_pb2.HeaderMatcher:
    if match.kind == "header":
        exactly = string_pb2.StringMatcher(exact=match.value)
        return route_components_pb2.HeaderMatcher(name=match.name, string_match=exactly)
    # Envoy joins a client's cookie headers with semicolons; its own matcher of cookies is younger
    # than the one we build on. Both parts are escaped: a user's value must not become a pattern.
    cookie = f"{re.escape(match.name)}={re.escape(match.value)}"
    regex = regex_pb2.RegexMatcher(regex=rf"(?:.*;[ \t]*)?{cookie}[ \t]*(?:;.*)?")
    return route_components_pb2.HeaderMatcher(
        name="cookie", string_match=string_pb2.StringMatcher(safe_regex=regex)
    )


def _led_actions(
    traffic: Traffic,
) -> list[tuple[Protocol, route_components_pb2.RouteAction]]:
    """Lead requests to the candidate, whose stand-in is the same as for its share."""
    assert traffic.candidate is not None
    return [
        (
            protocol,
            route_components_pb2.RouteAction(
                cluster=chain_name(traffic, traffic.candidate, protocol),
                timeout=duration(traffic.timeout_s),
                retry_policy=_retries(traffic),
            ),
        )
        for protocol in _ROUTED
    ]


def _divided(traffic: Traffic, protocol: Protocol) -> route_components_pb2.RouteAction:
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
        request_mirror_policies=_copies(traffic, protocol),
    )


def _copies(
    traffic: Traffic, protocol: Protocol
) -> list[route_components_pb2.RouteAction.RequestMirrorPolicy]:
    """Copy some requests to the candidate, marked so that a model can tell."""
    if not is_mirrored(traffic):
        return []
    assert traffic.candidate is not None
    mark = mutation_rules_pb2.HeaderMutation(append=_header(names.HEADER_MIRROR, "true"))
    share = percent_pb2.FractionalPercent(numerator=traffic.mirror_percent)
    return [
        route_components_pb2.RouteAction.RequestMirrorPolicy(
            cluster=envoy_names.mirror(cluster_name(traffic, traffic.candidate, protocol)),
            runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
            disable_shadow_host_suffix_append=True,
            request_headers_mutations=[mark],
        )
    ]


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
        policy.retriable_headers.extend(_retriable_answers(traffic))
    if traffic.per_try_timeout_s is not None and traffic.per_try_timeout_s < traffic.timeout_s:
        policy.per_try_timeout.CopyFrom(duration(traffic.per_try_timeout_s))
    return policy


def _retriable_answers(traffic: Traffic) -> Iterator[route_components_pb2.HeaderMatcher]:
    """Tell the answers of pods after which the next member of the chain is asked.

    Whoever sheds protects itself, and to ask stable's other pods would add to the load of all. A
    candidate's share is small change for stable, which had all of it before: clients are not to
    see that the candidate cannot carry it.
    """
    patterns = [rf"{_FAILED}\|[^|]*\|"]
    if traffic.candidate is not None and (traffic.weight_percent or traffic.match):
        patterns.append(rf"{_FAILED_OR_SHED}\|{re.escape(traffic.candidate.revision)}\|.*")
    for pattern in patterns:
        regex = regex_pb2.RegexMatcher(regex=pattern)
        yield route_components_pb2.HeaderMatcher(
            name=HEADER_ATTEMPT, string_match=string_pb2.StringMatcher(safe_regex=regex)
        )


def _header(key: str, value: str) -> base_pb2.HeaderValueOption:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=key, value=value),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
