"""Census: which ModelDeployments there are, though events get lost and the API server goes away.

Whether anything of one has changed is seen by names and versions alone, in one list for each kind,
so that a hundred that nobody touches cost no more requests than one. What routers have of a
deployment that is on no list is taken away only after a GET said 404.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from slipway_api import names
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError

Owner = tuple[str, str]

CHILD_KINDS: Final = (
    kinds.DEPLOYMENTS,
    kinds.SERVICES,
    kinds.PODS,
    kinds.CONTROLLER_REVISIONS,
    kinds.ENDPOINT_SLICES,
)

_log = logging.getLogger(__name__)


class Routers(Protocol):
    """What is asked of the routers' side (`AdsServer`); owners are "namespace/name"."""

    def unknown_owners(self) -> Iterable[str]:
        """List of whom routers have something that nobody has put."""

    def confirm_removed(self, owner: str) -> None:
        """Let routers drop an owner."""


class Census:
    """The owners (namespace, name) that are known; belongs to one event loop."""

    def __init__(
        self, client: KubeClient, *, routers: Routers, wake: Callable[[Owner], None]
    ) -> None:
        """`wake` is told of owners of which anything came, changed or went since the last count."""
        self._client, self._routers, self._wake = client, routers, wake
        self._known: set[Owner] = set()
        self._marks: dict[Owner, int] | None = None  # None: nothing was counted yet

    @property
    def known(self) -> tuple[Owner, ...]:
        """List the owners, sorted."""
        return tuple(sorted(self._known))

    def heard(self, owner: Owner) -> None:
        """Add an owner that an event spoke of, be it of its end."""
        self._known.add(owner)

    async def take(self) -> None:
        """List all; wake what is not as it was. Raises `ApiError` and then changes nothing."""
        before, marks = self._marks, await self._count()
        gone, self._known, self._marks = self._known - marks.keys(), set(marks), marks
        changed = () if before is None else (own for own in marks if marks[own] != before.get(own))
        for owner in (*gone, *changed):
            self._wake(owner)

    async def _count(self) -> dict[Owner, int]:
        """Mark every owner with what it has: another mark, and something is another."""
        listing = await self._client.list(kinds.MODEL_DEPLOYMENTS, metadata_only=True)
        versions = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): [_version(item)]
            for item in listing.items
        }
        for kind in CHILD_KINDS:
            listing = await self._client.list(
                kind, label_selector=names.LABEL_DEPLOYMENT, metadata_only=True
            )
            for item in listing.items:
                metadata = item["metadata"]
                owner = metadata["namespace"], metadata["labels"][names.LABEL_DEPLOYMENT]
                versions.get(owner, []).append(_version(item))
        return {owner: hash(frozenset(found)) for owner, found in versions.items()}

    async def drop_unknown(self) -> None:
        """Let routers forget what is confirmed to be gone; what cannot be asked for stays."""
        for name in self._routers.unknown_owners():
            namespace, separator, deployment = name.partition("/")
            if not separator or (namespace, deployment) in self._known:
                continue
            try:
                found = await self._client.find(
                    kinds.MODEL_DEPLOYMENTS, deployment, namespace=namespace
                )
            except ApiError as error:
                _log.warning("%s stays at the routers until it can be asked for: %s", name, error)
                return
            if found is None:
                self._routers.confirm_removed(name)


def _version(item: dict[str, Any]) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata["uid"], metadata["resourceVersion"]
