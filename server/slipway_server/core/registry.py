"""Which models are served: name, then version; and how those stand that are not.

The latest of a name's versions answers where none is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from slipway_server.backends.base import Backend
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.statistics import Statistics

if TYPE_CHECKING:
    from slipway_server.core.profile import Profile


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A loaded model that answers; each is itself, whatever another one holds.

    `version` is the user's own word for it, `digest` that of its bytes: `sha256:<hex>`.
    `profile`, if there is one, fits the backend's signature. `size_bytes` is that of its files.
    """

    name: str
    version: str
    backend: Backend
    digest: str = ""
    profile: "Profile | None" = None
    size_bytes: int = 0
    statistics: Statistics = field(default_factory=Statistics)


class State(StrEnum):
    """How a model stands, in the words of Triton's repository index."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Standing:
    """A line of the index; `version` is empty where none was ever loaded.

    `is_wanted`: somebody asked for it and nobody asked to unload it since.
    """

    name: str
    version: str
    state: State
    reason: str = ""
    is_wanted: bool = True


class Registry:
    """Models by name and version. Used from the event loop only."""

    def __init__(self, *, is_strict: bool = True) -> None:
        """`is_strict`: a model that was asked for at the start and is not served counts."""
        self._is_strict = is_strict
        self._models: dict[str, dict[str, Model]] = {}
        self._absent: dict[str, Standing] = {}
        self._is_settled = False

    @property
    def is_ready(self) -> bool:
        """Whether the start is over, and if need be with all that was asked for."""
        absent = (each for each in self._absent.values() if each.name not in self._models)
        return self._is_settled and not (self._is_strict and any(e.is_wanted for e in absent))

    def settle(self) -> None:
        """The start is over: what is not here by now is not about to come."""
        self._is_settled = True

    def publish(self, models: Sequence[Model]) -> tuple[Model, ...]:
        """Serve all versions of a model, the latest last, and return those that they replace.

        From one request to the next: there is no moment without the name.
        """
        assert len({model.name for model in models}) == 1
        name = models[0].name
        replaced = self._models.get(name, {})
        self._models[name] = {model.version: model for model in models}
        self._absent.pop(name, None)
        return tuple(model for model in replaced.values() if model not in models)

    def withdraw(self, name: str) -> tuple[Model, ...]:
        """Serve nothing of this name any more, and return what was."""
        return tuple(self._models.pop(name, {}).values())

    def note(self, standing: Standing) -> None:
        """Remember how a model stands that is not served."""
        self._absent[standing.name] = standing

    def standing(self, name: str) -> Standing | None:
        """What was noted of a model that is not served."""
        return None if name in self._models else self._absent.get(name)

    def knows(self, name: str) -> bool:
        """Whether there is anything to say of this name."""
        return name in self._models or name in self._absent

    def forget(self, name: str) -> None:
        """A model that is not served is not there at all any more."""
        self._absent.pop(name, None)

    def index(self) -> tuple[Standing, ...]:
        """Every version that is served, and every model that is not, by name."""
        ready = [Standing(model.name, model.version, State.READY) for model in self.all()]
        absent = [each for each in self._absent.values() if each.name not in self._models]
        return tuple(sorted((*ready, *absent), key=lambda each: each.name))

    def get(self, name: str, version: str | None) -> Model | None:
        """The model that would answer; None for one that is not served."""
        versions = self._models.get(name)
        if not versions:
            return None
        return next(reversed(versions.values())) if version is None else versions.get(version)

    def find(self, name: str, version: str | None) -> Model:
        """The model asked for, or NOT_FOUND, or NOT_READY: it may yet come."""
        model = self.get(name, version)
        if model is not None:
            return model
        raise self._refusal(name, version)

    def _refusal(self, name: str, version: str | None) -> ServingError:
        if name in self._models:
            known = ", ".join(f"'{known}'" for known in self._models[name])
            return ServingError(
                ErrorKind.NOT_FOUND, f"model '{name}' has no version '{version}'; it has {known}"
            )
        standing = self._absent.get(name)
        if standing is not None and standing.state is not State.LOADING:
            kind = ErrorKind.NOT_READY if standing.is_wanted else ErrorKind.NOT_FOUND
            return ServingError(kind, f"model '{name}' is not loaded; the index says why")
        if standing is not None or not self._is_settled:
            return ServingError(ErrorKind.NOT_READY, "the model is still being loaded")
        known = ", ".join(f"'{known}'" for known in self._models) or "none"
        return ServingError(ErrorKind.NOT_FOUND, f"no model '{name}' here; this server has {known}")

    def all(self, name: str | None = None, version: str | None = None) -> tuple[Model, ...]:
        """Every model, every version of one, or one; NOT_FOUND for one that is not here."""
        if name is None:
            return tuple(model for known in self._models.values() for model in known.values())
        found = self.find(name, version)
        return (found,) if version is not None else tuple(self._models[name].values())

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a model that is known."""
        return tuple(self._models[name])
