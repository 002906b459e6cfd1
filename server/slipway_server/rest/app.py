"""Everything but inference and probes over REST: metadata, metrics. FastAPI translates."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from slipway_api import names
from slipway_server import EXTENSIONS, NAME, VERSION
from slipway_server.control import Control
from slipway_server.core.configuration import configuration, statistics
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.signature import TensorSpec
from slipway_server.rest import errors, openapi, readiness, repository


def build(
    dataplane: Dataplane, registry: CollectorRegistry, control: Control | None = None
) -> FastAPI:
    """Make the application. Its errors are error objects, never FastAPI's `detail`.

    With `control` models may be loaded and unloaded.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _add_server_routes(app, dataplane, registry)
    _add_triton_routes(app, dataplane)
    repository.add_routes(app, dataplane, control, answer=_json)
    _add_model_routes(app, dataplane)
    _add_older_routes(app, dataplane)
    _add_error_handlers(app)
    return app


def _add_server_routes(app: FastAPI, dataplane: Dataplane, registry: CollectorRegistry) -> None:
    @app.get("/v2")
    async def server_metadata() -> Response:
        return _json({"name": NAME, "version": VERSION, "extensions": EXTENSIONS})

    @app.get("/openapi.json")
    async def document() -> Response:
        return _json(openapi.document(dataplane.models()))

    @app.get("/docs")
    async def page(request: Request) -> Response:
        text = openapi.page(dataplane.models(), url=str(request.base_url).rstrip("/"))
        return Response(text, media_type="text/html")

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_model_routes(app: FastAPI, dataplane: Dataplane) -> None:
    @app.get("/v2/models/{name}/ready")
    @app.get("/v2/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str | None = None) -> Response:
        status, body = readiness.answer(dataplane.is_model_ready(name, version), name=name)
        return Response(body, status, media_type="application/json")

    @app.get("/v2/models/{name}")
    @app.get("/v2/models/{name}/versions/{version}")
    async def model_metadata(name: str, version: str | None = None) -> Response:
        metadata = dataplane.model_metadata(name, version)
        return _json(
            {
                "name": metadata.name,
                "versions": metadata.versions,
                "platform": metadata.platform,
                "inputs": [_spec(spec) for spec in metadata.signature.inputs],
                "outputs": [_spec(spec) for spec in metadata.signature.outputs],
            },
            headers={names.HEADER_DIGEST: metadata.digest},
        )


def _add_triton_routes(app: FastAPI, dataplane: Dataplane) -> None:
    """What Triton's clients and perf_analyzer ask for beyond the protocol."""

    # Before a model's own routes are looked at: no model can be asked for that is called `stats`.
    @app.get("/v2/models/stats")
    @app.get("/v2/models/{name}/stats")
    @app.get("/v2/models/{name}/versions/{version}/stats")
    async def stats(name: str | None = None, version: str | None = None) -> Response:
        found = [statistics(model) for model in dataplane.models(name, version)]
        return _json({"model_stats": found})

    @app.get("/v2/models/{name}/config")
    @app.get("/v2/models/{name}/versions/{version}/config")
    async def config(name: str, version: str | None = None) -> Response:
        return _json(configuration(dataplane.model(name, version)))


def _add_older_routes(app: FastAPI, dataplane: Dataplane) -> None:
    """Of the first protocol, as KServe and TensorFlow Serving answer them; `:predict` is beside."""

    @app.get("/v1/models")
    async def models() -> Response:
        return _json({"models": list(dict.fromkeys(each.name for each in dataplane.models()))})

    @app.get("/v1/models/{name}")
    @app.get("/v1/models/{name}/versions/{version}")
    async def status(name: str, version: str | None = None) -> Response:
        ok = {"error_code": "OK", "error_message": ""}
        found = dataplane.models(name, version)
        states = [{"version": m.version, "state": "AVAILABLE", "status": ok} for m in found]
        is_ready = dataplane.is_model_ready(name, version)
        fields = {"name": name, "ready": is_ready, "model_version_status": states}
        return _json(fields, 200 if is_ready else 503)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServingError)
    async def serving_error(_: Request, err: ServingError) -> Response:
        headers = {"allow": ""} if err.kind is ErrorKind.DISABLED else None
        return _error(errors.STATUSES[err.kind], err.message, headers)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, err: HTTPException) -> Response:
        message = f"{err.detail}: {request.method} {request.scope['path']}"
        return _error(err.status_code, message, err.headers)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, err: RequestValidationError) -> Response:
        return _error(400, f"malformed request: {err.errors()[0]['msg']}")

    @app.exception_handler(Exception)
    async def any_error(_: Request, __: Exception) -> Response:
        return _error(500, "internal error, see the server's log")


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _json(
    fields: Mapping[str, Any] | list[Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(
        orjson.dumps(fields), status, headers=dict(headers or {}), media_type="application/json"
    )


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        errors.body(message), status, headers=dict(headers or {}), media_type="application/json"
    )
