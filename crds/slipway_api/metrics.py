"""Names of metrics and their labels, as they are scraped: dashboards and rules rely on them.

Standard library only. A name that was released keeps its meaning and its labels.
"""

from typing import Final

# Labels of the operator's metrics about a ModelDeployment, and of scrape targets.
NAMESPACE: Final = "namespace"
NAME: Final = "name"
DEPLOYMENT: Final = "modeldeployment"  # of scrape targets, where `name` would mean nothing
REVISION: Final = "revision"
ROLE: Final = "role"

# The operator, per ModelDeployment; series end with the object.
ROLLOUTS: Final = "slipway_rollouts_total"
PHASE: Final = "slipway_phase"
REVISION_INFO: Final = "slipway_revision_info"
WEIGHT: Final = "slipway_weight"
GATE_VERDICT: Final = "slipway_gate_verdict"
PODS: Final = "slipway_pods"

# The operator as a whole.
TIME_TO_SAFE: Final = "slipway_time_to_safe_seconds"
QUEUE_DEPTH: Final = "slipway_queue_depth"
QUEUE_OLDEST: Final = "slipway_queue_oldest_seconds"
LOOP_LAG: Final = "slipway_loop_lag_seconds"
RECONCILE: Final = "slipway_reconcile_seconds"
RECONCILE_ERRORS: Final = "slipway_reconcile_errors_total"
KUBE_REQUESTS: Final = "slipway_kube_requests_total"
ROUTERS: Final = "slipway_routers"
LEADER: Final = "slipway_leader"
BUILD_INFO: Final = "slipway_build_info"

# Model servers. Labels: namespace, deployment, revision, model, version, protocol, code.
SERVER_REQUESTS: Final = "slipway_server_requests_total"
SERVER_SECONDS: Final = "slipway_server_request_seconds"
SERVER_STAGE_SECONDS: Final = "slipway_server_stage_seconds"
SERVER_IN_FLIGHT: Final = "slipway_server_in_flight_requests"
SERVER_WAITING: Final = "slipway_server_waiting_requests"
SERVER_WAITING_ROWS: Final = "slipway_server_waiting_rows"
SERVER_BATCH_ROWS: Final = "slipway_server_batch_rows"
SERVER_PROVIDER: Final = "slipway_server_provider_info"
SERVER_RUNNING: Final = "slipway_server_running_requests"
SERVER_MODEL_BYTES: Final = "slipway_server_model_bytes"
# … and what a sample of rows held. Labels instead of protocol and code: feature and bin, or output
# and class.
SERVER_SAMPLED_ROWS: Final = "slipway_server_sampled_rows_total"
SERVER_FEATURE_ROWS: Final = "slipway_server_feature_rows_total"
SERVER_REFERENCE_ROWS: Final = "slipway_server_feature_reference_rows"
SERVER_PREDICTION_ROWS: Final = "slipway_server_prediction_rows_total"
SERVER_CONFIDENCE: Final = "slipway_server_prediction_confidence"
SERVER_PREDICTION_VALUE: Final = "slipway_server_prediction_value"

# Routers: Envoy's names. Labels: slipway_namespace, slipway_deployment, slipway_revision,
# slipway_protocol. Attempts are counted where they go, answers where clients get them: after
# retries, on the revision that was chosen first.
ROUTER_ATTEMPTS: Final = "envoy_cluster_upstream_rq_total"
ROUTER_ANSWERS: Final = "envoy_cluster_upstream_rq_xx"
ROUTER_LATENCY_MS: Final = "envoy_cluster_upstream_rq_time"
ROUTER_RETRIES: Final = "envoy_cluster_upstream_rq_retry"
