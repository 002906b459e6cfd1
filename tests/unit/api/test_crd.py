"""The generated definitions: fresh, described, bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from slipway_api import __main__ as generator
from slipway_api.crd import KINDS, Kind, definition
from slipway_api.structural import Schema

STATUS_BYTES_MAX: Final = 32 * 1024

each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])


def root_of(kind: Kind) -> Schema:
    schema: Schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Walk over a schema and everything below it."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def test_the_files_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert (generator.main(["--check"]), capsys.readouterr().err) == (0, "")


def test_a_stale_file_is_noticed_and_written_anew(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)]

    modes = ("--check", "--write", "--check")
    assert [generator.main([mode, *folder]) for mode in modes] == [1, 0, 0]


@each_kind
def test_every_field_says_what_it_is_for(kind: Kind) -> None:
    fields = [(path, node) for path, node in nodes(root_of(kind)) if not path.endswith("[]")]

    assert [path for path, node in fields if not node.get("description")] == [".metadata"]


@each_kind
def test_every_string_list_and_map_has_a_bound(kind: Kind) -> None:
    own = (".apiVersion", ".kind")
    unbounded = [
        path for path, node in nodes(root_of(kind)) if path not in own and not is_bounded(node)
    ]

    assert unbounded == []


def is_bounded(node: Schema) -> bool:
    match node.get("type"):
        case "string":
            return "maxLength" in node or "enum" in node
        case "array":
            return "maxItems" in node
        case "object":
            return "additionalProperties" not in node or "maxProperties" in node
        case "integer" | "number":
            return "maximum" in node or node.get("minimum") == -1
        case None:
            # int or string, or a tensor's values, which `ModelSource` bounds as a whole
            return "maxLength" in node or bool(node.get("x-kubernetes-preserve-unknown-fields"))
        case _:
            return True


def test_the_largest_possible_status_is_bounded() -> None:
    status = root_of(KINDS[0])["properties"]["status"]

    assert size_max(status) <= STATUS_BYTES_MAX


def size_max(node: Schema) -> int:
    """Compute the longest JSON text of a schema, in characters."""
    match node["type"]:
        case "string":
            longest = max((len(word) for word in node.get("enum", ())), default=0)
            return 2 + (longest or int(node["maxLength"]))
        case "array":
            return 2 + int(node["maxItems"]) * (size_max(node["items"]) + 1)
        case "object":
            members = node["properties"].items()
            return 2 + sum(len(name) + 4 + size_max(child) for name, child in members)
        case "boolean":
            return len("false")
        case "integer":
            return len(str(node.get("maximum", 2**63)))
        case _:
            return len(repr(-2.2250738585072014e-308))


def test_status_has_one_default_as_a_whole_and_none_inside() -> None:
    status = root_of(KINDS[0])["properties"]["status"]

    inside = [path for path, node in nodes(status) if path and "default" in node]

    assert status["default"] == {"observedGeneration": -1}
    assert inside == []


def test_names_of_the_kinds() -> None:
    def facts(kind: Kind) -> tuple[Any, ...]:
        spec = definition(kind)["spec"]
        names = spec["names"]
        return spec["scope"], names["plural"], names["singular"], *names["shortNames"]

    assert [facts(kind) for kind in KINDS] == [
        ("Namespaced", "modeldeployments", "modeldeployment", "md"),
        ("Cluster", "computepools", "computepool", "pool"),
    ]
