"""The listener of one ModelDeployment, and the runtime layer that switches its access logs.

One port per deployment: whom a client means is said by the Service it called, never by Host.
Nothing here depends on weights or revisions, so that a listener stays as it is during rollouts: a
changed one sheds its connections.
"""

from collections.abc import Iterable
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import (
    address_pb2,
    base_pb2,
    config_source_pb2,
    extension_pb2,
    grpc_service_pb2,
    substitution_format_string_pb2,
)
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    header_mutation_pb2 as early_mutation_pb2,
)
from envoy.service.runtime.v3 import rtds_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.message import Message

from slipway_api import names
from slipway_operator.engine.traffic import StaticAnswer, Traffic
from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_clusters import ads
from slipway_operator.render.envoy_routes import ATTEMPT, HEADER_ATTEMPT
from slipway_operator.render.envoy_wire import Resource, duration, pack, resource

STAT_PREFIX: Final = "router"  # one for all listeners, or the HTTP statistics multiply
XDS_CLUSTER: Final = "xds"  # the operator, as the router's bootstrap calls it
LOG_ATTEMPTS: Final = "attempts"
LOG_ANSWERS: Final = "answers"
LOG_FLUSH_S: Final = 0.1
LOG_BUFFER_BYTES: Final = 16_384
IDLE_TIMEOUT_S_MIN: Final = 300.0
RESERVED_PREFIXES: Final = ("x-slipway-", "x-envoy-")
# No pod left to try; no connection to the last one; it broke the connection, or the stream.
UNREACHED_FLAGS: Final = ("UH", "UF", "UC", "UR")
_GRPC_STATUS: Final = "grpc-status"


def listener(traffic: Traffic, *, bind_address: str) -> Resource:
    """Render the listener on `traffic.port`."""
    name = envoy_names.owner(traffic.namespace, traffic.name)
    chain = listener_components_pb2.FilterChain(
        filters=[
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager",
                typed_config=pack(_connection_manager(traffic, name)),
            )
        ]
    )
    address = address_pb2.SocketAddress(address=bind_address, port_value=traffic.port)
    return resource(
        name,
        listener_pb2.Listener(
            name=name,
            address=address_pb2.Address(socket_address=address),
            filter_chains=[chain],
        ),
    )


def runtime(logged: Iterable[tuple[str, str]]) -> Resource:
    """Render the one runtime layer: the (namespace, name) whose access logs are on."""
    layer = rtds_pb2.Runtime(name=names.RUNTIME_LAYER)
    for namespace, name in sorted(logged):
        layer.layer.fields[envoy_names.log_switch(namespace, name)].number_value = 100
    return resource(names.RUNTIME_LAYER, layer)


def _connection_manager(
    traffic: Traffic, name: str
) -> http_connection_manager_pb2.HttpConnectionManager:
    manager = http_connection_manager_pb2.HttpConnectionManager
    return manager(
        stat_prefix=STAT_PREFIX,
        codec_type=manager.AUTO,
        rds=http_connection_manager_pb2.Rds(config_source=ads(), route_config_name=name),
        http_filters=[
            _http_filter("envoy.filters.http.router", _router(traffic)),
        ],
        access_log=[_log(traffic, LOG_ANSWERS)],
        early_header_mutation_extensions=[_ours_alone()],
        local_reply_config=_own_answers(traffic.static_answer),
        use_remote_address=wrappers_pb2.BoolValue(value=True),  # for x-forwarded-for
        generate_request_id=wrappers_pb2.BoolValue(value=True),
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        server_header_transformation=manager.PASS_THROUGH,
        # A request that waits for its model is no idle stream before its own timeout.
        stream_idle_timeout=duration(max(IDLE_TIMEOUT_S_MIN, traffic.timeout_s + 30)),
    )


def _ours_alone() -> extension_pb2.TypedExtensionConfig:
    """Take headers off requests that are not the client's to set.

    With `x-envoy-*` a client could shorten timeouts and forbid retries, and so make a candidate
    look bad.
    """
    removals = [
        mutation_rules_pb2.HeaderMutation(
            remove_on_match=mutation_rules_pb2.HeaderMutation.RemoveOnMatch(
                key_matcher=string_pb2.StringMatcher(prefix=prefix)
            )
        )
        for prefix in RESERVED_PREFIXES
    ]
    return extension_pb2.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=pack(early_mutation_pb2.HeaderMutation(mutations=removals)),
    )


def _own_answers(
    answer: StaticAnswer | None,
) -> http_connection_manager_pb2.LocalReplyConfig | None:
    """Answer in the place of revisions that could not be reached; what a pod said passes as it is.

    The first mapper that fits is taken. A gRPC client would take the body for a message that ends
    badly: it keeps UNAVAILABLE.
    """
    if answer is None:
        return None
    mark = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=names.HEADER_STATIC, value="true"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    mapper = http_connection_manager_pb2.ResponseMapper
    text = substitution_format_string_pb2.SubstitutionFormatString(
        text_format_source=base_pb2.DataSource(inline_string="%LOCAL_REPLY_BODY%"),
        content_type="application/json",
    )
    return http_connection_manager_pb2.LocalReplyConfig(
        mappers=[
            mapper(filter=_all_of(_unreached(), _is_grpc()), headers_to_add=[mark]),
            mapper(
                filter=_unreached(),
                status_code=wrappers_pb2.UInt32Value(value=answer.status),
                body=base_pb2.DataSource(inline_string=answer.body),
                body_format_override=text,  # what stands in the body is no format
                headers_to_add=[mark],
            ),
        ]
    )


def _unreached() -> accesslog_pb2.AccessLogFilter:
    flags = accesslog_pb2.ResponseFlagFilter(flags=UNREACHED_FLAGS)
    return accesslog_pb2.AccessLogFilter(response_flag_filter=flags)


def _is_grpc() -> accesslog_pb2.AccessLogFilter:
    header = route_components_pb2.HeaderMatcher(
        name="content-type", string_match=string_pb2.StringMatcher(prefix="application/grpc")
    )
    return accesslog_pb2.AccessLogFilter(header_filter=accesslog_pb2.HeaderFilter(header=header))


def _all_of(*filters: accesslog_pb2.AccessLogFilter) -> accesslog_pb2.AccessLogFilter:
    return accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=filters))


def _router(traffic: Traffic) -> router_pb2.Router:
    return router_pb2.Router(
        upstream_log=[_log(traffic, LOG_ATTEMPTS)],
        upstream_log_options=router_pb2.Router.UpstreamAccessLogOptions(
            flush_upstream_log_on_upstream_stream=True
        ),
        upstream_http_filters=[
            _http_filter("envoy.filters.http.header_mutation", _with_attempt()),
            _http_filter("envoy.filters.http.upstream_codec", upstream_codec_pb2.UpstreamCodec()),
        ],
    )


def _with_attempt() -> header_mutation_pb2.HeaderMutation:
    """Write on each answer what the retry policy has to know of it, in one header.

    Retry conditions cannot say "503 but not with Retry-After, unless it is the candidate's"; a
    pattern over one header can. A pod's own header of that name is overwritten.
    """
    attempt = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=HEADER_ATTEMPT, value=ATTEMPT),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return header_mutation_pb2.HeaderMutation(
        mutations=header_mutation_pb2.Mutations(
            response_mutations=[mutation_rules_pb2.HeaderMutation(append=attempt)]
        )
    )


def _log(traffic: Traffic, log_name: str) -> accesslog_pb2.AccessLog:
    """Stream records to the operator while the deployment's switch is on."""
    switch = accesslog_pb2.RuntimeFilter(
        runtime_key=envoy_names.log_switch(traffic.namespace, traffic.name),
        percent_sampled=percent_pb2.FractionalPercent(numerator=0),
        use_independent_randomness=True,
    )
    config = als_pb2.HttpGrpcAccessLogConfig(
        common_config=als_pb2.CommonGrpcAccessLogConfig(
            log_name=log_name,
            transport_api_version=config_source_pb2.ApiVersion.V3,
            grpc_service=grpc_service_pb2.GrpcService(
                envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=XDS_CLUSTER)
            ),
            buffer_flush_interval=duration(LOG_FLUSH_S),
            buffer_size_bytes=wrappers_pb2.UInt32Value(value=LOG_BUFFER_BYTES),
        ),
        additional_response_headers_to_log=[
            _GRPC_STATUS,
            "retry-after",
            names.HEADER_CONFIG,
            *([names.HEADER_STATIC] if traffic.static_answer is not None else []),
        ],
        additional_response_trailers_to_log=[_GRPC_STATUS],
    )
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.http_grpc",
        filter=accesslog_pb2.AccessLogFilter(runtime_filter=switch),
        typed_config=pack(config),
    )


def _http_filter(name: str, config: Message) -> http_connection_manager_pb2.HttpFilter:
    typed: any_pb2.Any = pack(config)
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=typed)
