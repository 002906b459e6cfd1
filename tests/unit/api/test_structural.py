"""From JSON schema to structural schema: one test for each refusal of the API server."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from slipway_api.base import ContractModel
from slipway_api.structural import Schema, UnsupportedSchemaError, structural


class Inner(ContractModel):
    """An inner object."""

    size: Annotated[int, Field(description="How large.")] = 3
    note: str | None = None
    tags: tuple[str, ...] = ()


class Outer(ContractModel):
    inner: Annotated[Inner, Field(description="What is inside.")] = Inner(size=3)
    other: Inner = Inner(size=4)
    kind: Literal["only"] = "only"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    amount: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern="^a+$")] = 1
    maybe: Inner | None = None
    amounts: dict[str, int | str] = Field(default_factory=dict)


def schema_of(model: type[ContractModel], *, with_defaults: bool = True) -> Schema:
    return structural(model.model_json_schema(), with_defaults=with_defaults)


def test_references_are_written_out_and_keep_their_own_description() -> None:
    inner = schema_of(Outer)["properties"]["inner"]

    assert inner["description"] == "What is inside."
    assert inner["properties"]["size"]["type"] == "integer"
    assert "$ref" not in str(schema_of(Outer))


def test_optional_fields_are_plain_fields_that_may_be_absent() -> None:
    schema = schema_of(Outer)

    assert schema["properties"]["inner"]["properties"]["note"] == {"type": "string"}
    assert schema["properties"]["maybe"]["type"] == "object"
    assert "default" not in schema["properties"]["maybe"]


def test_int_or_string_is_spelled_with_the_extension_and_keeps_its_limits() -> None:
    assert schema_of(Outer)["properties"]["amount"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "minimum": 0,
        "pattern": "^a+$",
        "default": 1,
    }


def test_a_constant_is_an_enumeration_of_one() -> None:
    assert schema_of(Outer)["properties"]["kind"]["enum"] == ["only"]


def test_exclusive_bounds_are_spelled_as_in_openapi() -> None:
    share = schema_of(Outer)["properties"]["share"]

    assert share["minimum"] == 0
    assert share["exclusiveMinimum"] is True
    assert share["maximum"] == 1
    assert share["exclusiveMaximum"] is True


def test_closed_objects_are_open_because_pruning_closes_them() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}

    assert structural(closed) == {"type": "object", "properties": {}}


def test_titles_go_but_a_field_called_title_stays() -> None:
    titled = {"title": "X", "properties": {"title": {"title": "Title", "type": "string"}}}

    assert structural(titled) == {"properties": {"title": {"type": "string"}}}


def test_defaults_say_only_what_the_members_do_not_say_themselves() -> None:
    properties = schema_of(Outer)["properties"]

    assert properties["inner"]["default"] == {}
    assert properties["other"]["default"] == {"size": 4}
    assert "default" not in properties["inner"]["properties"]["tags"]


def test_a_schema_without_defaults_has_none_anywhere() -> None:
    assert "'default'" not in str(schema_of(Outer, with_defaults=False))


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"type": "string"}, {"type": "array"}]},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
    ],
    ids=["oneOf", "anyOf", "uniqueItems", "patternProperties"],
)
def test_what_cannot_be_expressed_fails_when_it_is_generated(schema: Schema) -> None:
    with pytest.raises(UnsupportedSchemaError):
        structural({"properties": {"field": schema}})


def test_the_argument_is_left_as_it_is() -> None:
    raw = Outer.model_json_schema()

    structural(raw)

    assert raw == Outer.model_json_schema()
