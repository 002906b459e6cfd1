"""Fields of a manifest, read with care: an error names the field, what it holds and what to write.

Absent and null are the same, as they are for the API server.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway_plugin import wording
from slipway_plugin.exits import PluginError

HOLD_HOURS_MAX: Final = 168


@dataclass(frozen=True, slots=True)
class Fields:
    """A part of a manifest, and the path at which it stands."""

    at: str
    values: Mapping[str, Any]

    def has(self, name: str) -> bool:
        """Whether something is written there."""
        return self.values.get(name) is not None

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """Read a whole number; without a default it must be there."""
        value = self.values.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(name, f"write a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """Read true or false; absent is false."""
        value = self.values.get(name, False)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, "write true or false")
        return bool(value)

    def time_s(self, name: str, *, default: str | None = "0s") -> float:
        """Read a duration of at most a week; without a default it must be there."""
        value = self.values.get(name)
        value = default if value is None else value
        time_s = wording.duration_s(value) if isinstance(value, str) else None
        if time_s is None:
            raise self.error(name, "write a duration like 2m or 1m30s")
        if time_s > HOLD_HOURS_MAX * 3600:
            raise self.error(name, f"write at most {HOLD_HOURS_MAX}h; people are asked by a pause")
        return time_s

    def text(self, name: str, *, pattern: str, instead: str) -> str:
        """Read text of at most 64 characters that has a form."""
        value = self.values.get(name)
        is_fit = isinstance(value, str) and len(value) <= 64 and re.fullmatch(pattern, value)
        if not isinstance(value, str) or not is_fit:
            raise self.error(name, instead)
        return value

    def part(self, name: str, *, known: tuple[str, ...]) -> "Fields":
        """Read a part that has fields of these names and no others; absent is empty."""
        value = self.values.get(name)
        return fields({} if value is None else value, at=f"{self.at}.{name}", known=known)

    def entries(
        self, name: str, *, known: tuple[str, ...], most: int, least: int = 1
    ) -> "tuple[Fields, ...]":
        """Read a list of parts."""
        value = self.values.get(name)
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise self.error(name, f"write a list of {least} to {most}")
        at = f"{self.at}.{name}"
        return tuple(fields(v, at=f"{at}[{index}]", known=known) for index, v in enumerate(value))

    def error(self, name: str, instead: str) -> PluginError:
        """Make the error about a field."""
        value = self.values.get(name)
        found = "missing" if value is None else repr(value)
        return PluginError(f"{self.at}.{name} is {wording.clip(found, 60)}: {instead}")


def fields(value: Any, *, at: str, known: tuple[str, ...]) -> Fields:
    """Look at a part that has fields of these names and no others."""
    if not isinstance(value, Mapping):
        names = ", ".join(known) or "nothing"
        raise PluginError(f"{at} is {wording.clip(repr(value), 60)}: write {{}} or fields {names}")
    for name in value:
        if name not in known:
            instead = f"write one of {', '.join(known)}" if known else "write {}"
            raise PluginError(f"{at}.{name} is no field: {instead}")
    return Fields(at, value)
