"""Base of all contract models, and the value types that several kinds share."""

import re
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticCustomError

from slipway_api.rules import Rule, rules_of


def _add_rules(schema: JsonDict, model: type["ContractModel"]) -> None:
    """Carry the rules of a model into its JSON schema, as Kubernetes spells them."""
    validations: list[JsonValue] = []
    for rule in model.contract_rules:
        validation: JsonDict = {"rule": rule.cel, "message": rule.message}
        validations.append(validation | ({"fieldPath": f".{rule.field}"} if rule.field else {}))
    if validations:
        schema["x-kubernetes-validations"] = validations


class ContractModel(BaseModel):
    """Frozen, camelCase on the wire, and tolerant: an older operator must survive a newer object.

    Strictness is the API server's job (the structural schema prunes and `kubectl` warns).
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        json_schema_extra=_add_rules,
    )

    contract_rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        cls.contract_rules = rules_of(cls)

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.contract_rules:
            if not getattr(self, rule.name)():
                context = {"message": rule.message, "field": rule.field}
                raise PydanticCustomError("contract_rule", "{message}", context)
        return self

    def to_wire(self) -> dict[str, object]:
        """Give plain JSON values in camelCase, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
PERCENT_PATTERN: Final = r"^[0-9]{1,3}(\.[0-9]{1,3})?%$"
# The grammar of resource.Quantity without a sign: negative amounts make no sense here.
QUANTITY_PATTERN: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
LABEL_KEY_PATTERN: Final = (
    r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$"
DNS_LABEL_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32)]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN, max_length=8)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN, max_length=63)]
ObjectName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
]

_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """Convert a Go-style duration to seconds.

    >>> duration_s("1m30s"), duration_s("250ms")
    (90.0, 0.25)
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def percent_share(text: str) -> float:
    """Convert a percent string to a share of one.

    >>> percent_share("0.5%"), percent_share("20%")
    (0.005, 0.2)
    """
    return float(text.removesuffix("%")) / 100


def cel_text(text: str) -> str:
    """Quote text as a CEL string literal.

    >>> print(cel_text("it's"))
    'it\\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
