"""What is broken in a cluster and mended again, each for the length of a block.

Only inside the sandbox: network namespaces of its nodes, processes of its pods. Everything is
mended when the block ends, however it ends.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from bench.scene import SYSTEM_NAMESPACE, Object, Scene, eventually
from slipway_api import names

TABLE: Final = "slipway_fault"
DRAIN_S: Final = 280
_COMMAND_S: Final = 20.0
_CRASH_POLL_S: Final = 0.2


@contextmanager
def refusing(scene: Scene, *pods: Object) -> Iterator[None]:
    """Let model pods break every connection and refuse new ones, their probes' too."""
    ports = f"{{ {names.PORT_HTTP}, {names.PORT_GRPC} }}"
    rules = defaultdict[str, list[str]](list)
    for pod in pods:
        rule = f"ip daddr {_address(pod)} tcp dport {ports} reject with tcp reset"
        rules[pod["spec"]["nodeName"]].append(rule)
    with ExitStack() as broken:
        for node, ours in rules.items():
            broken.enter_context(_rules(scene, node, *ours))
        yield


@contextmanager
def without_operator(scene: Scene, router: Object) -> Iterator[None]:
    """Drop everything between a router and the operator; clients and pods reach it as before."""
    port = names.PORT_XDS
    source, target = f"ip saddr {_address(router)}", f"ip daddr {_address(router)}"
    with _rules(
        scene,
        router["spec"]["nodeName"],
        f"{source} tcp dport {port} drop",
        f"{target} tcp sport {port} drop",
    ):
        yield


@contextmanager
def cut_off(scene: Scene, node: str) -> Iterator[None]:
    """Pull a node's network cable."""
    broken = scene.ground.cluster.node(node)
    broken.cut_link()
    try:
        yield
    finally:
        broken.restore_link()


@contextmanager
def drained(scene: Scene, node: str) -> Iterator[None]:
    """Drain a node as an administrator does; the block begins when its pods are gone."""
    try:
        done = subprocess.run(
            [
                *("kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data"),
                f"--timeout={DRAIN_S}s",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=DRAIN_S + _COMMAND_S,
            env=dict(scene.ground.environment()),
        )
        assert done.returncode == 0, done.stderr
        yield
    finally:
        scene.kubectl("uncordon", node)


@contextmanager
def operator_away(scene: Scene) -> Iterator[None]:
    """Scale the operator to nothing; the block begins when no process of it is left."""
    deployment = ("deployment/slipway-operator", f"--namespace={SYSTEM_NAMESPACE}")
    replicas = scene.read(*deployment)["spec"]["replicas"]
    selector = f"-l={names.LABEL_COMPONENT}=operator"
    scene.kubectl("scale", *deployment, "--replicas=0")
    try:
        eventually(
            lambda: not scene.read("pods", f"--namespace={SYSTEM_NAMESPACE}", selector)["items"],
            what="the operator is gone",
            timeout_s=60.0,
        )
        yield
    finally:
        scene.kubectl("scale", *deployment, f"--replicas={replicas}")


def kill_envoy(router: str) -> None:
    """Send SIGKILL to the Envoy of one router pod, by its name."""
    mark = f"SLIPWAY_ROUTER_NAME={router}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() != "envoy":
                continue
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                return
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError(f"no Envoy of router {router} on this machine")


@contextmanager
def crashing(
    pods: Sequence[str], *, alive_s: float, tell: Callable[[float], None]
) -> Iterator[None]:
    """End the main process of these pods' containers so long after each start, again and again.

    `tell` is told of the moment of every such end (Unix time), in another thread.
    """
    stopping = threading.Event()

    def work() -> None:
        seen: dict[int, float] = {}
        while not stopping.wait(_CRASH_POLL_S):
            for number in main_processes(pods):
                if time.monotonic() - seen.setdefault(number, time.monotonic()) >= alive_s:
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)
                        tell(time.time())

    thread = threading.Thread(target=work, name="crashes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_COMMAND_S)


def main_processes(pods: Sequence[str]) -> list[int]:
    """Find the first process of every container of these pods on this machine."""
    marks = {f"HOSTNAME={pod}".encode() for pod in pods}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marks.isdisjoint((folder / "environ").read_bytes().split(b"\0")):
                continue
            inner = re.search(r"^NSpid:.*\t(\d+)$", (folder / "status").read_text(), re.M)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if inner and inner[1] == "1":
            found.append(int(folder.name))
    return found


@contextmanager
def _rules(scene: Scene, node: str, *rules: str) -> Iterator[None]:
    """Have packet rules in a node's network namespace, for what it forwards and what it sends."""
    inside = scene.ground.cluster.node(node).member.namespace_file
    chains = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority -300; {'; '.join(rules)}; }}"
        for hook in ("forward", "output")
    )
    _nft(inside, f"table ip {TABLE} {{\n{chains}\n}}\n")
    try:
        yield
    finally:
        _nft(inside, f"delete table ip {TABLE}\n")


def _nft(namespace: Path, text: str) -> None:
    done = subprocess.run(
        ["nsenter", f"--net={namespace}", "nft", "--file", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_S,
    )
    assert done.returncode == 0, f"{text}: {done.stderr}"


def _address(pod: dict[str, Any]) -> str:
    return str(pod["status"]["podIP"])
