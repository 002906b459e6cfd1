"""What is read from Kubernetes objects, as the API server sends them."""

from copy import deepcopy
from typing import Any, Final

import pytest

from slipway_api.compute_pool import Resources, Toleration
from slipway_api.conditions import Reason
from slipway_operator.engine import podevents
from slipway_operator.engine.facts import Front, Record
from slipway_operator.engine.podevents import FindingKind
from slipway_operator.engine.room import Needs, Node, Taint
from slipway_operator.render import access
from slipway_operator.shell import readings
from tests import builders

NODES: Final = frozenset({"node-1"})
NOW_S: Final = builders.at(120).timestamp()


def _time(seconds: float) -> str:
    return builders.at(seconds).isoformat().replace("+00:00", "Z")


def _condition(type_: str, status: str, at_s: float, **fields: str) -> dict[str, str]:
    return {"type": type_, "status": status, "lastTransitionTime": _time(at_s), **fields}


def _pod(**changes: Any) -> dict[str, Any]:
    """A pod that has served for a minute; `changes` are paths such as `status__phase`."""
    pod: dict[str, Any] = {
        "metadata": {
            "name": "churn-0a-x",
            "labels": {"slipway.dev/deployment": "churn", "slipway.dev/revision": "churn-0a"},
            "creationTimestamp": _time(0),
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.5",
            "conditions": [
                _condition("PodScheduled", "True", 0),
                _condition("Initialized", "True", 1),
                _condition("Ready", "True", 60),
            ],
            "containerStatuses": [
                {"name": "proxy", "restartCount": 7, "state": {"running": {}}},
                {"name": "model", "restartCount": 0, "state": {"running": {}}, "lastState": {}},
            ],
        },
    }
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = pod
        for folder in folders:
            place = place[folder]
        place[last] = value
    return pod


def _with_ready(status: str, at_s: float) -> list[dict[str, str]]:
    return [
        _condition("PodScheduled", "True", 0),
        _condition("Initialized", "True", 1),
        _condition("Ready", status, at_s),
    ]


def _with_model(**container: Any) -> list[dict[str, Any]]:
    return [{"name": "model", "restartCount": 0, "state": {}, **container}]


def _seen(pod: dict[str, Any]) -> podevents.PodSeen:
    return readings.pod_seen(pod, ready_nodes=NODES)


def _finding(pod: dict[str, Any]) -> podevents.PodFinding:
    (found,) = podevents.findings([_seen(pod)], NOW_S)
    return found


def test_a_pod_that_serves() -> None:
    seen = _seen(_pod())

    assert ("churn-0a-x", "churn-0a", "10.0.0.5") == (seen.name, seen.revision, seen.host)
    assert (True, True, True) == (seen.is_ready, seen.was_ready, seen.is_node_ready)
    assert builders.at(60).timestamp() == seen.ready_since_s
    assert builders.START.timestamp() == seen.created_at_s
    assert 0 == seen.restarts, "another container's restarts are none of the model's"
    assert FindingKind.NONE is _finding(_pod()).kind


def test_a_pod_that_the_kubelet_has_not_met_yet() -> None:
    pod = _pod(status={"phase": "Pending"}, spec={})

    seen = _seen(pod)

    assert (False, False, False) == (seen.is_ready, seen.was_ready, seen.is_scheduled)
    assert "" == seen.host
    assert FindingKind.STARTING is _finding(pod).kind


def test_a_pod_without_a_node_says_why() -> None:
    message = "0/2 nodes are available: 2 Insufficient memory."
    scheduled = _condition("PodScheduled", "False", 0, reason="Unschedulable", message=message)
    pod = _pod(spec={}, status={"phase": "Pending", "conditions": [scheduled]})

    found = _finding(pod)

    assert (FindingKind.STARTING, Reason.WAITING_FOR_PODS) == (found.kind, found.reason)
    assert "Insufficient memory" in found.message


@pytest.mark.parametrize(
    ("has_sandbox", "awaited"), [("False", "churn-keys"), ("True", None)], ids=["no", "yes"]
)
def test_a_pod_without_a_sandbox_waits_for_the_secret_of_its_keys(
    has_sandbox: str, awaited: str | None
) -> None:
    runtime = builders.spec(runtime={"authKeysSecret": "churn-keys"}).runtime
    volumes = [{"name": "tmp", "emptyDir": {}}, *access.key_file(runtime).volumes]
    sandbox = _condition("PodReadyToStartContainers", has_sandbox, 1)
    pod = _pod(
        spec={"nodeName": "node-1", "volumes": volumes},
        status__conditions=[*_with_ready("False", 1), sandbox],
    )

    assert awaited == _seen(pod).secret_awaited


@pytest.mark.parametrize(
    ("changed_s", "was_ready"),
    [(1, False), (2, False), (3, True), (60, True)],
)
def test_a_pod_was_ready_if_its_readiness_has_changed(changed_s: float, was_ready: bool) -> None:
    """The kubelet writes Initialized and the first Ready=False at once, in whole seconds."""
    pod = _pod(status__conditions=_with_ready("False", changed_s))

    seen = _seen(pod)

    assert was_ready == seen.was_ready
    assert seen.ready_since_s is None


def test_readiness_lost_is_told_apart_from_starting() -> None:
    lost = _pod(status__conditions=_with_ready("False", 60))
    starting = _pod(status__conditions=_with_ready("False", 1))

    assert Reason.READINESS_LOST is _finding(lost).reason
    assert Reason.WAITING_FOR_PODS is _finding(starting).reason


def test_a_container_that_ran_out_of_memory() -> None:
    end = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": _time(70)}
    pod = _pod(
        status__conditions=_with_ready("False", 70),
        status__containerStatuses=_with_model(restartCount=1, state={"terminated": end}),
    )

    seen, found = _seen(pod), _finding(pod)

    assert seen.terminated is not None
    assert builders.at(70).timestamp() == seen.terminated.at_s
    assert (FindingKind.EVIDENCE, Reason.CONTAINER_FAILED) == (found.kind, found.reason)
    assert "ran out of memory" in found.message


def test_a_container_that_crashes_again_and_again() -> None:
    end = {"exitCode": 1, "reason": "Error", "message": "bad model", "finishedAt": _time(70)}
    pod = _pod(
        status__conditions=_with_ready("False", 1),
        status__containerStatuses=_with_model(
            restartCount=3,
            state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
            lastState={"terminated": end},
        ),
    )

    seen, found = _seen(pod), _finding(pod)

    assert ("CrashLoopBackOff", 3) == (seen.waiting_reason, seen.restarts)
    assert FindingKind.EVIDENCE is found.kind
    assert "bad model" in found.message


def test_a_model_that_the_server_rejected() -> None:
    end = {"exitCode": 78, "reason": "Error", "message": "digest differs", "finishedAt": _time(5)}
    pod = _pod(
        status__conditions=_with_ready("False", 1),
        status__containerStatuses=_with_model(state={"terminated": end}),
    )

    found = _finding(pod)

    assert Reason.MODEL_REJECTED is found.reason
    assert "digest differs" in found.message


def test_an_image_that_cannot_be_pulled() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    pod = _pod(
        status__conditions=_with_ready("False", 1),
        status__containerStatuses=_with_model(state={"waiting": waiting}),
    )

    assert Reason.IMAGE_UNAVAILABLE is _finding(pod).reason


def test_an_evicted_pod_is_a_disturbance() -> None:
    pod = _pod(
        status={"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    )

    found = _finding(pod)

    assert FindingKind.DISTURBANCE is found.kind
    assert "low on memory" in found.message


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata__deletionTimestamp": _time(90)},
        {"spec__nodeName": "node-2"},
        {
            "status__conditions": [
                *_with_ready("True", 60),
                _condition("DisruptionTarget", "True", 90, reason="PreemptionByScheduler"),
            ]
        },
    ],
    ids=["deleted", "node lost", "preempted"],
)
def test_what_the_cluster_does_to_a_pod_is_a_disturbance(changes: dict[str, Any]) -> None:
    assert FindingKind.DISTURBANCE is _finding(_pod(**changes)).kind


def test_a_node_that_nobody_asked_about_counts_as_ready() -> None:
    pod = _pod(spec__nodeName="node-2")

    assert readings.pod_seen(pod, ready_nodes=None).is_node_ready


def test_only_pods_that_are_ready_and_stay_are_endpoints() -> None:
    pods = [
        _pod(status__podIP="10.0.0.9"),
        _pod(status__podIP="10.0.0.10"),
        _pod(status__podIP="10.0.0.7", metadata__deletionTimestamp=_time(90)),
        _pod(status__podIP="10.0.0.6", status__conditions=_with_ready("False", 60)),
        _pod(status={"conditions": _with_ready("True", 60)}),
    ]

    assert ("10.0.0.10", "10.0.0.9") == readings.endpoints(pods)


def test_nodes_are_asked_about_only_if_a_pod_is_in_trouble() -> None:
    restarted = _pod(status__containerStatuses=_with_model(restartCount=1))
    unready = _pod(status__conditions=_with_ready("False", 60))

    assert not readings.needs_nodes([_pod()])
    assert readings.needs_nodes([_pod(), restarted])
    assert readings.needs_nodes([_pod(), unready])


def test_nodes_that_are_ready() -> None:
    nodes: list[dict[str, Any]] = [
        {
            "metadata": {"name": "node-1"},
            "status": {"conditions": [_condition("Ready", "True", 0)]},
        },
        {
            "metadata": {"name": "node-2"},
            "status": {"conditions": [_condition("Ready", "Unknown", 0)]},
        },
        {"metadata": {"name": "node-3"}, "status": {}},
    ]

    assert frozenset({"node-1"}) == readings.ready_nodes(nodes)


def _labelled(revision: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"slipway.dev/revision": revision}}, "spec": spec}


def test_deployments_services_and_pods_are_joined_by_revision() -> None:
    stranger = deepcopy(_pod())
    stranger["metadata"]["labels"]["slipway.dev/revision"] = "churn-unknown"
    client_service = {"metadata": {"name": "churn"}, "spec": {"clusterIP": "10.96.0.9"}}

    first, second = readings.workloads(
        [_labelled("churn-0a", replicas=3)],
        [
            _labelled("churn-0a", clusterIP="10.96.0.1"),
            _labelled("churn-0b", clusterIP=""),
            client_service,
        ],
        [_pod(), stranger],
        ready_nodes=NODES,
    )

    assert ("churn-0a", 3, "10.96.0.1") == (first.revision, first.replicas, first.cluster_ip)
    assert ("10.0.0.5",) == first.endpoints
    assert ["churn-0a-x"] == [pod.name for pod in first.pods]
    assert ("churn-0b", None, None, ()) == (
        second.revision,
        second.replicas,
        second.cluster_ip,
        second.pods,
    )


def test_the_front_is_the_service_that_clients_call_and_what_kubernetes_made_for_it() -> None:
    def endpoints(
        name: str, manager: str, *, ready: bool, service: str = "churn"
    ) -> dict[str, Any]:
        labels = {readings.LABEL_SERVICE_NAME: service, readings.LABEL_SLICE_MANAGER: manager}
        return {
            "metadata": {"name": name, "labels": labels},
            "endpoints": [{"addresses": ["10.0.0.5"], "conditions": {"ready": ready}}],
        }

    selector = {"slipway.dev/deployment": "churn", "slipway.dev/revision": "churn-0a"}
    service = {"metadata": {"name": "churn"}, "spec": {"selector": selector}}
    slices = [
        endpoints("churn", "slipway.dev", ready=True),
        endpoints("churn-x", "endpointslice-controller.k8s.io", ready=False),
        endpoints("churn-0a-y", "endpointslice-controller.k8s.io", ready=True, service="churn-0a"),
    ]

    assert readings.front("churn", [service], slices) == Front("churn-0a", ("churn-x",), False)
    slices[1] = endpoints("churn-x", "endpointslice-controller.k8s.io", ready=True)
    assert readings.front("churn", [service], slices) == Front("churn-0a", ("churn-x",), True)
    plain: dict[str, Any] = {"metadata": {"name": "churn"}, "spec": {}}
    assert readings.front("churn", [plain], slices[:1]) == Front()
    assert readings.front("churn", [], slices) is None


def test_records_are_listed_oldest_first() -> None:
    found = readings.records(
        [
            _recorded("churn-0b", 12, identity="churn-0a", value="sha256:0b"),
            _recorded("churn-0a", 3, value=""),
        ]
    )

    assert found == (
        Record("churn-0a", 3, "churn-0a", "", NEEDS_NOTHING),
        Record("churn-0b", 12, "churn-0a", "sha256:0b", NEEDS_NOTHING),
    )


def test_a_digest_left_open_is_what_the_first_pod_told() -> None:
    open_ = _recorded("churn-0a", 3, valueFrom={"configMapKeyRef": {"key": "digest"}})
    told = deepcopy(open_)
    told["metadata"]["annotations"] = {"slipway.dev/model-digest": "sha256:0a"}

    assert [record.digest for record in readings.records([open_, told])] == [None, "sha256:0a"]
    assert readings.model_of(open_["data"]["template"]) == "churn"


NEEDS_NOTHING = Needs({}, (), Resources())


def _recorded(
    revision: str, number: int, *, identity: str | None = None, **digest: Any
) -> dict[str, Any]:
    env = [
        {"name": "SLIPWAY_SERVER_MODEL_NAME", "value": "churn"},
        {"name": "SLIPWAY_SERVER_MODEL_DIGEST", **digest},
    ]
    data: dict[str, Any] = {"template": {"spec": {"containers": [{"env": env}]}}}
    if identity is not None:  # early ones kept a template only
        data["identity"] = identity
    return _labelled(revision) | {"revision": number, "data": data}


def test_what_kept_pods_need_of_a_node_is_read_from_their_template() -> None:
    item = _recorded("churn-0a", 3, value="")
    pod = item["data"]["template"]["spec"]
    pod["nodeSelector"] = {"pool": "gpu"}
    pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}

    (record,) = readings.records([item])

    assert record.needs == Needs(
        {"pool": "gpu"},
        (Toleration(key="nvidia.com/gpu", operator="Exists"),),
        Resources(limits={"nvidia.com/gpu": 1}),
    )


def test_nodes_are_read_with_what_they_offer() -> None:
    item = {
        "metadata": {"name": "worker-1", "labels": {"pool": "gpu"}},
        "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "3920m", "nvidia.com/gpu": "2"}},
    }
    bare: dict[str, Any] = {"metadata": {"name": "worker-2"}, "spec": {}, "status": {}}

    assert readings.nodes([item, bare]) == (
        Node(
            "worker-1",
            {"pool": "gpu"},
            (Taint("nvidia.com/gpu", "", "NoSchedule"),),
            {"cpu": "3920m", "nvidia.com/gpu": "2"},
        ),
        Node("worker-2", {}, (), {}),
    )


def test_an_object_is_ours_by_uid_and_a_leftover_by_name() -> None:
    reference = {"kind": "ModelDeployment", "name": "churn", "uid": "old"}
    item = {"metadata": {"ownerReferences": [reference]}}
    stranger: dict[str, Any] = {"metadata": {}}

    assert readings.is_owned(item, "old")
    assert not readings.is_owned(item, "new")
    assert readings.is_leftover(item, "churn")
    assert not readings.is_leftover(item, "fraud")
    assert not readings.is_owned(stranger, "old")
    assert not readings.is_leftover(stranger, "churn")
