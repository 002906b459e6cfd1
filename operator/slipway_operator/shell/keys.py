"""Keys: the certificates between routers and operator, from their Secret to the listening server.

`certificates` says when they turn over and to what. New ones are written first and shown then.
Connections that exist go on, and last a quarter of a certificate's life: none outlives what it was
authenticated with.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc

from slipway_api import names
from slipway_operator.adapters import certificates
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, Conflict

CHECK_S_MAX: Final = 3600.0
CHECKS_PER_LIFE: Final = 60  # a turn is late by a sixtieth of the life at most; a third is left
ATTEMPT_COUNT_MAX: Final = 3  # another operator may write at the same time, but not for ever

_log = logging.getLogger(__name__)


class Keys:
    """The operator's certificates; belongs to one event loop, `read` comes before the rest."""

    def __init__(self, client: KubeClient, *, namespace: str, life: timedelta) -> None:
        """`life` is that of a certificate."""
        self._client = client
        self._namespace = namespace
        self._life = life
        self._bundle: Mapping[str, bytes] = {}

    @property
    def connection_s_max(self) -> float:
        """How long a connection may last."""
        return self._life.total_seconds() / 4

    async def read(self) -> None:
        """Take what is in the Secret; make or turn over what is missing or due.

        Raises `ApiError`; then the certificates are those of before.
        """
        for _ in range(ATTEMPT_COUNT_MAX - 1):
            try:
                return await self._follow(datetime.now(UTC))
            except Conflict:
                continue
        return await self._follow(datetime.now(UTC))

    async def _follow(self, now: datetime) -> None:
        name = names.CERTIFICATES_SECRET
        found = await self._client.find(kinds.SECRETS, name, namespace=self._namespace)
        if found is None:
            made = certificates.make(now, life=self._life)
            await self._client.create(kinds.SECRETS, _secret(self._namespace, made))
            self._bundle = made
            return
        bundle = _decoded(found.get("data") or {})
        due = certificates.turn_at(bundle, life=self._life)
        if due is None or due <= now:
            bundle = certificates.turn(bundle, now, life=self._life)
            secret = _secret(self._namespace, bundle)
            secret["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            # Whole, not applied: keys of files that are no longer used go, whoever put them there.
            await self._client.replace(kinds.SECRETS, secret)
            _log.info("turned over the certificates between routers and operator")
        if bundle != self._bundle:
            self._bundle = bundle

    def credentials(self) -> grpc.ServerCredentials:
        """Give the server credentials that follow what is read here."""
        return certificates.server_credentials(lambda: self._bundle)

    async def run(self) -> None:
        """Look again now and then."""
        pause_s = min(CHECK_S_MAX, self._life.total_seconds() / CHECKS_PER_LIFE)
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.read()
            except ApiError as error:  # a third of the life is left to try again
                _log.warning("certificates could not be looked after: %s", error)


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    """Decode a Secret's data; what cannot be decoded is as good as missing."""
    bundle = {}
    for key, value in data.items():
        try:
            bundle[key] = base64.b64decode(value, validate=True)
        except binascii.Error:
            continue
    return bundle


def _secret(namespace: str, bundle: Mapping[str, bytes]) -> dict[str, Any]:
    data = {key: base64.b64encode(value).decode() for key, value in bundle.items()}
    metadata = {"name": names.CERTIFICATES_SECRET, "namespace": namespace}
    return {"metadata": metadata, "type": "Opaque", "data": data}
