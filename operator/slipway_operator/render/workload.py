"""From a specification to the Kubernetes objects of one revision, and of the deployment's address.

Pure dictionaries, whole every time. What changes pods is rendered once, when the revision is born,
and kept in its ControllerRevision: a later change of pool, chart or operator never touches it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway_api import names
from slipway_api.compute_pool import ComputePoolSpec
from slipway_api.model_deployment import ModelDeployment, ModelDeploymentSpec
from slipway_operator.engine import podevents
from slipway_operator.render import access

Object = dict[str, Any]

PVC_SCHEME: Final = "pvc://"
PVC_MOUNT: Final = "/mnt/model"
DIGEST_VARIABLE: Final = f"{names.SERVER_ENV_PREFIX}MODEL_DIGEST"
VOLUME_MODEL: Final = "model"
VOLUME_TMP: Final = "tmp"
VOLUME_CLAIM: Final = "claim"
GRACE_S: Final = 90  # the server's own 5 s of grace and 60 s of drain, and some air
RUN_AS: Final = 65532  # the user of our images; volumes get its group
_PORTS: Final = (
    ("http", names.PORT_HTTP),
    ("grpc", names.PORT_GRPC),
    (names.PORT_ANY_NAME, names.PORT_ANY),
)
READY_PERIOD_S: Final = 1
READY_FAILURES: Final = 2
# Until a server listens, nothing kills it: on a starved machine that took 40 s, and a candidate
# that was killed on its way up twice speaks against itself. The engine gives up what never starts.
START_PERIOD_S: Final = 1
START_FAILURES: Final = 2 * int(podevents.START_DEADLINE_S)
LIVE_PERIOD_S: Final = 10
LIVE_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class ServerImage:
    """The built-in model server's image, of the chart's values."""

    reference: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class Owner:
    """The ModelDeployment that everything here is made for."""

    namespace: str
    name: str
    uid: str

    @property
    def preview(self) -> str:
        """Name of its preview Service."""
        return self.name + names.PREVIEW_SUFFIX

    @property
    def labels(self) -> dict[str, str]:
        return {
            names.LABEL_DEPLOYMENT: self.name,
            names.LABEL_MANAGED_BY: names.MANAGER,
            names.LABEL_NAME: names.MANAGER,
            names.LABEL_COMPONENT: names.COMPONENT_MODEL,
        }

    def metadata(self, name: str, *, labels: Mapping[str, str] | None = None) -> Object:
        """Make metadata of an object that goes when its ModelDeployment goes."""
        reference = {
            "apiVersion": names.API_VERSION,
            "kind": names.MODEL_DEPLOYMENT_KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels | dict(labels or {}),
            "ownerReferences": [reference],
        }


def owner_of(deployment: ModelDeployment) -> Owner:
    """Name the owner of everything made for a ModelDeployment."""
    metadata = deployment.metadata
    return Owner(metadata.namespace, metadata.name, metadata.uid)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is kept of a revision.

    `spec` are the sections of the specification that made it, `identity` is the name that these
    alone give, `template` is what its pods are made from.
    """

    spec: Object
    identity: str
    template: Object


def spec_sections(spec: ModelDeploymentSpec) -> Object:
    """Pick what changes pods, as its user wrote it: written back, it asks for the same revision."""
    return spec.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"model": True, "runtime": True, "compute": True},
        exclude={"compute": {"replicas"}},
    )


def controller_revision(owner: Owner, revision: str, *, number: int, kept: Snapshot) -> Object:
    """Make the immutable snapshot of everything that changes pods."""
    return {
        "metadata": owner.metadata(revision, labels={names.LABEL_REVISION: revision}),
        "revision": number,
        "data": {"spec": kept.spec, "identity": kept.identity, "template": kept.template},
    }


def digest_map(owner: Owner, revision: str, digest: str) -> Object:
    """Tell later pods of a revision what the first one loaded: they must load the same."""
    metadata = owner.metadata(revision, labels={names.LABEL_REVISION: revision})
    return {"metadata": metadata, "data": {names.DIGEST_KEY: digest}}


def digest_note(digest: str) -> Object:
    """Make the patch that keeps it with the revision, whose `data` the API lets nobody change."""
    return {"metadata": {"annotations": {names.ANNOTATION_DIGEST: digest}}}


def deployment(owner: Owner, revision: str, *, template: Object, replicas: int) -> Object:
    """Make the Deployment of a revision; its pod template never changes."""
    return {
        "metadata": owner.metadata(revision, labels={names.LABEL_REVISION: revision}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _selector(owner, revision)},
            "template": template,
        },
    }


def service(owner: Owner, revision: str) -> Object:
    """Make the revision's own Service: the last resort of the routers' fallback."""
    return {
        "metadata": owner.metadata(revision, labels={names.LABEL_REVISION: revision}),
        "spec": {
            "selector": _selector(owner, revision),
            "ports": [
                _port("http", names.PORT_HTTP, names.PORT_HTTP),
                _port("grpc", names.PORT_GRPC, names.PORT_GRPC),
            ],
        },
    }


def disruption_budget(owner: Owner, revision: str) -> Object:
    """Let drains take one pod of a revision at a time; one that is broken is in nobody's way."""
    return {
        "metadata": owner.metadata(revision, labels={names.LABEL_REVISION: revision}),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": _selector(owner, revision)},
        },
    }


def client_service(owner: Owner, port: int) -> Object:
    """Make the Service that clients call: no selector, its endpoints are routers."""
    return {
        "metadata": owner.metadata(owner.name),
        "spec": {"ports": [_port("http", names.SERVICE_PORT, port)]},
    }


def service_of_pods(owner: Owner, revision: str, *, name: str, template: Object) -> Object:
    """Make a Service that leads to a revision's pods, without any router.

    It has one port for REST and gRPC, and so has our model server. Pods made from a template
    without that port get REST only.
    """
    (container,) = template["spec"]["containers"]
    has_any = any(port["name"] == names.PORT_ANY_NAME for port in container["ports"])
    target = names.PORT_ANY if has_any else names.PORT_HTTP
    return {
        "metadata": owner.metadata(name),
        "spec": {
            "selector": _selector(owner, revision),
            "ports": [_port("http", names.SERVICE_PORT, target)],
        },
    }


def endpoint_slice(owner: Owner, port: int, addresses: tuple[str, ...]) -> Object:
    """Make the endpoints of the client-facing Service: router pods at the deployment's port."""
    is_v6 = any(":" in address for address in addresses)
    return {
        "metadata": owner.metadata(
            owner.name,
            labels={
                "kubernetes.io/service-name": owner.name,
                "endpointslice.kubernetes.io/managed-by": names.GROUP,
            },
        ),
        "addressType": "IPv6" if is_v6 else "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}} for address in addresses
        ],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def pod_template(
    md: ModelDeployment, revision: str, *, pool: ComputePoolSpec, server: ServerImage
) -> Object:
    """Render the pods of a revision; they pass the *restricted* Pod Security Standard."""
    spec, owner = md.spec, owner_of(md)
    compute = spec.compute
    pod: Object = {
        "containers": [
            _container(owner, spec, revision, resources=_resources(spec, pool), server=server)
        ],
        "terminationGracePeriodSeconds": GRACE_S,
        "enableServiceLinks": False,
        "automountServiceAccountToken": compute.service_account_name is not None,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": RUN_AS,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": _volumes(spec),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(owner, revision)},
            }
        ],
    }
    if compute.service_account_name is not None:
        pod["serviceAccountName"] = compute.service_account_name
    if compute.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in compute.image_pull_secrets]
    if pool.node_selector:
        pod["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        pod["tolerations"] = [
            t.model_dump(mode="json", exclude_defaults=True) for t in pool.tolerations
        ]
    labels = dict(compute.pod_labels) | owner.labels | _selector(owner, revision)
    metadata: Object = {"labels": labels}
    if compute.pod_annotations:
        metadata["annotations"] = dict(compute.pod_annotations)
    return {"metadata": metadata, "spec": pod}


def _container(
    owner: Owner,
    spec: ModelDeploymentSpec,
    revision: str,
    *,
    resources: Object,
    server: ServerImage,
) -> Object:
    is_built_in = spec.runtime.image is None
    container: Object = {
        "name": names.CONTAINER_MODEL,
        "image": server.reference if is_built_in else spec.runtime.image,
        "imagePullPolicy": server.pull_policy if is_built_in else "IfNotPresent",
        "env": _environment(owner, spec, revision),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in (_PORTS if is_built_in else _PORTS[:2])
        ],
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": READY_PERIOD_S,
            "failureThreshold": READY_FAILURES,
            "timeoutSeconds": 2,
        },
        "startupProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": START_PERIOD_S,
            "failureThreshold": START_FAILURES,
            "timeoutSeconds": 5,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": LIVE_PERIOD_S,
            "failureThreshold": LIVE_FAILURES,
            "timeoutSeconds": 5,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": _mounts(spec),
    }
    if resources:
        container["resources"] = resources
    if spec.model.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": spec.model.credentials_secret}}]
    return container


def _environment(owner: Owner, spec: ModelDeploymentSpec, revision: str) -> list[Object]:
    model = spec.model
    values = {
        "MODEL_NAME": model.name,
        "MODEL_VERSION": model.version,
        "MODEL_URI": _local_uri(model.uri),
        "MODEL_DIGEST": model.digest or "",
        "NAMESPACE": owner.namespace,
        "DEPLOYMENT": owner.name,
        "REVISION": revision,
    }
    if model.expectations is not None:
        values["MODEL_EXPECTATIONS"] = model.expectations.to_text()
    ours: list[Object] = [
        {"name": names.SERVER_ENV_PREFIX + name, "value": values[name]}
        for name in names.SERVER_ENV
        if name in values
    ]
    if model.digest is None:  # the first pod finds nothing there, and tells what it loaded
        source = {"name": revision, "key": names.DIGEST_KEY, "optional": True}
        ours[names.SERVER_ENV.index("MODEL_DIGEST")] = {
            "name": DIGEST_VARIABLE,
            "valueFrom": {"configMapKeyRef": source},
        }
    ours += access.key_file(spec.runtime).environment
    return [{"name": entry.name, "value": entry.value} for entry in spec.runtime.env] + ours


def _local_uri(uri: str) -> str:
    """Name a path in a volume as the container sees it.

    >>> _local_uri("pvc://models/churn/1.3.0"), _local_uri("s3://models/churn")
    ('file:///mnt/model/churn/1.3.0', 's3://models/churn')
    """
    if not uri.startswith(PVC_SCHEME):
        return uri
    path = uri.removeprefix(PVC_SCHEME).partition("/")[2]
    return f"file://{PVC_MOUNT}/{path}"


def _volumes(spec: ModelDeploymentSpec) -> list[Object]:
    volumes: list[Object] = [
        {"name": VOLUME_MODEL, "emptyDir": {}},
        {"name": VOLUME_TMP, "emptyDir": {}},
        *access.key_file(spec.runtime).volumes,
    ]
    if spec.model.uri.startswith(PVC_SCHEME):
        claim = spec.model.uri.removeprefix(PVC_SCHEME).partition("/")[0]
        source = {"claimName": claim, "readOnly": True}
        volumes.append({"name": VOLUME_CLAIM, "persistentVolumeClaim": source})
    return volumes


def _mounts(spec: ModelDeploymentSpec) -> list[Object]:
    mounts: list[Object] = [
        {"name": VOLUME_MODEL, "mountPath": names.MODEL_DIR},
        {"name": VOLUME_TMP, "mountPath": "/tmp"},
        *access.key_file(spec.runtime).mounts,
    ]
    if spec.model.uri.startswith(PVC_SCHEME):
        mounts.append({"name": VOLUME_CLAIM, "mountPath": PVC_MOUNT, "readOnly": True})
    return mounts


def _resources(spec: ModelDeploymentSpec, pool: ComputePoolSpec) -> Object:
    merged = spec.compute.resources.over(pool.resources).model_dump(mode="json")
    return {kind: values for kind, values in merged.items() if values}


def _selector(owner: Owner, revision: str) -> dict[str, str]:
    return {names.LABEL_DEPLOYMENT: owner.name, names.LABEL_REVISION: revision}


def _port(name: str, port: int, target: int) -> Object:
    return {"name": name, "port": port, "targetPort": target, "protocol": "TCP"}
