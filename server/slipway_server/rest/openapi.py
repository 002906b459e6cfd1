"""The served models as an OpenAPI document, and as a page that a browser shows without help.

Each path is written out with the model's own name, signature and a request that it answers.
"""

import html
from collections.abc import Sequence
from typing import Any, Final

from slipway_server import NAME, VERSION, example
from slipway_server.core.errors import ErrorKind
from slipway_server.core.registry import Model
from slipway_server.core.signature import DYNAMIC, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.rest import errors

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what was wrong, and what to do"}},
}
_READY: Final = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}, "name": {"type": "string"}},
}
_STATUSES: Final = {
    400: "the request violates the protocol or the signature",
    404: "no such model or version",
    413: "the body is too large",
    415: "the body's coding is not known",
    500: "the model failed",
    503: "not ready, or too busy; then with Retry-After",
}
# Nothing is loaded or unloaded on this port, and by default everybody may ask.
_ELSEWHERE: Final = frozenset(
    {
        ErrorKind.DISABLED,
        ErrorKind.BROKEN_MODEL,
        ErrorKind.UNAUTHENTICATED,
        ErrorKind.FORBIDDEN,
    }
)
assert set(_STATUSES) == {errors.STATUSES[kind] for kind in ErrorKind if kind not in _ELSEWHERE}


def document(models: Sequence[Model]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of what these models answer."""
    paths: dict[str, Any] = {
        "/v2/health/live": {"get": _get("whether the process works", {"type": "object"})},
        "/v2/health/ready": {"get": _get("whether the models may be asked", _READY, 503)},
        "/v2": {"get": _get("name, version and extensions of the server", {"type": "object"})},
    }
    for model in models:
        path = f"/v2/models/{model.name}"
        paths[path] = {"get": _get(f"what {model.name} takes and gives", {"type": "object"})}
        paths[f"{path}/ready"] = {"get": _get(f"whether {model.name} may be asked", _READY, 503)}
        paths[f"{path}/infer"] = {"post": _infer(model)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": ", ".join(dict.fromkeys(model.name for model in models)) or NAME,
            "version": VERSION,
            "description": "Open Inference Protocol V2.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def page(models: Sequence[Model], *, url: str) -> str:
    """The same for a person; `url` is where the server was asked."""
    parts = [_model_part(model, url) for model in models] or ["<p>No model is loaded yet.</p>"]
    return _PAGE.format(content="\n".join(parts), name=NAME, version=VERSION)


def _get(summary: str, schema: dict[str, Any], *refusals: int) -> dict[str, Any]:
    responses = {"200": _response("an answer", schema)} | _refusals(refusals)
    return {"summary": summary, "responses": responses}


def _infer(model: Model) -> dict[str, Any]:
    signature = model.backend.signature
    inputs = [_tensor(spec, is_input=True) for spec in signature.inputs]
    outputs = [_tensor(spec, is_input=False) for spec in signature.outputs]
    names = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {
                "type": "array",
                "minItems": len(inputs),
                "maxItems": len(inputs),
                "items": {"oneOf": inputs},
            },
            "outputs": {"type": ["array", "null"], "items": names},
        },
    }
    response = {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"oneOf": outputs}},
        },
    }
    media: dict[str, Any] = {"schema": request}
    if example.is_short(signature):
        media["example"] = example.body(signature)
    return {
        "summary": f"ask {model.name} {model.version}",
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {"200": _response("the outputs", response)} | _refusals(_STATUSES),
    }


def _tensor(spec: TensorSpec, *, is_input: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": {"const": spec.name},
        "datatype": {"const": str(spec.datatype)},
        "shape": _shape(spec.shape),
        "data": {"type": "array", "items": _element(spec.datatype, is_input=is_input)},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _shape(sizes: tuple[int, ...]) -> dict[str, Any]:
    fields = {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)}
    any_size = {"type": "integer", "minimum": 0}
    if set(sizes) <= {DYNAMIC}:  # some readers of documents know no `prefixItems`
        return {**fields, "items": any_size}
    return {**fields, "prefixItems": [any_size if n == DYNAMIC else {"const": n} for n in sizes]}


def _element(datatype: Datatype, *, is_input: bool) -> dict[str, Any]:
    """An element of `data`; nested lists are taken as well, flat ones are given."""
    kinds = {"BOOL": "boolean", "BYTES": "string"}
    kind = kinds.get(datatype) or ("number" if "F" in datatype else "integer")
    if is_input:
        return {"type": [kind, "array"]}
    return {"type": [kind, "null"] if kind == "number" else kind}  # NaN is null


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _refusals(statuses: Any) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {str(status): _response(_STATUSES[status], schema) for status in statuses}


def _model_part(model: Model, url: str) -> str:
    signature = model.backend.signature
    rows = [("input", spec) for spec in signature.inputs]
    rows += [("output", spec) for spec in signature.outputs]
    cells = "".join(
        f"<tr><td>{kind}</td><td><code>{html.escape(spec.name)}</code></td>"
        f"<td>{spec.datatype}</td><td>{list(spec.shape)}</td></tr>"
        for kind, spec in rows
    )
    command = example.curl(signature, url=url, model=model.name)
    tried = f"<pre>{html.escape(command)}</pre>" if command else ""
    return (
        f"<h2>{html.escape(model.name)} <small>{html.escape(model.version)}</small></h2>"
        f"<table><tr><th></th><th>name</th><th>datatype</th><th>shape</th></tr>{cells}</table>"
        f"<p><code>POST /v2/models/{html.escape(model.name)}/infer</code></p>{tried}"
    )


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem 1rem .2rem 0; text-align: left }}
pre {{ background: #f4f4f4; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere }}
small {{ color: #666; font-weight: normal }}
</style></head><body><h1>{name} <small>{version}</small></h1>
<p>Open Inference Protocol V2; the same for programs: <a href="/openapi.json">openapi.json</a>.
A size of -1 may be any.</p>
{content}
</body></html>
"""
