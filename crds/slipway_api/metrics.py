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
