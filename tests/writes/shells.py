"""The operator's whole shell, to be started and to be dropped: in this process, or as one."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import IO, Final, Protocol

from sandbox import apiserver
from slipway_operator.adapters.kubeconfig import ClusterAccess
from slipway_operator.render.workload import ServerImage
from slipway_operator.shell.app import Operator
from slipway_operator.shell.settings import Settings

TOP: Final = Path(__file__).resolve().parents[2]
POD: Final = "operator-0"
IMAGE: Final = "slipway/server:0"
GONE_S_MAX: Final = 300.0  # of a machine that starves us
_KUBECONFIG: Final = """\
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: NAMESPACE}}]
clusters: [{name: c, cluster: {server: "SERVER"}}]
users: [{name: u, user: {}}]
"""


class Shell(Protocol):
    """One life of an operator."""

    def crash(self) -> None:
        """Let it do nothing more; returns at once."""

    async def gone(self) -> None:
        """Wait until nothing of it is left."""

    def last_words(self) -> str:
        """Tell how it is, for whoever waited for it in vain."""


class HostedShell:
    """An operator in this process; a crash drops it with all it remembers.

    What it does on its way out meets a gateway that is cut and routers that hear nothing.
    """

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @classmethod
    async def start(cls, server: str, namespace: str, *, address: str) -> "HostedShell":
        """Start what `python -m slipway_operator` would run; signals stay this process' own."""
        settings = Settings(
            namespace=namespace,
            pod=POD,
            server=ServerImage(IMAGE, "Never"),
            log_level="info",
            bind_address=address,
        )
        access = ClusterAccess(server=server, namespace=namespace)
        task = asyncio.create_task(Operator(settings, access).run())
        await asyncio.sleep(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
        return cls(task)

    def crash(self) -> None:
        """Cancel all of it."""
        self._task.cancel()

    async def gone(self) -> None:
        """Wait for the end of its threads and ports; raises if it never comes."""
        await asyncio.wait({self._task}, timeout=GONE_S_MAX)
        if not self._task.done():
            raise RuntimeError("an operator that was told to end does not")
        with contextlib.suppress(Exception, asyncio.CancelledError):  # nobody was left to talk to
            self._task.result()

    def last_words(self) -> str:
        """Tell whether it runs, or what ended it."""
        if not self._task.done():
            return "the operator runs"
        error = None if self._task.cancelled() else self._task.exception()
        return f"the operator ended: {error!r}"


class ProcessShell:
    """An operator in a process of its own, as in its container; a crash is SIGKILL."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._process, self._log = process, log

    @classmethod
    async def start(
        cls, server: str, namespace: str, *, address: str, folder: Path
    ) -> "ProcessShell":
        """Start `python -m slipway_operator`; its log is appended to a file of the folder."""
        kubeconfig = folder / f"{namespace}-{address}.kubeconfig"
        kubeconfig.write_text(_KUBECONFIG.replace("SERVER", server).replace("NAMESPACE", namespace))
        log = (folder / f"{namespace}.log").open("ab")
        prefix = "SLIPWAY_OPERATOR_"
        environment = os.environ | {
            "PYTHONPATH": f"{TOP / 'crds'}:{TOP / 'operator'}",
            "KUBECONFIG": str(kubeconfig),
            f"{prefix}NAMESPACE": namespace,
            f"{prefix}POD": POD,
            f"{prefix}SERVER_IMAGE": IMAGE,
            f"{prefix}SERVER_IMAGE_PULL_POLICY": "Never",
            f"{prefix}BIND_ADDRESS": address,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "slipway_operator"), env=environment, stdout=log, stderr=log
        )
        return cls(process, log)

    def crash(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def gone(self) -> None:
        """Wait for its end."""
        await self._process.wait()
        self._log.close()

    def last_words(self) -> str:
        """Tell whether it runs, and the end of its log."""
        code = self._process.returncode
        state = "runs" if code is None else f"ended with {code}"
        return f"the operator {state}; its log: {apiserver.tail(Path(self._log.name))}"
