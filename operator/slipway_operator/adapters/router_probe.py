"""Asking a router which configuration it really serves.

An ACK comes from Envoy's main thread; its workers switch a moment later. What a fresh connection
is answered is what the worker that took it does.
"""

import asyncio
from typing import Final

import aiohttp

from slipway_api import names
from slipway_operator.adapters.fresh_http import FreshHttp

TIMEOUT_S: Final = 0.5
CONNECTION_COUNT: Final = 2
HASH_LENGTH_MAX: Final = 64


class RouterProbe:
    """Asks on connections of its own, each used once."""

    def __init__(self) -> None:
        self._http = FreshHttp(timeout_s=TIMEOUT_S)

    async def shown(self, address: str, port: int) -> str | None:
        """Read the configuration hash on two fresh connections.

        None if they differ, or one of them is not answered within 0.5 s.
        """
        asked = (self._ask(address, port) for _ in range(CONNECTION_COUNT))
        answers = set(await asyncio.gather(*asked))
        return answers.pop() if len(answers) == 1 else None

    async def answers(self, address: str, port: int) -> bool:
        """Tell whether one of two fresh connections is answered, whatever it shows."""
        asked = (self._ask(address, port) for _ in range(CONNECTION_COUNT))
        return any(answer is not None for answer in await asyncio.gather(*asked))

    async def close(self) -> None:
        """End asking."""
        await self._http.close()

    async def _ask(self, address: str, port: int) -> str | None:
        try:
            async with self._http.get(address, port, names.CONFIG_PATH) as answer:
                if answer.status != 200:
                    return None
                text = await answer.content.read(HASH_LENGTH_MAX)
        except (aiohttp.ClientError, TimeoutError):
            return None
        return text.decode("ascii", "replace")
