"""Triton's model repository extension over REST: the index, and load and unload where allowed.

Nothing of a request but a model's name says what is loaded: no file, no configuration, no address.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response

from slipway_server.control import Control, refuse_parameters
from slipway_server.core.configuration import entry
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, ServingError

BODY_BYTES_MAX: Final = 16 * 1024
Answer = Callable[[Any], Response]


def add_routes(
    app: FastAPI, dataplane: Dataplane, control: Control | None, *, answer: Answer
) -> None:
    """`answer` makes an answer of JSON; `control` is there on the admin port only."""

    @app.post("/v2/repository/index")
    async def index(request: Request) -> Response:
        is_ready = (await _fields(request)).get("ready", False) is True
        if control is None:
            found = dataplane.index(is_ready=is_ready)
        else:
            found = await control.index(is_ready=is_ready)
        return answer([entry(standing) for standing in found])

    @app.post("/v2/repository/models/{name}/load")
    async def load(name: str, request: Request) -> Response:
        allowed = Control.allowed(control)
        refuse_parameters(await _parameters(request))
        await allowed.load(name)
        return answer({})

    @app.post("/v2/repository/models/{name}/unload")
    async def unload(name: str, request: Request) -> Response:
        allowed = Control.allowed(control)
        refuse_parameters(await _parameters(request))
        await allowed.unload(name)
        return answer({})


async def _parameters(request: Request) -> list[str]:
    found = (await _fields(request)).get("parameters", {})
    if not isinstance(found, dict):
        raise ServingError(ErrorKind.INVALID_INPUT, "'parameters' must be an object")
    return list(found)


async def _fields(request: Request) -> dict[str, Any]:
    """The body as an object; none at all is an empty one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ServingError(
                ErrorKind.TOO_LARGE, f"the request body exceeds {BODY_BYTES_MAX} bytes"
            )
    try:
        fields = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as err:
        raise ServingError(ErrorKind.INVALID_INPUT, f"the body is not JSON: {err}") from err
    if not isinstance(fields, dict):
        raise ServingError(ErrorKind.INVALID_INPUT, "the body must be a JSON object")
    return fields
