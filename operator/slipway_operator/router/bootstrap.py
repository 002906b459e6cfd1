"""Envoy's bootstrap: how a router finds the operator; everything else comes over that stream.

Pure: settings in, JSON-ready values out.
"""

from pathlib import Path
from typing import Any, Final

from slipway_api import names
from slipway_operator.router.settings import Settings

CLUSTER_NAME: Final = "xds"
CERTIFICATE_FILE: Final = "sds-certificate.json"
TRUST_FILE: Final = "sds-trust.json"
ADMIN_SOCKET: Final = "admin.sock"
_TYPES: Final = "type.googleapis.com/envoy."
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_KEPT_STATISTICS: Final = (
    r"cluster\..*\.upstream_rq_(total|[1-5]xx|time|timeout|active|per_try_timeout)",
    r"cluster\..*\.upstream_rq_(retry|retry_success|retry_overflow|pending_overflow)",
    r"cluster\..*\.(upstream_cx_active|upstream_cx_connect_fail)",
    r"cluster\..*\.(membership_healthy|membership_total|outlier_detection\.ejections_active)",
    r"http\.router\..*",
    r"(cluster_manager|listener_manager|control_plane|runtime|server|overload)\..*",
    r"access_logs\..*",
)
_LATENCY_BUCKETS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 60000)

Json = dict[str, Any]  # what json.dumps takes; Envoy checks the shape


def bootstrap(settings: Settings) -> Json:
    """Build the bootstrap document."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": settings.name, "cluster": "slipway-router"},
        "admin": {"address": {"pipe": {"path": str(admin_socket(settings)), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": CLUSTER_NAME,
                            # The default took up to 17 s to come back after an absence of 20 s.
                            "retry_policy": {
                                "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}
                            },
                        }
                    }
                ],
            },
            # No timeout: a router that has heard nothing is not ready, however long it lasts.
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [_operator(settings)]},
        "layered_runtime": {
            "layers": [
                {
                    "name": names.RUNTIME_LAYER,
                    # The layer only switches logs: a start does not wait for it for ever.
                    "rtds_layer": {
                        "name": names.RUNTIME_LAYER,
                        "rtds_config": {**ads, "initial_fetch_timeout": "2s"},
                    },
                }
            ]
        },
        "overload_manager": _overload(settings),
        **_log_lines(settings),
        **_statistics(),
    }


def secrets(settings: Settings) -> dict[str, Json]:
    """Build the SDS files, by file name in the run directory: who we are, whom we trust."""
    directory = settings.certificates_dir
    kind = {"@type": _TYPES + "extensions.transport_sockets.tls.v3.Secret"}
    certificate = {
        "certificate_chain": {"filename": str(directory / "router.crt")},
        "private_key": {"filename": str(directory / "router.key")},
        "watched_directory": {"path": str(directory)},
    }
    trust = {
        "trusted_ca": {"filename": str(directory / "ca.crt")},
        "watched_directory": {"path": str(directory)},
        "match_typed_subject_alt_names": [
            {"san_type": "DNS", "matcher": {"exact": names.XDS_SERVER_NAME}}
        ],
    }
    return {
        CERTIFICATE_FILE: {
            "resources": [{**kind, "name": "router", "tls_certificate": certificate}]
        },
        TRUST_FILE: {"resources": [{**kind, "name": "operator", "validation_context": trust}]},
    }


def admin_socket(settings: Settings) -> Path:
    """Tell where Envoy's admin interface listens, readable for this user alone."""
    return settings.run_dir / ADMIN_SOCKET


def _operator(settings: Settings) -> Json:
    address = {"address": settings.xds_host, "port_value": settings.xds_port}
    keepalive = {"interval": "5s", "timeout": "2s"}
    return {
        "name": CLUSTER_NAME,
        # Every address of the name is an operator, of which one answers.
        "cluster_type": {
            "name": "envoy.cluster.dns",
            "typed_config": {
                "@type": _TYPES + "extensions.clusters.dns.v3.DnsCluster",
                "dns_refresh_rate": "2s",
            },
        },
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CLUSTER_NAME,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": address}}}]}
            ],
        },
        # Only the holder of the Lease answers. Without the check, every other stream would
        # go to the standby first, and an access log stream that is refused loses its records.
        "health_checks": [
            {
                "grpc_health_check": {},
                "timeout": "1s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                # To reach the next holder soon; a standby's port is closed, which costs nothing.
                "unhealthy_interval": "0.3s",
                "initial_jitter": "0.1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
            }
        ],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": _TYPES + "extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": keepalive}
                },
            }
        },
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _tls(settings)},
    }


def _tls(settings: Settings) -> Json:
    def source(file: str) -> Json:
        return {
            "path_config_source": {"path": str(settings.run_dir / file)},
            "resource_api_version": "V3",
        }

    return {
        "@type": _TYPES + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": names.XDS_SERVER_NAME,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            # A minimum above the default maximum (1.2) would leave no version at all.
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificate_sds_secret_configs": [
                {"name": "router", "sds_config": source(CERTIFICATE_FILE)}
            ],
            "validation_context_sds_secret_config": {
                "name": "operator",
                "sds_config": source(TRUST_FILE),
            },
        },
    }


def _overload(settings: Settings) -> Json:
    return {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": _TYPES + "extensions.resource_monitors."
                    "downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": settings.connections_max,
                },
            }
        ]
    }


def _log_lines(settings: Settings) -> Json:
    """Let Envoy write lines of the same form as ours; %j is the message, escaped."""
    if settings.log_format != "json":
        return {}
    form = {"time": "%Y-%m-%dT%T.%e%z", "level": "%l", "logger": "envoy.%n", "message": "%j"}
    return {"application_log_config": {"log_format": {"json_format": form}}}


def _statistics() -> Json:
    """Keep few statistics, with our labels: a scrape runs on the thread that takes new weights.

    The second group of a tag's expression is its value, the first is cut out of the name.
    """
    word = "[^.~]+"
    tags = {
        "slipway_namespace": rf"^cluster\.(({word})~)",
        "slipway_deployment": rf"^cluster\.{word}~(({word})~)",
        "slipway_revision": rf"^cluster\.{word}~{word}~(({word})~)",
        "slipway_protocol": rf"^cluster\.{word}~{word}~{word}~((http|grpc))",
    }
    patterns = [{"safe_regex": {"regex": regex}} for regex in _KEPT_STATISTICS]
    return {
        "stats_config": {
            "stats_tags": [{"tag_name": name, "regex": regex} for name, regex in tags.items()],
            "stats_matcher": {"inclusion_list": {"patterns": patterns}},
            "histogram_bucket_settings": [
                {"match": {"prefix": "cluster."}, "buckets": list(_LATENCY_BUCKETS_MS)}
            ],
        }
    }
