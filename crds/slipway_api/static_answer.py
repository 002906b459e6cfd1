"""StaticAnswer: what clients get instead of an error when no revision can be reached."""

import json
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from slipway_api.base import ContractModel
from slipway_api.rules import rule

BODY_BYTES_MAX: Final = 4096
_BODYLESS: Final = (204, 205, 304)


class StaticAnswer(ContractModel):
    """A fixed answer, marked with the header x-slipway-static."""

    body: Annotated[
        str,
        Field(
            min_length=2,
            max_length=BODY_BYTES_MAX,
            pattern=r"^\s*\{[\s\S]*\}\s*$",
            description="Text of a JSON object, at most 4096 bytes, that REST clients get. gRPC"
            " clients get UNAVAILABLE, as without it.",
        ),
    ]
    status: Annotated[int, Field(ge=200, le=599, description="HTTP status of the answer.")] = 200

    @rule(
        f"!has(self.status) || !(self.status in {list(_BODYLESS)})",
        message="status must be one whose answers have a body, e.g. 200 or 503",
        field="status",
    )
    def has_body(self) -> bool:
        return self.status not in _BODYLESS

    @model_validator(mode="after")
    def _body_is_an_object(self) -> Self:
        """Only the operator can check this: the API server's rules cannot read JSON."""
        if len(self.body.encode()) > BODY_BYTES_MAX:
            raise ValueError(f"body must have at most {BODY_BYTES_MAX} bytes")
        try:
            found = json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            message = f'body must be the text of a JSON object, e.g. {{"outputs": []}}: {error}'
            raise ValueError(message) from error
        assert isinstance(found, dict)  # it begins with a brace
        return self


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")
