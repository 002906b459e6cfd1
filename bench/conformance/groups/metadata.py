"""What server and models say of themselves."""

from collections.abc import Mapping
from typing import Any, Final

from bench.conformance import expect
from bench.conformance.cases import Group
from bench.conformance.expect import ViolationError
from bench.conformance.models import SIGNATURES, Kind
from bench.conformance.subject import UNKNOWN_MODEL, UNKNOWN_VERSION, Subject

_SERVER: Final = Group("metadata", section="OIP inference_rest.md, Server Metadata")
_MODEL: Final = Group("metadata", section="OIP inference_rest.md, Model Metadata")


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


@_SERVER.case("the server tells name, version and extensions")
async def server(subject: Subject) -> None:
    found = expect.fields(await subject.get("/v2"))
    for name in ("name", "version"):
        expect.true(isinstance(found.get(name), str), what=f"a string '{name}'", got=found)
    expect.true(_is_strings(found.get("extensions")), what="a list of 'extensions'", got=found)


@_MODEL.case("the server has at least one of the models")
async def some_model(subject: Subject) -> None:
    """Without one nearly nothing is tried, which is no reason to be content."""
    if not subject.models:
        raise ViolationError(f"expected a model, got none: {'; '.join(subject.absent.values())}")


def _described(found: Mapping[str, Any], kind: Kind, *, name: str) -> None:
    expect.equal(found.get("name"), name, what="'name'")
    expect.true(isinstance(found.get("platform"), str), what="a string 'platform'", got=found)
    versions = found.get("versions", [])  # optional
    expect.true(_is_strings(versions), what="'versions' of strings", got=versions)
    signature = SIGNATURES[kind]
    for field, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        entries = found.get(field)
        expect.true(isinstance(entries, list), what=f"a list of '{field}'", got=entries)
        for spec in specs:
            named = [each for each in entries or () if each.get("name") == spec.name]
            shown = [
                {key: each.get(key) for key in ("name", "datatype", "shape")} for each in named
            ]
            expect.equal(shown, [spec.metadata], what=f"{spec.name} in '{field}'")
        expect.equal(len(entries or ()), len(specs), what=f"number of '{field}'")


@_MODEL.each(Kind, name=lambda kind: f"the model {kind} is described as it is")
async def model(subject: Subject, kind: Kind) -> None:
    found = subject.model(kind)
    _described(expect.fields(await subject.get(found.path)), kind, name=found.name)


@_MODEL.each(Kind, name=lambda kind: f"a version of the model {kind} is described as it is")
async def version(subject: Subject, kind: Kind) -> None:
    found = subject.model(kind)
    answer = await subject.get(found.version_path())
    _described(expect.fields(answer), kind, name=found.name)


@_MODEL.case("an unknown model is told by an error")
async def unknown_model(subject: Subject) -> None:
    expect.refused(await subject.get(f"/v2/models/{UNKNOWN_MODEL}"))


@_MODEL.case("an unknown version is told by an error")
async def unknown_version(subject: Subject) -> None:
    path = f"{subject.any_model().path}/versions/{UNKNOWN_VERSION}"
    expect.refused(await subject.get(path))
