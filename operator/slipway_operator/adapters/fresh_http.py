"""Questions to pods over HTTP, each on a connection of its own: what a kept one says may be old."""

import aiohttp


class FreshHttp:
    """Asks pods by their address. Nothing is opened before the first question."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def get(
        self, address: str, port: int, path: str
    ) -> "aiohttp.client._RequestContextManager":  # which has no public name
        """Ask for a path; aiohttp's errors and TimeoutError come out of the `async with`."""
        host = f"[{address}]" if ":" in address else address
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session.get(f"http://{host}:{port}{path}")

    async def close(self) -> None:
        """Close the session; no connection is kept open anyway."""
        if self._session is not None:
            await self._session.close()
