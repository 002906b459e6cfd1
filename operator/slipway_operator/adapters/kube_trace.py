"""Counts requests to the API server where they leave and where their answers come in.

Knows verbs as the API's audit log spells them, and no kinds.
"""

from collections.abc import Callable, Container
from types import SimpleNamespace
from typing import Final

import aiohttp

Told = Callable[[str, int], None]  # verb, status code (0: no answer)

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def verb(method: str, query: Container[str]) -> str:
    """Name what a request does; collections are read in pages, so their requests have a limit.

    >>> verb("GET", {"limit": "500"}), verb("GET", {}), verb("PATCH", {})
    ('list', 'get', 'patch')
    """
    if method != "GET":
        return _VERBS[method]
    if "watch" in query:
        return "watch"
    return "list" if "limit" in query else "get"


def tracing(told: Told) -> aiohttp.TraceConfig:
    """Make what a client session calls for each request."""
    config = aiohttp.TraceConfig()

    async def ended(
        _session: aiohttp.ClientSession, _: SimpleNamespace, seen: aiohttp.TraceRequestEndParams
    ) -> None:
        told(verb(seen.method, seen.url.query), seen.response.status)

    async def failed(
        _session: aiohttp.ClientSession,
        _: SimpleNamespace,
        seen: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        told(verb(seen.method, seen.url.query), 0)

    config.on_request_end.append(ended)
    config.on_request_exception.append(failed)
    return config
