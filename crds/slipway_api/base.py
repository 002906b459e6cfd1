"""Base of all contract models, and the value types that several kinds share."""

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ContractModel(BaseModel):
    """Frozen, camelCase on the wire, and tolerant: an older operator must survive a newer object.

    Strictness is the API server's job (the structural schema prunes and `kubectl` warns).
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
PERCENT_PATTERN: Final = r"^[0-9]{1,3}(\.[0-9]{1,3})?%$"

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32)]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN, max_length=8)]

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
