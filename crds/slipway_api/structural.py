"""From JSON schema as pydantic writes it to the structural schema that Kubernetes wants.

Pure. Each transformation answers one refusal of the API server; what has no answer here raises, so
that a model which cannot be expressed fails when the files are generated and not in a cluster.
Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/ ("Specifying a
structural schema").
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_UNSUPPORTED: Final = ("oneOf", "allOf", "not", "patternProperties", "uniqueItems", "prefixItems")
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [])


class UnsupportedSchemaError(ValueError):
    """A model uses a construct that no structural schema can express."""


def structural(schema: Mapping[str, Any], *, with_defaults: bool = True) -> Schema:
    """Convert the result of `model_json_schema`; the argument is left as it is."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    root = {key: value for key, value in schema.items() if key != "$defs"}
    return _convert(root, definitions, with_defaults)


def _convert(
    node: Mapping[str, Any], definitions: Mapping[str, Any], with_defaults: bool
) -> Schema:
    node = _without_null(_inlined(node, definitions))
    node = _int_or_string(_inlined(node, definitions))
    if wrong := [key for key in (*_UNSUPPORTED, "$ref") if key in node]:
        raise UnsupportedSchemaError(f"no structural schema can express {wrong[0]}: {node}")
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        raise UnsupportedSchemaError(f"write one type, or int | str, instead of a union: {node}")

    default = _lean_default(node, definitions)
    result = _without_default(_kubernetes_keywords(node))
    if "properties" in result:
        result["properties"] = {
            name: _convert(child, definitions, with_defaults)
            for name, child in result["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if key in result:
            result[key] = _convert(result[key], definitions, with_defaults)
    if with_defaults and default is not None:
        result["default"] = default
    return result


def _inlined(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """`$ref` is not supported; what stands beside it (description, default) wins."""
    if "$ref" not in node:
        return dict(node)
    target = definitions[node["$ref"].rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _without_null(node: Schema) -> Schema:
    """`anyOf: [T, null]` becomes T: absence is how Kubernetes says null."""
    options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == len(node.get("anyOf", ())):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**options[0], **rest} if len(options) == 1 else {**rest, "anyOf": options}


def _int_or_string(node: Schema) -> Schema:
    """`int | str` is spelled with an extension; limits of both sides move to the node itself."""
    options = node.get("anyOf", ())
    if [option.get("type") for option in options] != ["integer", "string"]:
        return node
    limits = {key: value for option in options for key, value in option.items() if key != "type"}
    types = [{"type": "integer"}, {"type": "string"}]
    return {**node, **limits, "anyOf": types, "x-kubernetes-int-or-string": True}


def _kubernetes_keywords(node: Schema) -> Schema:
    """Spell keywords in the dialect of OpenAPI 3.0 that the API server reads."""
    result: Schema = {}
    for key, value in node.items():
        match key:
            case "title":
                continue
            case "const":
                result["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":
                result[key.removeprefix("exclusive").lower()] = value
                result[key] = True
            case "additionalProperties" if value is False:
                continue
            case _:
                result[key] = value
    return result


def _without_default(node: Schema) -> Schema:
    return {key: value for key, value in node.items() if key != "default"}


def _lean_default(node: Schema, definitions: Mapping[str, Any]) -> Any:
    """Reduce a default to what the defaults of its members do not say already.

    `compute: {}` is enough where each member of compute has its own default; empty lists and maps
    mean the same as their absence and stay out of stored objects.
    """
    default = node.get("default")
    if default in _EMPTY:
        return None
    return _lean(default, node, definitions)


def _lean(value: Any, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    node = _without_null(_inlined(node, definitions))
    node = _inlined(node, definitions)
    if isinstance(value, list):
        return [_lean(item, node.get("items", {}), definitions) for item in value]
    if not isinstance(value, dict):
        return value
    members = node.get("properties", {})
    return {
        name: _lean(item, members.get(name, {}), definitions)
        for name, item in value.items()
        if item not in _EMPTY and item != _default_of(members.get(name, {}), definitions)
    }


def _default_of(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    return _inlined(node, definitions).get("default")
