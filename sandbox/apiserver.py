"""A real API server with its etcd on loopback, without nodes: the ground of contract tests.

It has no controllers: what it holds is what a test wrote. Knows nothing of the cluster.
"""

import datetime
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import control_plane, kubeconfig, pki, processes, toolchain
from sandbox.api import Api
from sandbox.control_plane import ControlPlane, Ports
from sandbox.errors import SandboxError
from sandbox.processes import Process
from sandbox.progress import Log, silent

_READY_TIMEOUT_S: Final = 60.0  # 4 s on two idle cores
_POLL_S: Final = 0.1
_LOG_LINES_SHOWN: Final = 15
_SERVICE_CIDR: Final = "10.97.0.0/24"


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server; `admin` is allowed everything."""

    url: str
    kubeconfig: Path
    kubectl: Path
    folder: Path
    processes: tuple[Process, ...]

    @classmethod
    @contextmanager
    def start(cls, directory: Path, *, log: Log = silent) -> Iterator["ApiServer"]:
        """Run etcd and kube-apiserver below `directory` until the block ends."""
        programs = toolchain.kube_programs(log=log)
        plane = _plan(directory, programs)
        pki.write(plane.certificates, plane.leaves(), now=datetime.datetime.now(datetime.UTC))
        admin = directory / "admin.kubeconfig"
        kubeconfig.write(
            admin,
            server=plane.url,
            authority=plane.certificates / "ca.crt",
            client=pki.pair(plane.certificates, "admin"),
            name="admin",
        )
        commands = {"etcd": plane.etcd(), "kube-apiserver": plane.api_server()}
        with ExitStack() as stack:
            started: list[Process] = []
            for name, command in commands.items():
                process = processes.start(
                    name, command, log_file=directory / f"{name}.log", ends_with_us=True
                )
                stack.callback(processes.stop, [process])
                started.append(process)
            await_ready(Api(plane.url, plane.certificates), started, logs=directory)
            yield cls(
                url=plane.url,
                kubeconfig=admin,
                kubectl=programs / "kubectl",
                folder=directory,
                processes=tuple(started),
            )


def await_ready(api: Api, running: Sequence[Process], *, logs: Path) -> None:
    """Wait until the API server says that it is ready; raise with its log's end if it ends."""
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    while not api.is_ready():
        ended = next((process for process in running if not process.is_alive()), None)
        if ended is not None:
            raise SandboxError(
                f"{ended.name} ended before the API server was ready; the end of its log:\n"
                + tail(logs / f"{ended.name}.log")
            )
        if time.monotonic() > deadline_s:
            raise SandboxError(
                f"the API server at {api.url} is not ready after {_READY_TIMEOUT_S:.0f} s; "
                "the end of its log:\n" + tail(logs / "kube-apiserver.log")
            )
        time.sleep(_POLL_S)


def tail(path: Path) -> str:
    """Return the last lines of a log file, or a word that it does not exist."""
    if not path.exists():
        return f"({path} does not exist)"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES_SHOWN:])


def _plan(directory: Path, programs: Path) -> ControlPlane:
    etcd_client, etcd_peer, api, controllers, scheduler = free_ports(5)
    return ControlPlane(
        programs=programs,
        certificates=directory / "pki",
        data=directory,
        ports=Ports(etcd_client, etcd_peer, api, controllers, scheduler),
        bind_address="127.0.0.1",
        # Kubernetes refuses to advertise loopback; nobody is told this address but `kubernetes`.
        advertise_address=control_plane.first_host("198.51.100.0/24"),
        service_cidr=_SERVICE_CIDR,
    )


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 that nobody listens on right now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
