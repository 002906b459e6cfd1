"""The client of the Kubernetes API: exactly the verbs that the operator needs.

It sends, receives and names errors; it retries nothing and decides nothing. Facts about server-side
apply that callers rely on, all seen with a real API server (tests/contract/kube):

- A uid in an apply refuses to resurrect an object that is gone or another one of its name.
- `/status` checks no uid; a resourceVersion is its fence, and it never creates.
- A resourceVersion alone does not stop an apply from creating.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Literal, Self

import orjson

from slipway_api.names import MANAGER, STATUS_MANAGER
from slipway_operator.adapters.kube_errors import Gone, NotFound, error_of
from slipway_operator.adapters.kube_http import (
    JSON,
    REQUEST_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    Answer,
    Fence,
    Object,
    Request,
    Transport,
    parsed,
    unfenced,
)
from slipway_operator.adapters.kube_resources import Resource
from slipway_operator.adapters.kube_trace import Told
from slipway_operator.adapters.kubeconfig import ClusterAccess

Propagation = Literal["Background", "Foreground", "Orphan"]

LIST_TIMEOUT_S: Final = 30.0  # one page of a list; a full page of large objects takes a while
PAGE_SIZE: Final = 500
LIST_ATTEMPT_COUNT_MAX: Final = 3  # a continue token lives five minutes; losing two is no accident
WATCH_TIMEOUT_S: Final = 300
WATCH_GRACE_S: Final = 30.0  # for a server that is late to end a watch
# The server sends a bookmark about once a minute: longer silence means that the stream is dead.
WATCH_SILENCE_S_MAX: Final = 70.0

_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_MERGE: Final = "application/merge-patch+json"
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a list; a watch from `resource_version` misses nothing after it."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change; of a BOOKMARK's object only metadata.resourceVersion means anything."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class KubeClient:
    """A client of one API server; belongs to the event loop that first uses it.

    Every method raises `ApiError` or one of its classes. `async with` closes the connections.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        fence: Fence = unfenced,
        timeout_s: float = REQUEST_TIMEOUT_S,
        told: Told | None = None,
    ) -> None:
        """`fence` is asked before each write leaves, and raises if it must not.

        `told` is told of every request: its verb and the status code of the answer, or 0.
        """
        self._transport = Transport(access, fence=fence, told=told)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; running requests fail with `Unreachable`."""
        await self._transport.close()

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        """Read one object."""
        return await self._object("GET", resource.path(namespace=namespace, name=name))

    async def find(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> Object | None:
        """Read one object that may well not exist."""
        try:
            return await self.get(resource, name, namespace=namespace)
        except NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        page_size: int = PAGE_SIZE,
    ) -> Listing:
        """Read a whole collection in pages, all of one resourceVersion.

        `namespace` None reads all namespaces. `metadata_only` leaves spec and status out. Items
        carry no apiVersion and kind, as the API sends them.
        """
        request = Request(
            method="GET",
            path=resource.path(namespace=namespace),
            query=_selectors(label_selector, field_selector) | {"limit": str(page_size)},
            timeout_s=LIST_TIMEOUT_S,
            accept=_METADATA_ONLY if metadata_only else JSON,
        )
        for _ in range(LIST_ATTEMPT_COUNT_MAX - 1):
            try:
                return await self._pages(request)
            except Gone:
                continue
        return await self._pages(request)

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        timeout_s: int = WATCH_TIMEOUT_S,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after `resource_version`, bookmarks included, until the server ends it.

        Raises `Gone` if the version is too old, `Unreachable` if the stream breaks or falls silent.
        """
        request = Request(
            method="GET",
            path=resource.path(namespace=namespace),
            query=_selectors(label_selector, "")
            | {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": resource_version,
                "timeoutSeconds": str(timeout_s),
            },
            timeout_s=timeout_s + WATCH_GRACE_S,
            silence_s_max=WATCH_SILENCE_S_MAX,
        )
        async with aclosing(self._transport.lines(request)) as lines:
            async for line in lines:
                yield _event(line, request.what)

    async def apply(
        self, resource: Resource, body: Object, *, manager: str = MANAGER, force: bool = True
    ) -> Object:
        """Apply an object (server-side); creates it unless metadata.uid is given.

        Without `force` a field that another manager owns with another value raises `Conflict`.
        """
        return await self._apply(resource, body, query=_apply_query(manager, force))

    async def apply_status(
        self, resource: Resource, body: Object, *, manager: str = STATUS_MANAGER
    ) -> Object:
        """Apply the status of an object that was read before.

        metadata.resourceVersion must be given: it is the only fence that `/status` respects.
        """
        assert body["metadata"].get("resourceVersion"), "a status apply needs a resourceVersion"
        query = _apply_query(manager, force=True)
        return await self._apply(resource, body, query=query, subresource="status")

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object; raises `Conflict` (reason AlreadyExists) if the name is taken."""
        path = resource.path(namespace=body["metadata"].get("namespace"))
        return await self._object("POST", path, body=_typed(resource, body))

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Write a whole object; metadata.resourceVersion, where given, must be the current one."""
        return await self._object("PUT", _path_of(resource, body), body=_typed(resource, body))

    async def patch(
        self,
        resource: Resource,
        name: str,
        *,
        body: Object,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Object:
        """Merge-patch an object (RFC 7396)."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return await self._object("PATCH", path, body=body, content_type=_MERGE)

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> bool:
        """Delete an object; False if it was gone already.

        Raises `Conflict` if it is not the one of `uid`, or changed since `resource_version`.
        """
        given = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {key: value for key, value in given.items() if value is not None},
        }
        path = resource.path(namespace=namespace, name=name)
        try:
            await self._object("DELETE", path, body=options)
        except NotFound:
            return False
        return True

    async def raw(self, request: Request) -> Answer:
        """Send any request; for what the other methods do not cover."""
        return await self._transport.answer(request)

    async def _apply(
        self, resource: Resource, body: Object, *, query: Mapping[str, str], subresource: str = ""
    ) -> Object:
        path = _path_of(resource, body, subresource)
        typed = _typed(resource, body)
        return await self._object("PATCH", path, body=typed, content_type=_APPLY, query=query)

    async def _object(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        request = Request(
            method=method,
            path=path,
            query=query or {},
            data=None if body is None else orjson.dumps(body),
            content_type=content_type,
            timeout_s=self._timeout_s if method == "GET" else min(self._timeout_s, WRITE_TIMEOUT_S),
        )
        return parsed((await self._transport.answer(request)).body, request.what)

    async def _pages(self, request: Request) -> Listing:
        items: list[Object] = []
        page_request = request
        while True:
            answer = await self._transport.answer(page_request)
            page = parsed(answer.body, request.what)
            items += page["items"] or ()  # a list of metadata without any says null
            token = page["metadata"].get("continue")
            if not token:
                return Listing(tuple(items), page["metadata"]["resourceVersion"])
            page_request = replace(request, query={**request.query, "continue": token})


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in given.items() if value}


def _apply_query(manager: str, force: bool) -> dict[str, str]:
    return {"fieldManager": manager, "force": "true" if force else "false"}


def _typed(resource: Resource, body: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind} | body


def _path_of(resource: Resource, body: Object, subresource: str = "") -> str:
    metadata = body["metadata"]
    return resource.path(
        namespace=metadata.get("namespace"), name=metadata["name"], subresource=subresource
    )


def _event(line: bytes, what: str) -> WatchEvent:
    event = parsed(line, what)
    if event["type"] == "ERROR":
        status = event["object"]
        raise error_of(int(status.get("code", 500)), body=status, what=what)
    return WatchEvent(event["type"], event["object"])
