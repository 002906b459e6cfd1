"""The operator's HTTP port: probes, metrics, scrape targets, and what others may call.

Plain HTTP, inside the cluster. Knows no route and decides nothing: each part brings its own
(`aiohttp.web.get("/metrics", …)`) and the composition root hands them over together.
"""

from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

BODY_BYTES_MAX: Final = 1024 * 1024
STOP_TIMEOUT_S: Final = 2.0  # for answers under way; probes and scrapes come again


class HttpServer:
    """Serves routes on one address and port; belongs to one event loop."""

    def __init__(
        self, routes: Iterable[web.RouteDef], *, port: int, address: str = "0.0.0.0"
    ) -> None:
        """`port` 0 takes a free one."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(list(routes))
        app.on_response_prepare.append(_part_after_refusal)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        self._address, self._port = address, port

    async def start(self) -> int:
        """Listen; gives the port. Raises OSError if it is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port).start()
        host_and_port: tuple[str, int] = self._runner.addresses[0]
        return host_and_port[1]

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()


async def _part_after_refusal(_: web.Request, response: web.StreamResponse) -> None:
    """End the connection after a 503: the next one, to the Service, may meet another operator."""
    if response.status == 503:
        response.force_close()
        response.headers["Connection"] = "close"  # aiohttp has written its own headers by now


def probe(path: str, trouble: Callable[[], str | None]) -> web.RouteDef:
    """Make the route of a probe: 200, or 503 with what is wrong; `trouble` takes no time."""

    async def answer(_: web.Request) -> web.Response:
        said = trouble()
        return web.Response(text="ok") if said is None else web.Response(status=503, text=said)

    return web.get(path, answer)
