"""Names that cross a process border: labels, annotations, ports, headers, environment, metrics.

Standard library only: the router's first process and the sandbox import it too.
"""

from typing import Final

GROUP: Final = "slipway.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
MODEL_DEPLOYMENT_KIND: Final = "ModelDeployment"
MODEL_DEPLOYMENT_PLURAL: Final = "modeldeployments"
COMPUTE_POOL_KIND: Final = "ComputePool"
COMPUTE_POOL_PLURAL: Final = "computepools"

# Labels on every object that the operator makes for a ModelDeployment.
LABEL_DEPLOYMENT: Final = "slipway.dev/deployment"
LABEL_REVISION: Final = "slipway.dev/revision"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
MANAGER: Final = "slipway"  # label value and field manager of children
STATUS_MANAGER: Final = "slipway-status"  # field manager of the status subresource
COMPONENT_ROUTER: Final = "router"
COMPONENT_OPERATOR: Final = "operator"
COMPONENT_MODEL: Final = "model"

# `promote@<revision>#<nonce>`, likewise the other verbs; answered in status.command.
ANNOTATION_COMMAND: Final = "slipway.dev/command"
# On a ControllerRevision: the digest that its first pod told, where the specification has none.
ANNOTATION_DIGEST: Final = "slipway.dev/model-digest"
DIGEST_KEY: Final = "digest"  # in the ConfigMap of the revision's name, for its later pods

# On the operator's own Deployment, any value: lead all clients to model pods, to be uninstalled.
ANNOTATION_DETACH: Final = "slipway.dev/detach"
OPERATOR_DEPLOYMENT: Final = "slipway-operator"

PREVIEW_SUFFIX: Final = "-preview"  # Service that leads to a blue-green candidate's own pods
NAME_LENGTH_MAX: Final = 50  # leaves room for "-<revision hash>" in a 63-character Service name
CONTAINER_MODEL: Final = "model"

# Ports. Each ModelDeployment has one listener in LISTENER_PORT_FIRST..LAST; its client-facing
# Service maps 80 to it.
SERVICE_PORT: Final = 80
PORT_HTTP: Final = 8080  # model server: REST, health, /metrics
PORT_GRPC: Final = 9000  # model server: gRPC
PORT_ANY: Final = 8001  # model server: both of the above, for clients without a router
PORT_ANY_NAME: Final = "any"
PORT_XDS: Final = 18000  # operator: ADS and access logs, mutual TLS
PORT_OPERATOR_HTTP: Final = 8080  # operator: /healthz, /readyz
PORT_ROUTER_HEALTH: Final = 8002  # router: /ready, /healthz
LISTENER_PORT_FIRST: Final = 10000
LISTENER_PORT_LAST: Final = 32767

# Headers (gRPC: metadata of the same name). On answers, REVISION is set by the model server (which
# revision computed it), CONFIG by the router (hash of the route configuration that chose it) and
# ROUTER too (its own name).
HEADER_REVISION: Final = "x-slipway-revision"
HEADER_CONFIG: Final = "x-slipway-config"
HEADER_ROUTER: Final = "x-slipway-router"
HEADER_STATIC: Final = "x-slipway-static"  # answer: "true" where no revision could be reached
HEADER_MIRROR: Final = "x-slipway-mirror"  # request: "true" on a copy whose answer is dropped
HEADER_ATTEMPTS: Final = "x-envoy-attempt-count"  # answer: attempts the router made
HEADER_DIGEST: Final = "x-slipway-digest"  # model metadata over REST: digest of the bytes served
HEADER_REQUEST_ID: Final = "x-request-id"
CONFIG_PATH: Final = "/.slipway/config"  # answered by the router itself: body is the hash

# The Lease in the operator's namespace: of several operators, its holder acts.
LEASE: Final = "slipway-operator"

# Routers: the runtime layer (RTDS resource) in which the operator switches access logs.
RUNTIME_LAYER: Final = "slipway"

# The model server's settings, all `SLIPWAY_SERVER_<NAME>`; the operator writes them into the pod
# template.
SERVER_ENV_PREFIX: Final = "SLIPWAY_SERVER_"
SERVER_ENV: Final = (
    "MODEL_NAME",
    "MODEL_VERSION",
    "MODEL_URI",
    "MODEL_DIGEST",
    "MODEL_EXPECTATIONS",
    "NAMESPACE",
    "DEPLOYMENT",
    "REVISION",
)
# Likewise, with `spec.runtime.authKeysSecret`: the Secret's key becomes a file of the folder.
SERVER_KEYS_ENV: Final = ("AUTH_KEYS_FILE", "AUTH_OPEN")
SERVER_JWKS_VARIABLE: Final = SERVER_ENV_PREFIX + "AUTH_JWKS_FILE"
AUTH_KEYS_KEY: Final = "keys"
AUTH_KEYS_DIR: Final = "/etc/slipway/auth"
AUTH_KEYS_VOLUME: Final = "auth-keys"
AUTH_OPEN: Final = "metadata,metrics"  # the operator reads digests, Prometheus metrics: no key
MODEL_DIR: Final = "/var/lib/slipway/model"  # an emptyDir: downloaded bytes
TERMINATION_LOG: Final = "/dev/termination-log"  # why a server gave up; shown in status

# Secret in the operator's namespace, made by the operator; routers mount only ca.crt, router.crt
# and router.key of it.
CERTIFICATES_SECRET: Final = "slipway-certificates"
XDS_SERVER_NAME: Final = "operator.slipway.dev"  # SAN of the operator's leaf
XDS_CLIENT_NAME: Final = "router.slipway.dev"  # SAN of the routers' leaf
