"""Rules between fields: written once, checked twice.

A rule is a method of a contract model that says whether the value makes sense, decorated with the
same sentence in CEL and with a message that says what to write instead. The API server evaluates
the CEL; the operator evaluates the method, because it meets objects that are older than a rule.
Tests hold both against the same samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError

_ATTRIBUTE: Final = "__contract_rule__"

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one model.

    `cel` sees the model as `self`. `field` is the wire name of the field that the error points at,
    empty for the model as a whole. `name` is the method that says the same in Python.
    """

    name: str
    cel: str
    message: str
    field: str


def rule(
    cel: str, *, message: str, field: str = ""
) -> Callable[[Callable[[Model], bool]], Callable[[Model], bool]]:
    """Declare a method as a rule; it returns True where the value makes sense."""

    def mark(method: Callable[[Model], bool]) -> Callable[[Model], bool]:
        setattr(method, _ATTRIBUTE, Rule(method.__name__, cel, message, field))
        return method

    return mark


def rules_of(model: type) -> tuple[Rule, ...]:
    """List the rules that `model` declares, in the order of its source."""
    marks = (getattr(member, _ATTRIBUTE, None) for member in vars(model).values())
    return tuple(mark for mark in marks if isinstance(mark, Rule))


def describe(error: ValidationError, *, at: str = "") -> str:
    """Say in one line what is wrong with a value found at the path `at`, e.g. `spec`.

    Of a list whose items are wrong, pydantic says besides that it is too short; that is left out.
    """
    complaints = error.errors(include_url=False, include_input=False)
    places = [complaint["loc"] for complaint in complaints]
    return "; ".join(
        f"{_path(at, complaint['loc'], complaint.get('ctx', {}).get('field', ''))}:"
        f" {complaint['msg']}"
        for complaint in complaints
        if complaint["type"] != "too_short" or not _is_above(complaint["loc"], places)
    )


def _is_above(place: tuple[int | str, ...], others: list[tuple[int | str, ...]]) -> bool:
    """Tell whether one of the others lies inside of this place."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in others)


def _path(root: str, location: tuple[int | str, ...], field: str) -> str:
    text = root
    for part in (*location, *([field] if field else [])):
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the object"
