"""Noticing that a REST client has gone while its inference waits or runs.

gRPC cancels a handler by itself; ASGI only says so to who listens. Most requests are done long
before listening would pay, so it begins late.
"""

import asyncio
from typing import Final

from slipway_server.rest.asgi import Receive

LISTEN_AFTER_S: Final = 0.25


class DisconnectWatch:
    """Cancels the task that made it when the client disconnects. The body must be read."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the running one: asking for it costs a system call, once per request."""
        self._receive = receive
        self._loop = loop
        self._task = asyncio.current_task(loop)
        self._listener: asyncio.Task[None] | None = None
        self._timer = loop.call_later(LISTEN_AFTER_S, self._begin)
        self.is_client_gone = False

    def stop(self) -> None:
        """Stop listening; to be called before the answer is sent."""
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def _begin(self) -> None:
        self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_client_gone = True
        assert self._task is not None
        self._task.cancel()
