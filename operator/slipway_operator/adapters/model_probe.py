"""Asking a model server which bytes it loaded, and whether it is there at all.

Knows one port and one header, nothing of revisions.
"""

import asyncio
import re
from typing import Final
from urllib.parse import quote

import aiohttp

from slipway_api import names
from slipway_operator.adapters.fresh_http import FreshHttp

TIMEOUT_S: Final = 2.0
REACH_S: Final = 0.7  # a lost SYN would go again after 1 s (RFC 6298): a new try is sooner
REACH_TRIES: Final = 2
DIGEST_FORM: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ModelProbe:
    """Asks ready model pods, each question on a connection of its own."""

    def __init__(self, *, port: int = names.PORT_HTTP) -> None:
        self._port = port
        self._http = FreshHttp(timeout_s=TIMEOUT_S)

    async def digest(self, address: str, model: str) -> str:
        """Read the digest of a model that a pod serves; empty if it does not tell within 2 s.

        A server that is not ours tells nothing, and nothing must wait for it.
        """
        path = f"/v2/models/{quote(model, safe='')}"
        try:
            async with self._http.get(address, self._port, path) as answer:
                told = answer.headers.get(names.HEADER_DIGEST, "")
        except (aiohttp.ClientError, TimeoutError):
            return ""
        return told if DIGEST_FORM.fullmatch(told) else ""

    async def is_reached(self, address: str) -> bool:
        """Tell whether anybody at a pod's address takes a connection, or refuses it: both answer.

        Takes 1.4 s to say no.
        """
        for _ in range(REACH_TRIES):
            if await self._is_answered(address):
                return True
        return False

    async def _is_answered(self, address: str) -> bool:
        try:
            async with asyncio.timeout(REACH_S):
                _, writer = await asyncio.open_connection(address, self._port)
        except ConnectionRefusedError:
            return True
        except (TimeoutError, OSError):  # also what routers on the way say: no route, unreachable
            return False
        writer.close()
        return True

    async def close(self) -> None:
        """End asking."""
        await self._http.close()
