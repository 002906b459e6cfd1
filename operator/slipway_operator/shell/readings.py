"""Readings: from Kubernetes objects, as the API sends them, to the engine's facts. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from slipway_api import names
from slipway_api.compute_pool import Resources, Toleration
from slipway_operator.engine.facts import Front, Record, Workload
from slipway_operator.engine.podevents import PodSeen, Terminated
from slipway_operator.engine.room import Needs, Node, Taint

Object = Mapping[str, Any]

# Kubelet writes Initialized and the first Ready=False at once; timestamps have whole seconds.
FIRST_STATUS: Final = timedelta(seconds=1)

LABEL_SERVICE_NAME: Final = "kubernetes.io/service-name"
LABEL_SLICE_MANAGER: Final = "endpointslice.kubernetes.io/managed-by"


def is_owned(item: Object, uid: str) -> bool:
    """Tell whether an object was made for the ModelDeployment of this uid."""
    return any(ref.get("uid") == uid for ref in item["metadata"].get("ownerReferences") or ())


def is_leftover(item: Object, name: str) -> bool:
    """Tell whether an object belongs to an earlier ModelDeployment of this name: it will go."""
    return any(
        ref.get("kind") == names.MODEL_DEPLOYMENT_KIND and ref.get("name") == name
        for ref in item["metadata"].get("ownerReferences") or ()
    )


def revision_of(item: Object) -> str:
    """Read the revision label, empty if there is none."""
    return str((item["metadata"].get("labels") or {}).get(names.LABEL_REVISION, ""))


def records(revisions: Iterable[Object]) -> tuple[Record, ...]:
    """List the kept revisions, oldest first."""
    return tuple(sorted(map(_record, revisions), key=lambda record: record.number))


def _record(item: Object) -> Record:
    revision = revision_of(item)
    identity = (item.get("data") or {}).get("identity", revision)  # early ones kept a template only
    needs = _needs(item["data"]["template"]["spec"])
    return Record(revision, int(item.get("revision", 0)), identity, _digest(item), needs)


def _needs(pod: Object) -> Needs:
    (container,) = pod["containers"]
    return Needs(
        selector=pod.get("nodeSelector") or {},
        tolerations=tuple(map(Toleration.model_validate, pod.get("tolerations") or ())),
        resources=Resources.model_validate(container.get("resources") or {}),
    )


def nodes(items: Iterable[Object]) -> tuple[Node, ...]:
    """Read what nodes offer."""
    return tuple(
        Node(
            name=item["metadata"]["name"],
            labels=item["metadata"].get("labels") or {},
            taints=tuple(
                Taint(taint["key"], taint.get("value", ""), taint["effect"])
                for taint in item["spec"].get("taints") or ()
            ),
            allocatable=item["status"].get("allocatable") or {},
        )
        for item in items
    )


def model_of(template: Object) -> str:
    """Read the name under which the pods of a template serve their model."""
    return str(_variable(template, "MODEL_NAME").get("value", ""))


def _digest(revision: Object) -> str | None:
    """Read what pods of a kept revision must load; None if nobody knows yet.

    A revision that was recorded before digests were pins nothing: its pods take what they find.
    """
    told = (revision["metadata"].get("annotations") or {}).get(names.ANNOTATION_DIGEST)
    variable = _variable(revision["data"]["template"], "MODEL_DIGEST")
    is_open = "valueFrom" in variable
    return told or (None if is_open else str(variable.get("value", "")))


def _variable(template: Object, name: str) -> Object:
    wanted = names.SERVER_ENV_PREFIX + name
    (container,) = template["spec"]["containers"]
    return next((entry for entry in container["env"] if entry["name"] == wanted), {})


def workloads(
    deployments: Iterable[Object],
    services: Iterable[Object],
    pods: Iterable[Object],
    *,
    ready_nodes: frozenset[str] | None,
) -> tuple[Workload, ...]:
    """Join what was found by revision. `ready_nodes` None: nobody asked, all count as ready."""
    replicas = {
        revision_of(item): int(item["spec"].get("replicas", 1))
        for item in deployments
        if revision_of(item)
    }
    addresses = {
        revision_of(item): item["spec"].get("clusterIP") or None
        for item in services
        if revision_of(item)
    }
    by_revision: dict[str, list[Object]] = {}
    for pod in pods:
        by_revision.setdefault(revision_of(pod), []).append(pod)
    return tuple(
        Workload(
            revision=revision,
            replicas=replicas.get(revision),
            endpoints=endpoints(by_revision.get(revision, ())),
            cluster_ip=addresses.get(revision),
            pods=tuple(
                pod_seen(pod, ready_nodes=ready_nodes) for pod in by_revision.get(revision, ())
            ),
        )
        for revision in sorted(replicas.keys() | addresses.keys())
    )


def preview(name: str, services: Iterable[Object]) -> str | None:
    """Read whose pods the preview Service selects, None if there is none.

    `services` are the deployment's own.
    """
    wanted = name + names.PREVIEW_SUFFIX
    own = next((item for item in services if item["metadata"]["name"] == wanted), None)
    if own is None:
        return None
    return str((own["spec"].get("selector") or {}).get(names.LABEL_REVISION, ""))


def front(name: str, services: Iterable[Object], slices: Iterable[Object]) -> Front | None:
    """Read the Service that clients call, and what Kubernetes made of its selector.

    `services` are the deployment's own; `slices` may be anybody's. Kubernetes gives a slice the
    labels of its Service.
    """
    own = next((item for item in services if item["metadata"]["name"] == name), None)
    if own is None:
        return None
    made = [
        item
        for item in slices
        if item["metadata"]["labels"].get(LABEL_SERVICE_NAME) == name
        and item["metadata"]["labels"].get(LABEL_SLICE_MANAGER) != names.GROUP
    ]
    return Front(
        selected=(own["spec"].get("selector") or {}).get(names.LABEL_REVISION),
        slices=tuple(sorted(item["metadata"]["name"] for item in made)),
        has_ready_pods=any(
            (endpoint.get("conditions") or {}).get("ready")
            for item in made
            for endpoint in item.get("endpoints") or ()
        ),
    )


def endpoints(pods: Iterable[Object]) -> tuple[str, ...]:
    """List the addresses of pods that are ready and not on their way out."""
    found = (pod["status"].get("podIP") for pod in pods if is_serving(pod))
    return tuple(sorted(address for address in found if address))


def is_serving(pod: Object) -> bool:
    """Tell whether a pod is ready and not being deleted."""
    ready = _condition(pod, "Ready")
    return (
        ready is not None
        and ready.get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    )


def needs_nodes(pods: Iterable[Object]) -> bool:
    """Tell whether a pod's trouble may be its node's."""
    return any(not is_serving(pod) or _restarts(pod) for pod in pods)


def ready_nodes(nodes: Iterable[Object]) -> frozenset[str]:
    """Name the nodes that are ready."""
    return frozenset(
        node["metadata"]["name"]
        for node in nodes
        if (_condition(node, "Ready") or {}).get("status") == "True"
    )


def pod_seen(pod: Object, *, ready_nodes: frozenset[str] | None) -> PodSeen:
    """Read one pod."""
    meta, status = pod["metadata"], pod.get("status", {})
    container = _container(pod)
    state = container.get("state", {})
    waiting = state.get("waiting") or {}
    ready = _condition(pod, "Ready") or {}
    is_ready = ready.get("status") == "True"
    scheduled = _condition(pod, "PodScheduled") or {}
    disrupted = _condition(pod, "DisruptionTarget") or {}
    node = pod["spec"].get("nodeName", "")
    is_scheduled = bool(node)
    return PodSeen(
        name=meta["name"],
        revision=revision_of(pod),
        host=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        is_ready=is_ready,
        is_terminating=bool(meta.get("deletionTimestamp")),
        is_node_ready=ready_nodes is None or node in ready_nodes,
        created_at_s=_time_s(meta["creationTimestamp"]),
        ready_since_s=_time_s(ready["lastTransitionTime"]) if is_ready else None,
        restarts=int(container.get("restartCount", 0)),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        terminated=_terminated(state.get("terminated")),
        last_terminated=_terminated(container.get("lastState", {}).get("terminated")),
        was_ready=is_ready or _was_ready(pod),
        is_scheduled=is_scheduled,
        is_disrupted=disrupted.get("status") == "True",
        pod_reason=status.get("reason", ""),
        pod_message=status.get("message", "")
        or ("" if is_scheduled else scheduled.get("message", "")),
        container=names.CONTAINER_MODEL,
        secret_awaited=_secret_awaited(pod),
    )


def _secret_awaited(pod: Object) -> str | None:
    """Name the Secret of API keys while the pod has no sandbox: the kubelet mounts volumes first.

    Source: `SyncPod` in pkg/kubelet/kubelet.go; the condition has that meaning since 1.29.
    """
    sandbox = _condition(pod, "PodReadyToStartContainers") or {}
    if sandbox.get("status") != "False":
        return None
    volumes = pod["spec"].get("volumes") or ()
    found = (v["secret"]["secretName"] for v in volumes if v["name"] == names.AUTH_KEYS_VOLUME)
    return next(found, None)


def _was_ready(pod: Object) -> bool:
    """Tell whether a pod that is not ready was so before: then its Ready condition has changed."""
    ready, initialized = _condition(pod, "Ready"), _condition(pod, "Initialized")
    if ready is None or initialized is None:
        return False
    changed = _time(ready["lastTransitionTime"]) - _time(initialized["lastTransitionTime"])
    return changed > FIRST_STATUS


def _restarts(pod: Object) -> int:
    return int(_container(pod).get("restartCount", 0))


def _container(pod: Object) -> Mapping[str, Any]:
    found = pod.get("status", {}).get("containerStatuses") or ()
    return next((c for c in found if c["name"] == names.CONTAINER_MODEL), {})


def _condition(item: Object, type_: str) -> Mapping[str, Any] | None:
    found = item.get("status", {}).get("conditions") or ()
    return next((c for c in found if c["type"] == type_), None)


def _terminated(state: Mapping[str, Any] | None) -> Terminated | None:
    if not state:
        return None
    return Terminated(
        exit_code=int(state.get("exitCode", 0)),
        reason=state.get("reason", ""),
        message=state.get("message", ""),
        at_s=_time_s(state["finishedAt"]) if state.get("finishedAt") else 0.0,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_s(text: str) -> float:
    return _time(text).timestamp()
