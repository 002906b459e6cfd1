"""One namespace as a cluster of its own, as far as an operator notices: what a Deployment's
controller, a kubelet and the garbage collector would write is written here.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any, Final

from slipway_api import names
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import NotFound
from slipway_operator.adapters.kube_http import Request
from slipway_operator.adapters.kube_resources import Resource
from tests.writes.gateway import NETWORK_STORED, NETWORK_USED
from tests.writes.writes import digest

Object = dict[str, Any]

ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NODE: Final = "node-0"
POOL: Final = "cpu"
NAME: Final = "churn"
SWEEP_S: Final = 0.3
CHILDREN: Final = (
    kinds.DEPLOYMENTS,
    kinds.SERVICES,
    kinds.ENDPOINT_SLICES,
    kinds.CONTROLLER_REVISIONS,
    kinds.DISRUPTION_BUDGETS,
    kinds.CONFIG_MAPS,
)
_NOBODY: Final = {"name": "x", "image": "x"}


async def prepare(client: KubeClient) -> None:
    """Make what all namespaces share: a node and a pool."""
    node = {"metadata": {"name": NODE}}
    await client.apply(kinds.NODES, node, manager="tests")
    status = {
        "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }
    await client.patch(kinds.NODES, NODE, body={"status": status}, subresource="status")
    await client.apply(
        kinds.COMPUTE_POOLS, {"metadata": {"name": POOL}, "spec": {}}, manager="tests"
    )


class Cluster:
    """One namespace. `slot` makes its addresses its own, the third number of each."""

    def __init__(self, client: KubeClient, namespace: str, *, slot: int) -> None:
        self.namespace = namespace
        self._client, self._slot = client, slot
        self._wanted: dict[str, tuple[Object, int]] = {}  # template and replicas by revision
        self._pods: dict[str, list[bool]] = {}  # by revision, whether each is ready
        self._numbers: dict[str, int] = {}
        self._models: dict[int, asyncio.Server] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.ready_max: dict[str, int] = {}  # pods of a revision that get ready; absent: all

    def local(self, number: int) -> str:
        """Give an address of this machine."""
        return f"{NETWORK_USED}.{self._slot}.{number}"

    async def open(self, routers: int) -> None:
        """Make the namespace, and what an installation has besides the operator."""
        metadata = {"namespace": self.namespace}
        await self._apply(kinds.NAMESPACES, {"metadata": {"name": self.namespace}})
        await self._apply(ACCOUNTS, {"metadata": metadata | {"name": "default"}})
        labels = {"app": "slipway-operator"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [_NOBODY]}}
        await self._apply(
            kinds.DEPLOYMENTS,
            {
                "metadata": metadata | {"name": names.OPERATOR_DEPLOYMENT},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            },
        )
        for number in range(routers):
            router = {names.LABEL_COMPONENT: names.COMPONENT_ROUTER}
            await self._pod(f"router-{number}", router, {"containers": [_NOBODY]})
            await self._ready(f"router-{number}", 1 + number)
        self._tasks.append(asyncio.create_task(self._control()))

    async def close(self) -> None:
        """End what plays, and remove everything: thousands of runs share the API server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._models.values():
            server.close()
        for kind in (kinds.MODEL_DEPLOYMENTS, *CHILDREN, kinds.PODS, kinds.EVENTS):
            path = kind.path(namespace=self.namespace)
            await self._client.raw(Request("DELETE", path, data=b'{"gracePeriodSeconds": 0}'))

    def deployment_written(self, item: Object) -> None:
        """Let a Deployment have its pods, soon."""
        revision = item["metadata"]["labels"][names.LABEL_REVISION]
        self._wanted[revision] = (item["spec"]["template"], item["spec"]["replicas"])
        self._changed.set()

    def deployment_deleted(self, revision: str) -> None:
        """Let the pods of a Deployment go."""
        if revision in self._wanted:
            self._wanted[revision] = (self._wanted[revision][0], 0)
            self._changed.set()

    def let_ready(self, revision: str, count: int) -> None:
        """Let so many pods of a revision get ready."""
        self.ready_max[revision] = count
        self._changed.set()

    def is_settled(self) -> bool:
        """Tell whether every Deployment has its pods."""
        return all(
            len(self._pods.get(revision, [])) == replicas
            and sum(self._pods.get(revision, [])) == min(replicas, self._ready_max(revision))
            for revision, (_, replicas) in self._wanted.items()
        )

    def replicas_of(self, revision: str) -> int:
        """Tell how many pods a revision is to have."""
        return self._wanted[revision][1] if revision in self._wanted else 0

    def check(self) -> None:
        """Raise what ended a part of it."""
        for task in self._tasks:
            if task.done():
                task.result()

    def collect(self, uid: str) -> None:
        """Collect what belonged to a ModelDeployment that is gone, and what still comes of it."""
        self._tasks.append(asyncio.create_task(self._sweep(uid)))

    async def apply(self, spec: Object, annotations: dict[str, str] | None = None) -> Object:
        """Apply the ModelDeployment, as kubectl would."""
        metadata: Object = {"name": NAME, "namespace": self.namespace}
        if annotations:
            metadata["annotations"] = annotations
        return await self._apply(kinds.MODEL_DEPLOYMENTS, {"metadata": metadata, "spec": spec})

    async def delete(self, uid: str) -> None:
        """Delete the ModelDeployment, as kubectl would."""
        await self._client.delete(kinds.MODEL_DEPLOYMENTS, NAME, namespace=self.namespace)
        self.collect(uid)

    async def objects(self) -> dict[str, Object]:
        """Read everything that an operator makes, by kind and name."""
        wanted = (kinds.MODEL_DEPLOYMENTS, *CHILDREN, kinds.PODS)
        listings = await asyncio.gather(
            *(self._client.list(kind, namespace=self.namespace) for kind in wanted)
        )
        return {
            f"{kind.kind} {item['metadata']['name']}": item
            for kind, listing in zip(wanted, listings, strict=True)
            for item in listing.items
        }

    def _ready_max(self, revision: str) -> int:
        return self.ready_max.get(revision, 1000)

    async def _control(self) -> None:
        """Play the Deployments' controller and the kubelet until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for revision, (template, replicas) in list(self._wanted.items()):
                await self._scale(revision, template, replicas=replicas)

    async def _scale(self, revision: str, template: Object, *, replicas: int) -> None:
        pods = self._pods.setdefault(revision, [])
        number = self._numbers.setdefault(revision, len(self._numbers))
        while len(pods) > replicas:
            await self._remove(kinds.PODS, f"{revision}-{len(pods) - 1}")
            pods.pop()
        while len(pods) < replicas:
            name = f"{revision}-{len(pods)}"
            await self._pod(name, template["metadata"]["labels"], template["spec"])
            pods.append(False)
        for index in range(len(pods)):
            if not pods[index] and index < self._ready_max(revision):
                host = 100 + 10 * number + index
                await self._serve(revision, host)
                await self._ready(f"{revision}-{index}", host)
                pods[index] = True

    async def _pod(self, name: str, labels: dict[str, str], spec: Object) -> None:
        body = {
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": spec | {"nodeName": NODE},
        }
        await self._client.create(kinds.PODS, body)

    async def _ready(self, name: str, host: int) -> None:
        address = f"{NETWORK_STORED}.{self._slot}.{host}"
        container = {
            "name": names.CONTAINER_MODEL,
            "ready": True,
            "restartCount": 0,
            "image": "x",
            "imageID": "x",
            "state": {"running": {}},
        }
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": _now()}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions,
            "containerStatuses": [container],
        }
        await self._client.patch(
            kinds.PODS,
            name,
            body={"status": status},
            namespace=self.namespace,
            subresource="status",
        )

    async def _serve(self, revision: str, host: int) -> None:
        """Tell the digest of the model, as a model server's metadata does."""
        if host in self._models:
            return
        told = f"sha256:{digest(revision) * 8}"

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                head = f"HTTP/1.1 200 OK\r\n{names.HEADER_DIGEST}: {told}\r\ncontent-length: 0\r\n"
                writer.write(f"{head}connection: close\r\n\r\n".encode())
                await writer.drain()
            writer.close()

        address = self.local(host)
        self._models[host] = await asyncio.start_server(answer, address, names.PORT_HTTP)

    async def _sweep(self, uid: str) -> None:
        while True:
            for kind in CHILDREN:
                for item in (await self._client.list(kind, namespace=self.namespace)).items:
                    owners = item["metadata"].get("ownerReferences") or ()
                    if any(owner["uid"] == uid for owner in owners):
                        await self._remove(kind, item["metadata"]["name"])
                        if kind is kinds.DEPLOYMENTS:
                            self.deployment_deleted(item["metadata"]["name"])
            await asyncio.sleep(SWEEP_S)

    async def _remove(self, kind: Resource, name: str) -> None:
        path = kind.path(namespace=self.namespace, name=name)
        request = Request("DELETE", path, data=b'{"gracePeriodSeconds": 0}')
        with contextlib.suppress(NotFound):
            await self._client.raw(request)

    async def _apply(self, kind: Resource, body: Object) -> Object:
        return await self._client.apply(kind, body, manager="tests")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
