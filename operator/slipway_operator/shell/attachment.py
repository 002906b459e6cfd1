"""Whether Slipway is to be taken away: an annotation on the operator's own Deployment says so.

It is asked for at the API server and lives as long as the Deployment: an operator that is started
again goes on detaching, and a new installation begins attached.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from slipway_api import names
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError

POLL_S: Final = 10.0  # before an uninstall; nobody else waits for it

_log = logging.getLogger(__name__)


class Attachment:
    """Asks now and then, and tells whoever needs to know; belongs to one event loop."""

    def __init__(self, client: KubeClient, namespace: str, *, changed: Callable[[], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._changed = changed
        self._is_detaching: bool | None = None  # None: nobody was asked yet

    @property
    def is_detaching(self) -> bool:
        """Whether clients are to be led past the routers."""
        return self._is_detaching is True

    async def read(self) -> None:
        """Ask once; raises `ApiError`.

        A Deployment that is gone is being uninstalled, and its last pods with it: nothing changes
        any more, and nobody is led back to routers.
        """
        found = await self._client.find(
            kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=self._namespace
        )
        before = self.is_detaching
        if found is None:  # who leads only now does not know what its predecessor was told
            self._is_detaching = self._is_detaching is not False
        else:
            annotations = found["metadata"].get("annotations") or {}
            self._is_detaching = names.ANNOTATION_DETACH in annotations
        if self.is_detaching != before:
            _log.info("clients are led %s", "to routers" if before else "past the routers")
            self._changed()

    async def run(self) -> None:
        """Ask until cancelled. What was said last counts while the API server is away."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.read()
            except ApiError as error:
                _log.debug("whether to detach is not known anew: %s", error)
