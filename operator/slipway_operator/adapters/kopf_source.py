"""kopf as event source: in threads with loops of their own, started again whenever kopf ends.

kopf ends by itself when a watcher meets something it does not understand (404, 410 on a list, ERROR
500 in a stream) and cancels every task of its loop. Here that costs a few seconds of
events and nothing else: queue, guard and ADS live in another thread.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from slipway_api.names import (
    COMPONENT_ROUTER,
    GROUP,
    LABEL_COMPONENT,
    LABEL_DEPLOYMENT,
    VERSION,
)
from slipway_operator.adapters import kopf_scope, kube_resources
from slipway_operator.adapters.event_source import Key, KeyKind
from slipway_operator.adapters.kopf_scope import Scope, Watched
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.adapters.kube_http import Request, parsed
from slipway_operator.adapters.kubeconfig import ClusterAccess

RESTART_S_FIRST: Final = 0.5
RESTART_S_MAX: Final = 5.0
HEALTHY_AFTER_S: Final = 60.0  # a run this long counts as a success: back-off begins anew
STOP_TIMEOUT_S: Final = 10.0
CANCEL_COUNT_MAX: Final = 10
CANCEL_PAUSE_S: Final = 0.1

logger = logging.getLogger(__name__)


def deployment_key(body: Mapping[str, Any]) -> Key | None:
    """Key of a ModelDeployment itself."""
    metadata = body["metadata"]
    return Key(KeyKind.MODEL_DEPLOYMENT, metadata["namespace"], metadata["name"])


def owner_key(body: Mapping[str, Any]) -> Key | None:
    """Key of the ModelDeployment that an object was made for."""
    metadata = body["metadata"]
    owner = (metadata.get("labels") or {}).get(LABEL_DEPLOYMENT)
    return Key(KeyKind.MODEL_DEPLOYMENT, metadata["namespace"], owner) if owner else None


def pool_key(body: Mapping[str, Any]) -> Key | None:
    """Key of a ComputePool."""
    return Key(KeyKind.COMPUTE_POOL, "", body["metadata"]["name"])


def router_key(body: Mapping[str, Any]) -> Key | None:
    """Key of a router pod."""
    metadata = body["metadata"]
    return Key(KeyKind.ROUTER, metadata["namespace"], metadata["name"])


def scopes(operator_namespace: str) -> tuple[Scope, ...]:
    """List what is watched.

    Two runs of kopf, because it knows one label selector per kind: model pods everywhere, router
    pods in the operator's own namespace.
    """
    children = (
        kube_resources.DEPLOYMENTS,
        kube_resources.PODS,
        kube_resources.SERVICES,
        kube_resources.ENDPOINT_SLICES,
    )
    return (
        Scope(
            name="models",
            namespace=None,
            watched=(
                Watched(kube_resources.MODEL_DEPLOYMENTS, deployment_key, ignores_status=True),
                Watched(kube_resources.COMPUTE_POOLS, pool_key),
                *(Watched(kind, owner_key, label_selector=LABEL_DEPLOYMENT) for kind in children),
            ),
        ),
        Scope(
            name="routers",
            namespace=operator_namespace,
            watched=(
                Watched(
                    kube_resources.PODS,
                    router_key,
                    label_selector=f"{LABEL_COMPONENT}={COMPONENT_ROUTER}",
                ),
            ),
        ),
    )


class KopfSource:
    """An `EventSource`. `start` and `stop` belong to one event loop and are called once each."""

    def __init__(self, access: ClusterAccess, *, operator_namespace: str) -> None:
        self._access = access
        self._runners: tuple[_Runner, ...] = ()
        self._scopes = scopes(operator_namespace)

    def start(self, sink: Callable[[Key], None]) -> None:
        """Begin to watch; `sink` is called in the running event loop."""
        assert not self._runners, "started twice"
        loop = asyncio.get_running_loop()

        def emit(key: Key) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(sink, key)

        self._runners = tuple(_Runner(scope, self._access, emit=emit) for scope in self._scopes)
        for runner in self._runners:
            runner.start()

    async def stop(self) -> None:
        """End all watches; waits for the threads, at most `STOP_TIMEOUT_S`."""
        for runner in self._runners:
            runner.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for runner in self._runners:
            await asyncio.to_thread(runner.join, max(0.0, deadline - time.monotonic()))

    @property
    def restart_count(self) -> int:
        """How often kopf ended by itself and was started again, for metrics."""
        return sum(runner.restart_count for runner in self._runners)

    @property
    def is_alive(self) -> bool:
        """Whether every supervisor thread lives; says nothing about the API server."""
        return bool(self._runners) and all(runner.is_alive() for runner in self._runners)


class _Runner(threading.Thread):
    """Supervises the runs of kopf for one scope."""

    def __init__(self, scope: Scope, access: ClusterAccess, *, emit: Callable[[Key], None]) -> None:
        super().__init__(name=f"kopf-{scope.name}", daemon=True)
        self._scope = scope
        self._access = access
        self._emit = emit
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # guards _current
        self._current: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self.restart_count = 0

    def run(self) -> None:
        pause_s = RESTART_S_FIRST
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._run_loop()
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                # kopf raises what killed a watcher, of any type.
                logger.warning("watching %s ended: %s", self._scope.name, error or repr(error))
            if self._stopping.is_set():
                return
            if time.monotonic() - began_s > HEALTHY_AFTER_S:
                pause_s = RESTART_S_FIRST
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, RESTART_S_MAX)
            self.restart_count += 1

    def ask_to_stop(self) -> None:
        """End the current run; called from another thread."""
        self._stopping.set()
        with self._lock:
            if self._current is not None:
                loop, stop = self._current
                loop.call_soon_threadsafe(stop.set)

    def _run_loop(self) -> None:
        """Do one run in an event loop that is thrown away with whatever hangs in it.

        `asyncio.run` would wait for every task without limit.
        """
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_note)
        try:
            loop.run_until_complete(self._run_once())
        finally:
            loop.run_until_complete(_cancel_all())
            loop.close()

    async def _run_once(self) -> None:
        loop = asyncio.get_running_loop()
        # kopf would wait for a threading.Event in a worker thread that outlives a failed run.
        stop = asyncio.Event()
        with self._lock:
            self._current = (loop, stop)
        try:
            if self._stopping.is_set():
                return
            await self._check_kinds()
            await kopf_scope.run(self._scope, access=self._access, emit=self._emit, stop=stop)
        finally:
            with self._lock:
                self._current = None

    async def _check_kinds(self) -> None:
        """Raise while our own kinds are not served: kopf would quietly leave them out for ever."""
        wanted = {
            watched.resource.plural
            for watched in self._scope.watched
            if watched.resource.group == GROUP
        }
        if not wanted:
            return
        async with KubeClient(self._access) as client:
            request = Request("GET", f"/apis/{GROUP}/{VERSION}")
            answer = parsed((await client.raw(request)).body, request.what)
        served = {kind["name"] for kind in answer["resources"]}
        if missing := sorted(wanted - served):
            raise ApiError(
                404,
                reason="NotFound",
                message=f"{', '.join(missing)} are not served: install the CRDs (crds/*.yaml)",
            )


def _note(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Take what nobody awaited: of several watchers that die together kopf raises one error only.

    In one line, because the garbage collector calls this at any time and in any thread.
    """
    logger.debug("kopf: %s: %r", context["message"], context.get("exception"))


async def _cancel_all() -> None:
    """Cancel every other task of the loop, again and again: a watcher of kopf can swallow one."""
    for _ in range(CANCEL_COUNT_MAX):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_PAUSE_S)
    names = sorted(task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()})
    if names:
        logger.warning("these tasks of kopf do not end and are left behind: %s", ", ".join(names))
