"""The sandbox's cluster is a real one: pods, names, Services, limits, and faults that heal."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from sandbox import cluster as cluster_module
from sandbox import images
from sandbox.cluster import Cluster
from sandbox.progress import Progress

pytestmark = pytest.mark.e2e

NAMESPACE = "sandbox-test"
READY_S = 60.0
NODE_LOST_S = 60.0  # 20 s of silence, and what a busy machine adds
COMMAND_S = 60.0
NAME_UNKNOWN_S = 4.0  # a resolver that got no answer waits five
PYTHON = "/opt/slipway/bin/python"
EAT_MEMORY = "eaten = [bytearray(1 << 20) for _ in range(512)]"
SERVE = (
    "import http.server, os, socketserver\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers()\n"
    "        self.wfile.write(os.environ['NODE'].encode() + b'\\n')\n"
    "http.server.ThreadingHTTPServer(('', 8080), H).serve_forever()\n"
)
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_module.temporary("e2e-sandbox", log=Progress()) as made:
        yield made


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """Give an image that holds Python."""
    archive = images.ensure("server", log=Progress())
    cluster.load_image(archive)
    return archive.reference


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    def run(*arguments: str, documents: list[dict[str, Any]] | None = None) -> str:
        listed = {"apiVersion": "v1", "kind": "List", "items": documents or []}
        done = subprocess.run(
            [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", *arguments],
            input=json.dumps(listed),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl) -> str:
    """Make a namespace that refuses pods which are not restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    kubectl("apply", "--filename=-", documents=[document])
    return NAMESPACE


@pytest.fixture(scope="module")
def web(cluster: Cluster, kubectl: Kubectl, namespace: str, image: str) -> str:
    """Run a Service of two pods, one on each node, that answer with their node's name."""
    kubectl("apply", "--filename=-", documents=web_documents(namespace, image))
    kubectl(
        "rollout", "status", "deployment/web", f"--namespace={namespace}", f"--timeout={READY_S}s"
    )
    # kube-proxy collects changes for up to a second before it writes them.
    eventually(
        lambda: answers_of_both_nodes(
            client(cluster, "sh", "-c", f"curl -s -m 5 http://web.{namespace}/ || true")
            for _ in range(20)
        ),
        timeout_s=READY_S,
        what="the Service does not lead to both pods",
    )
    return "web"


def answers_of_both_nodes(answers: Iterable[str]) -> bool:
    return {answer.strip() for answer in answers} == {"node1", "node2"}


def web_documents(namespace: str, image: str) -> list[dict[str, Any]]:
    metadata = {"name": "web", "namespace": namespace}
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "Never",
        "command": [PYTHON, "-c", SERVE],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "topologySpreadConstraints": [spread]},
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    return [deployment, service]


def client(cluster: Cluster, *command: str, namespace: str = "default") -> str:
    """Run a program as a client and return what it prints."""
    done = subprocess.run(
        cluster.client_command(command, namespace=namespace),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def eventually(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"after {timeout_s} s: {what}"
        time.sleep(0.2)


def test_every_node_is_ready_and_states_the_version(cluster: Cluster, kubectl: Kubectl) -> None:
    nodes = json.loads(kubectl("get", "nodes", "--output=json"))["items"]

    assert cluster.layout.api.nodes_ready() == {"node1", "node2"}
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {"v1.35.4"}


def test_bringing_up_what_is_up_changes_nothing(cluster: Cluster) -> None:
    before = dict(cluster.pids)

    cluster.up()

    assert dict(cluster.pids) == before


def test_clients_resolve_short_and_long_names(cluster: Cluster, web: str, namespace: str) -> None:
    for name in (f"{web}.{namespace}", f"{web}.{namespace}.svc.cluster.local"):
        assert f"{web}.{namespace}.svc.cluster.local" in client(cluster, "getent", "hosts", name)
    assert client(cluster, "getent", "hosts", web, namespace=namespace)


def test_a_name_outside_the_cluster_does_not_exist(cluster: Cluster) -> None:
    """Said at once: a server that fails instead makes programs try again for seconds."""
    begun_s = time.monotonic()

    code = client(cluster, "sh", "-c", "getent hosts example.org; echo $?").strip()

    assert code == "2"
    assert time.monotonic() - begun_s < NAME_UNKNOWN_S


def test_a_service_leads_to_restricted_pods_on_both_nodes(
    cluster: Cluster, web: str, namespace: str
) -> None:
    command = ("curl", "--silent", "--max-time", "5", f"http://{web}.{namespace}/")

    assert answers_of_both_nodes(client(cluster, *command) for _ in range(40))


def test_a_pod_reaches_its_own_service(kubectl: Kubectl, web: str, namespace: str) -> None:
    def answers() -> str:
        """Ask from one of the Service's pods; an answer that fails is no answer."""
        code = (
            "import urllib.request as u\n"
            f"print(*(u.urlopen('http://{web}/', timeout=5).read() for _ in range(20)))"
        )
        command = ("exec", f"--namespace={namespace}", f"deployment/{web}", "--")
        return kubectl(*command, "sh", "-c", f'{PYTHON} -c "$0" || true', code)

    eventually(
        lambda: all(name in answers() for name in ("node1", "node2")),
        timeout_s=READY_S,
        what="a pod does not reach both pods of its own Service",
    )


def test_a_pod_that_is_not_restricted_is_refused(
    cluster: Cluster, namespace: str, image: str
) -> None:
    done = subprocess.run(
        [
            cluster.kubectl,
            f"--kubeconfig={cluster.kubeconfig}",
            "run",
            "loose",
            f"--namespace={namespace}",
            f"--image={image}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )

    assert "violates PodSecurity" in done.stderr


def test_a_pod_that_takes_more_memory_than_its_limit_is_killed(
    kubectl: Kubectl, namespace: str, image: str
) -> None:
    container = {
        "name": "hungry",
        "image": image,
        "imagePullPolicy": "Never",
        "command": [PYTHON, "-c", EAT_MEMORY],
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        "securityContext": RESTRICTED,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hungry", "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    kubectl("apply", "--filename=-", documents=[pod])
    path = "--output=jsonpath={.status.containerStatuses[0].state.terminated.reason}"

    eventually(
        lambda: kubectl("get", "pod/hungry", f"--namespace={namespace}", path) == "OOMKilled",
        timeout_s=READY_S,
        what="a pod over its memory limit was not killed",
    )


def test_a_node_that_is_cut_off_is_lost_and_comes_back(cluster: Cluster) -> None:
    node = cluster.node("node2")

    node.cut_link()
    try:
        eventually(
            lambda: cluster.layout.api.nodes_ready() == {"node1"},
            timeout_s=NODE_LOST_S,
            what="a node without network is still Ready",
        )
    finally:
        node.restore_link()

    eventually(
        lambda: cluster.layout.api.nodes_ready() == {"node1", "node2"},
        timeout_s=NODE_LOST_S,
        what="a node with its network again is not Ready",
    )


def test_a_kubelet_that_was_killed_can_be_started_again(cluster: Cluster) -> None:
    cluster.kill("node1/kubelet", signal.SIGKILL)
    eventually(
        lambda: cluster.missing() == ("node1/kubelet",),
        timeout_s=READY_S,
        what="a killed kubelet counts as alive",
    )

    cluster.start_again("node1/kubelet")

    assert cluster.is_up()


def test_the_api_server_comes_back_with_all_it_knew(
    cluster: Cluster, kubectl: Kubectl, namespace: str
) -> None:
    cluster.kill("kube-apiserver", signal.SIGKILL)
    eventually(
        lambda: not cluster.layout.api.is_ready(),
        timeout_s=READY_S,
        what="a killed API server answers",
    )

    cluster.start_again("kube-apiserver")

    eventually(cluster.layout.api.is_ready, timeout_s=READY_S, what="it does not come back")
    assert namespace in kubectl("get", "namespaces")
