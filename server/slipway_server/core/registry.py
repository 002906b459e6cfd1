"""Which models are served: name, then version.

A server of this slice holds one model; the registry is where more would go.
"""

from dataclasses import dataclass, field

from slipway_server.backends.base import Backend
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.statistics import Statistics


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A loaded model that answers; each is itself, whatever another one holds.

    `version` is the user's own word for it, `digest` that of its bytes: `sha256:<hex>`.
    """

    name: str
    version: str
    backend: Backend
    digest: str = ""
    statistics: Statistics = field(default_factory=Statistics)


class Registry:
    """Models by name and version. Used from the event loop only."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Model]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been loaded yet."""
        return not self._models

    def add(self, model: Model) -> None:
        """Serve this model; the latest added version answers where none is asked for."""
        versions = self._models.setdefault(model.name, {})
        versions.pop(model.version, None)
        versions[model.version] = model

    def find(self, name: str, version: str | None) -> Model:
        """The model asked for, or NOT_READY (nothing loaded), or NOT_FOUND."""
        if self.is_empty:
            raise ServingError(ErrorKind.NOT_READY, "the model is still being loaded")
        versions = self._models.get(name)
        if versions is None:
            known = ", ".join(f"'{known}'" for known in self._models)
            raise ServingError(
                ErrorKind.NOT_FOUND, f"no model '{name}' here; this server has {known}"
            )
        if version is None:
            return next(reversed(versions.values()))
        model = versions.get(version)
        if model is None:
            known = ", ".join(f"'{known}'" for known in versions)
            raise ServingError(
                ErrorKind.NOT_FOUND, f"model '{name}' has no version '{version}'; it has {known}"
            )
        return model

    def all(self, name: str | None = None, version: str | None = None) -> tuple[Model, ...]:
        """Every model, every version of one, or one; NOT_FOUND for one that is not here."""
        if name is None:
            return tuple(model for known in self._models.values() for model in known.values())
        found = self.find(name, version)
        return (found,) if version is not None else tuple(self._models[name].values())

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a model that is known."""
        return tuple(self._models[name])
