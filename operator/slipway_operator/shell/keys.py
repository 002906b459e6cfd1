"""Keys: the certificates between routers and operator, from their Secret to the listening server.

When they are renewed is asked of `certificates`. Connections that exist stay: a router that
connects from now on is shown the newest certificate, and nobody's stream ends.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import grpc

from slipway_api import names
from slipway_operator.adapters import certificates
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, Conflict

CHECK_S: Final = 3600.0

_log = logging.getLogger(__name__)


class Keys:
    """The operator's certificates; belongs to one event loop, `read` comes before the rest."""

    def __init__(self, client: KubeClient, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._bundle: Mapping[str, bytes] = {}

    async def read(self) -> None:
        """Read the certificates, or make them; raises `ApiError`."""
        name = names.CERTIFICATES_SECRET
        found = await self._client.find(kinds.SECRETS, name, namespace=self._namespace)
        if found is not None:
            self._bundle = {key: base64.b64decode(value) for key, value in found["data"].items()}
            return
        bundle = certificates.make(datetime.now(UTC))
        with contextlib.suppress(Conflict):
            await self._client.create(kinds.SECRETS, _secret(self._namespace, bundle))
            self._bundle = bundle
            return
        await self.read()

    def credentials(self) -> grpc.ServerCredentials:
        """Give the server credentials that follow what is read and renewed here."""
        return certificates.server_credentials(lambda: self._bundle)

    async def run(self) -> None:
        """Renew the leaves when two thirds of their life are over."""
        while True:
            if datetime.now(UTC) >= certificates.renew_at(self._bundle):
                renewed = certificates.renew(self._bundle, datetime.now(UTC))
                try:
                    await self._client.apply(kinds.SECRETS, _secret(self._namespace, renewed))
                except ApiError as error:  # ten days are left to try again
                    _log.warning("renewed certificates could not be stored: %s", error)
                else:
                    self._bundle = renewed
                    _log.info("renewed the certificates between routers and operator")
            await asyncio.sleep(CHECK_S)


def _secret(namespace: str, bundle: Mapping[str, bytes]) -> dict[str, Any]:
    data = {key: base64.b64encode(value).decode() for key, value in bundle.items()}
    metadata = {"name": names.CERTIFICATES_SECRET, "namespace": namespace}
    return {"metadata": metadata, "type": "Opaque", "data": data}
