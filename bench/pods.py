"""What the model pods saw: follows their access logs and writes one line per attempt.

The model server says on its standard output when an attempt begins and when it ends. An attempt
whose end never comes (the process died, or it hangs still) is written too, as never ended, when
its pod is gone or the following ends. The logs come through the Kubernetes API, so nothing here
depends on where the pods run.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
import orjson
import urllib3
from kubernetes import client

from bench import ledger
from slipway_api import names

POLL_S: Final = 0.25  # a candidate's pod is found long before it is ready
SILENCE_S: Final = 3.0  # a stream without a line for so long is opened anew
CLOSE_S: Final = 5.0
_GRPC_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


def grpc_code(number: int | str) -> str:
    """Name a gRPC status.

    >>> grpc_code(0), grpc_code(13), grpc_code("INTERNAL")
    ('OK', 'INTERNAL', 'INTERNAL')
    """
    return number if isinstance(number, str) else _GRPC_CODES.get(number, str(number))


@dataclass(frozen=True, slots=True)
class _Begin:
    at: float
    revision: str
    protocol: str


class AccessLog:
    """Joins the begin and end lines of one pod into attempts; not thread-safe.

    Lines may come again after a stream broke: each is taken once.
    """

    def __init__(self, pod: str, write: Callable[[ledger.Attempt], None]) -> None:
        self._pod = pod
        self._write = write
        self._open: dict[str, list[_Begin]] = {}  # a router may try one request twice at a pod
        self._taken: set[tuple[str, str, float]] = set()

    def feed(self, text: bytes) -> None:
        """Take one line of standard output; what is no attempt is passed over."""
        if not text.startswith(b"{"):
            return
        try:
            line: Mapping[str, Any] = orjson.loads(text)
            event, request_id, at = line["event"], line["id"], line["at"]
        except (orjson.JSONDecodeError, KeyError):
            return
        if (event, request_id, at) in self._taken:
            return
        self._taken.add((event, request_id, at))
        if event == "begin":
            begin = _Begin(at=at, revision=line["revision"], protocol=line["protocol"])
            self._open.setdefault(request_id, []).append(begin)
        elif event == "end" and self._open.get(request_id):
            begin = self._open[request_id].pop(0)
            self._put(request_id, begin, status=line["status"], seconds=line["seconds"])

    def close(self) -> None:
        """Write everything that is still open as never ended."""
        for request_id, begins in self._open.items():
            for begin in begins:
                self._put(request_id, begin, status=None, seconds=None)
        self._open.clear()

    def _put(
        self, request_id: str, begin: _Begin, *, status: int | str | None, seconds: float | None
    ) -> None:
        is_grpc = begin.protocol == "grpc" and status is not None
        self._write(
            ledger.Attempt(
                at=begin.at,
                pod=self._pod,
                revision=begin.revision,
                id=request_id,
                protocol=begin.protocol,
                status=grpc_code(status) if is_grpc and status is not None else status,
                seconds=seconds,
            )
        )


class Follower:
    """Follows the model pods of one ModelDeployment, those to come included."""

    def __init__(
        self, api_client: client.ApiClient, writer: ledger.Writer, *, namespace: str, name: str
    ) -> None:
        self._core: Any = client.CoreV1Api(api_client)  # raw answers, which its types omit
        self._writer = writer
        self._namespace = namespace
        self._selector = f"{names.LABEL_DEPLOYMENT}={name}"
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._finder = threading.Thread(target=self._find_pods, name="pods", daemon=True)

    def start(self) -> None:
        self._finder.start()

    def close(self) -> None:
        """Stop following; what is open now counts as never ended."""
        self._stopping.set()
        self._finder.join(CLOSE_S)
        for thread in list(self._threads.values()):
            thread.join(SILENCE_S + CLOSE_S)
        self._writer.flush()

    def _find_pods(self) -> None:
        while not self._stopping.is_set():
            for pod in self._pods():
                uid = pod["metadata"]["uid"]
                if uid in self._threads:
                    continue
                thread = threading.Thread(
                    target=self._follow, args=(pod,), name=pod["metadata"]["name"], daemon=True
                )
                self._threads[uid] = thread
                self._writer.write(pod_start(pod))
                thread.start()
            self._writer.flush()
            self._stopping.wait(POLL_S)

    def _pods(self) -> list[dict[str, Any]]:
        try:
            answer = self._core.list_namespaced_pod(
                self._namespace,
                label_selector=self._selector,
                _preload_content=False,
                _request_timeout=5,
            )
            pods: list[dict[str, Any]] = orjson.loads(answer.data)["items"]
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return []  # asked again at the next turn
        return pods

    def _follow(self, pod: Mapping[str, Any]) -> None:
        """Read one pod's log until the pod is gone, through restarts of its container."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        log = AccessLog(name, self._writer.write)
        restarts = 0
        while not self._stopping.is_set():
            container = self._container(uid)
            if container is None:
                break
            if container["restartCount"] != restarts:
                restarts = container["restartCount"]
                self._read(name, log, previous=True)
            if "running" in container["state"]:
                self._read(name, log, follow=True)
            self._stopping.wait(POLL_S)
        log.close()

    def _container(self, uid: str) -> dict[str, Any] | None:
        """Look at the model container's status; None when the pod is gone."""
        for pod in self._pods():
            if pod["metadata"]["uid"] != uid:
                continue
            for status in pod["status"].get("containerStatuses", []):
                if status["name"] == names.CONTAINER_MODEL:
                    return dict(status)
            return {"restartCount": 0, "state": {}}
        return None

    def _read(self, name: str, log: AccessLog, **how: bool) -> None:
        try:
            answer = self._core.read_namespaced_pod_log(
                name,
                self._namespace,
                container=names.CONTAINER_MODEL,
                _preload_content=False,
                _request_timeout=(5, SILENCE_S),
                **how,
            )
            for text in _lines(answer):
                log.feed(text)
                if self._stopping.is_set():
                    return
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return  # the caller looks at the pod and reads on; lines seen twice count once


def pod_start(pod: Mapping[str, Any]) -> ledger.PodStart:
    """Write down that a pod is there, from now."""
    metadata = pod["metadata"]
    return ledger.PodStart(time.time(), metadata["name"], metadata["labels"][names.LABEL_REVISION])


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(65536, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def wait_until_quiet(tail: ledger.Tail, *, quiet_s: float, timeout_s: float) -> None:
    """Wait until the ledger has not grown for `quiet_s`: the logs of the pods have arrived."""
    deadline = time.monotonic() + timeout_s
    last = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - last < quiet_s:
        if any(True for _ in tail.lines()):
            last = time.monotonic()
        time.sleep(POLL_S)
