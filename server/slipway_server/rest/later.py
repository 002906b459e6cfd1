"""FastAPI, once it is needed: importing it takes a quarter of a server's start.

Probes and inference do without.
"""

import asyncio
from collections.abc import Callable

from slipway_server.rest.asgi import App, Receive, Scope, Send


class LaterApp:
    """An application that is made in a thread, by its first request at the latest."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._made: asyncio.Future[App] | None = None

    async def prepare(self) -> App:
        """Make it, if nobody has."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._make))
        # Who waits may go; the others wait on.
        return await asyncio.shield(self._made)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = await self.prepare()
        await app(scope, receive, send)
