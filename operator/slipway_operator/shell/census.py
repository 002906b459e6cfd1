"""Census: which ModelDeployments there are, though events get lost and the API server goes away.

What routers have of a deployment that is on no list is taken away only after a GET said 404.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError

Owner = tuple[str, str]

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
        """`wake` is told of owners that went while nobody noticed."""
        self._client, self._routers, self._wake = client, routers, wake
        self._known: set[Owner] = set()

    @property
    def known(self) -> tuple[Owner, ...]:
        """List the owners, sorted."""
        return tuple(sorted(self._known))

    def heard(self, owner: Owner) -> None:
        """Add an owner that an event spoke of, be it of its end."""
        self._known.add(owner)

    async def take(self) -> None:
        """List all; wake what went meanwhile. Raises `ApiError` and then changes nothing."""
        listing = await self._client.list(kinds.MODEL_DEPLOYMENTS, metadata_only=True)
        before = self._known
        self._known = {
            (item["metadata"]["namespace"], item["metadata"]["name"]) for item in listing.items
        }
        for owner in before - self._known:
            self._wake(owner)

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
