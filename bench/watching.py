"""Sees what kubectl would see: status changes and Events of one ModelDeployment, as they come.

Two threads watch and put what they see into one queue, stamped with the time of arrival. It judges
nothing.
"""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import urllib3
from kubernetes import client, watch

from bench import account
from slipway_api import names
from slipway_api.status import ModelDeploymentStatus

WATCH_S: Final = 60  # the server ends a watch after this; the next one begins at once
RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """The deployment as it arrived here; `at` in Unix seconds."""

    at: float
    generation: int
    status: ModelDeploymentStatus


class Watcher:
    """Watches one deployment until closed; read `news`."""

    def __init__(self, api_client: client.ApiClient, *, namespace: str, name: str) -> None:
        self.news: queue.SimpleQueue[Seen | account.KubeEvent] = queue.SimpleQueue()
        self._namespace = namespace
        self._name = name
        self._custom: Any = client.CustomObjectsApi(api_client)
        self._core: Any = client.CoreV1Api(api_client)
        self._stopping = threading.Event()
        self._told: set[tuple[str, int]] = set()

    def start(self) -> None:
        for work in (self._watch_objects, self._watch_events):
            threading.Thread(target=self._keep, args=(work,), daemon=True).start()

    def close(self) -> None:
        """Stop; the threads end with their watch at the latest, and with the process."""
        self._stopping.set()

    def _keep(self, work: Any) -> None:
        """Begin a watch again for as long as wanted."""
        while not self._stopping.is_set():
            try:
                work()
            except (client.ApiException, urllib3.exceptions.HTTPError):
                self._stopping.wait(RETRY_S)

    def _watch_objects(self) -> None:
        stream = _stream(
            self._custom.list_namespaced_custom_object,
            group=names.GROUP,
            version=names.VERSION,
            namespace=self._namespace,
            plural=names.MODEL_DEPLOYMENT_PLURAL,
            field_selector=f"metadata.name={self._name}",
            timeout_seconds=WATCH_S,
        )
        for change in stream:
            if self._stopping.is_set():
                return
            if change["type"] in ("ADDED", "MODIFIED"):
                self.news.put(seen(change["object"]))

    def _watch_events(self) -> None:
        stream = _stream(
            self._core.list_namespaced_event,
            namespace=self._namespace,
            field_selector=(
                f"involvedObject.kind={names.MODEL_DEPLOYMENT_KIND},"
                f"involvedObject.name={self._name}"
            ),
            timeout_seconds=WATCH_S,
        )
        for change in stream:
            if self._stopping.is_set():
                return
            event = change["object"]
            series = event.series.count if event.series else event.count or 1
            mark = (event.metadata.uid, series)
            if mark in self._told or change["type"] not in ("ADDED", "MODIFIED"):
                continue
            self._told.add(mark)
            self.news.put(
                account.KubeEvent(
                    at=time.time(),
                    is_warning=event.type == "Warning",
                    reason=event.reason or "",
                    message=event.message or "",
                )
            )


def _stream(list_call: Any, **arguments: Any) -> Iterator[dict[str, Any]]:
    watcher: Any = watch.Watch
    changes: Iterator[dict[str, Any]] = watcher().stream(list_call, **arguments)
    return changes


def seen(obj: dict[str, Any]) -> Seen:
    """Read an object as the API server gives it."""
    return Seen(
        at=time.time(),
        generation=obj["metadata"]["generation"],
        status=ModelDeploymentStatus.model_validate(obj.get("status") or {}),
    )
