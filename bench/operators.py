"""The operator's pods: which one holds the Lease, its process, and what it asked of the API server.

Signals go to processes of the sandbox's pods only, found by the pod's name in their environment.
"""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from bench.scene import SYSTEM_NAMESPACE, Scene, eventually
from slipway_api import names
from slipway_api.status import ModelDeploymentStatus

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
POD_OF_TOKEN: Final = "authentication.kubernetes.io/pod-name"
POLL_S: Final = 0.1
NEWS_POLL_S: Final = 0.002  # to be between a push and the status that follows it
ROUTER_S: Final = 5.0
ROUTER: Final = "app.kubernetes.io/component=router"
_ROUTERS: Final = re.compile(r'^slipway_routers\{state="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a pod, as the API server recorded it; `at` is Unix time of its arrival."""

    pod: str
    at: float
    what: str
    code: int


def holder(scene: Scene) -> str:
    """Name the pod that holds the Lease; empty if none does."""
    lease = scene.read("lease", names.LEASE, f"--namespace={SYSTEM_NAMESPACE}")
    return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


def pid(pod: str) -> int:
    """Find the process of an operator's pod on this machine."""
    mark = f"SLIPWAY_OPERATOR_POD={pod}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    raise AssertionError(f"no process of {pod} on this machine")


def kill(scene: Scene) -> tuple[str, float]:
    """End the holder as a power cut would; its name, and when."""
    pod = holder(scene)
    return pod, end(pid(pod))


def end(number: int) -> float:
    """Send SIGKILL to a process that `pid` found; when."""
    os.kill(number, signal.SIGKILL)
    return time.time()


def lose(scene: Scene) -> tuple[str, float]:
    """End the holder for good: its pod goes too, so that another one must take over."""
    pod, at = kill(scene)
    scene.kubectl(
        *("delete", "pod", pod, f"--namespace={SYSTEM_NAMESPACE}"),
        *("--grace-period=0", "--force", "--wait=false"),
    )
    return pod, at


@contextmanager
def api_stopped(scene: Scene) -> Iterator[float]:
    """Stop the API server for the length of a block: it accepts and answers nothing. Gives when."""
    cluster = scene.ground.cluster
    cluster.kill("kube-apiserver", signal.SIGSTOP)
    try:
        yield time.time()
    finally:
        cluster.kill("kube-apiserver", signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class RouterView:
    """What one router does for a deployment, asked of itself: no operator and no API needed."""

    url: str

    def shown(self) -> str:
        """Give the hash of the routes that are in effect."""
        with urllib.request.urlopen(self.url, timeout=ROUTER_S) as answer:
            return str(answer.read().decode())

    def await_news(self, known: str, *, timeout_s: float) -> str:
        """Wait until the routes are others than the known ones, and return at once."""
        deadline_s = time.monotonic() + timeout_s
        while (shown := self.shown()) == known:
            assert time.monotonic() < deadline_s, f"{self.url} still shows {known}"
            time.sleep(NEWS_POLL_S)
        return shown


def router_view(scene: Scene, status: ModelDeploymentStatus) -> RouterView:
    """Look at the deployment's port of one router pod."""
    assert status.address is not None
    routers = scene.read("pods", f"--namespace={SYSTEM_NAMESPACE}", f"-l={ROUTER}")["items"]
    address = routers[0]["status"]["podIP"]
    return RouterView(f"http://{address}:{status.address.router_port}{names.CONFIG_PATH}")


@contextmanager
def frozen(pod: str) -> Iterator[int]:
    """Stop the operator of a pod for the length of a block; it runs on afterwards, if it lives."""
    number = pid(pod)
    os.kill(number, signal.SIGSTOP)
    try:
        yield number
    finally:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGCONT)


def taken_over(scene: Scene, *, before: str, timeout_s: float) -> str:
    """Wait until another pod holds the Lease; its name."""
    return eventually(
        lambda: found if (found := holder(scene)) not in ("", before) else None,
        what=f"another operator than {before} holds the Lease",
        timeout_s=timeout_s,
    )


def steering_at(scene: Scene, pod: str, *, timeout_s: float = 60.0) -> float:
    """Wait until every ready router is connected to an operator's pod; when they were."""
    found = scene.read("pod", pod, f"--namespace={SYSTEM_NAMESPACE}")
    url = f"http://{found['status']['podIP']}:{names.PORT_OPERATOR_HTTP}/metrics"
    deadline_s = time.monotonic() + timeout_s
    while True:
        shown = scene.run("curl", "--silent", "--max-time", "2", url).stdout
        counts = dict(_ROUTERS.findall(shown))
        if counts and float(counts["connected"]) >= float(counts["ready"]) > 0:
            return time.time()
        assert time.monotonic() < deadline_s, f"routers do not come to {pod}: {counts}"
        time.sleep(POLL_S)


def writes(scene: Scene, *, pods: frozenset[str]) -> list[Write]:
    """Read from the API server's audit log what pods have written, refused writes included."""
    found = []
    with scene.ground.cluster.layout.audit_log.open("rb") as lines:
        for line in lines:
            event = orjson.loads(line)
            (pod,) = event["user"].get("extra", {}).get(POD_OF_TOKEN, [""])
            if pod in pods and event["verb"] in WRITES and event["stage"] == "ResponseComplete":
                at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
                code = event["responseStatus"]["code"]
                found.append(Write(pod, at, f"{event['verb']} {event['requestURI']}", code))
    return sorted(found, key=lambda write: write.at)
