"""From settings to a model that may answer, phase by phase. Blocks; run in a thread."""

from pathlib import Path
from typing import TYPE_CHECKING

from slipway_api.last_words import LoadPhase
from slipway_server import expectations
from slipway_server.backends import onnx
from slipway_server.backends.placement import Where
from slipway_server.core import readiness
from slipway_server.core.errors import LoadError
from slipway_server.core.readiness import Expectations
from slipway_server.core.registry import Model
from slipway_server.core.signature import Signature
from slipway_server.settings import Settings
from slipway_server.storage import digest, fetch, layout, locations
from slipway_server.storage.locations import Location
from slipway_server.storage.patience import Patience

if TYPE_CHECKING:
    from slipway_server.core.profile import Profile


def load(settings: Settings, patience: Patience) -> Model:
    """Bring up the model of the settings, or raise a LoadError that names it and the phase.

    The bytes are verified before anything parses them.
    """
    location = locations.parse(settings.model_uri)
    asked = expectations.read(settings.model_expectations)
    label = f"model '{settings.model_name}' {settings.model_version}"
    run = _Run(settings, patience)
    try:
        return run.through(location, asked)
    except LoadError as err:
        raise LoadError(
            # The cause first: status has room for a sentence, and a long uri would fill it.
            f"{err.message} ({label} from {locations.describe(location)})",
            is_permanent=err.is_permanent,
            phase=run.phase,
        ) from err
    except OSError as err:
        raise LoadError(
            f"{label} from {locations.describe(location)} cannot be read: {err}", phase=run.phase
        ) from err


class _Run:
    """One way through the phases; `phase` is the one that it is in."""

    def __init__(self, settings: Settings, patience: Patience) -> None:
        self.phase = LoadPhase.FETCH
        self._settings = settings
        self._patience = patience

    def through(self, location: Location, asked: Expectations) -> Model:
        """Go through all of them; raises LoadError and OSError."""
        settings = self._settings
        directory = settings.model_dir / "bytes"
        path = _kept(directory, settings.model_digest)
        if path is None:
            progress = self._patience.progress
            path = self._patience.run(lambda: fetch.fetch(location, directory, progress))
        self.phase = LoadPhase.VERIFY
        actual = digest.of(path)
        _verify(settings.model_digest, actual)
        self.phase = LoadPhase.LOAD
        file = layout.model_file(path)
        own = layout.expectations_file(path)
        if own is not None:
            asked = asked.and_also(expectations.read(own.read_bytes(), source=own.name))
        backend = onnx.load(file, thread_count=settings.threads, where=_where(settings, actual))
        described = settings.profile or layout.profile_file(path)
        reference = _profile(described, backend.signature) if described is not None else None
        self.phase = LoadPhase.SIGNATURE
        for declared in asked.signatures:
            readiness.check_signature(declared, backend.signature)
        self.phase = LoadPhase.WARM_UP
        readiness.warm_up(backend, asked.warm_ups)
        self.phase = LoadPhase.GOLDEN
        for golden in asked.golden:
            readiness.check_golden(backend, golden)
        name, version = settings.model_name, settings.model_version
        return Model(name, version, backend, actual, reference, digest.size_bytes(path))


def _profile(path: Path, signature: Signature) -> "Profile":
    from slipway_server.core import profile  # with pydantic, which is needed for nothing else here

    return profile.read(path, signature)


def _where(settings: Settings, model_digest: str) -> Where:
    """Engines are built for a model's bytes, so they are kept by their digest."""
    folder = settings.engine_cache or settings.model_dir / "engines"
    cache = folder / model_digest.replace(":", "-")
    return Where(settings.provider, not settings.provider_fallback, cache)


def _kept(directory: Path, expected: str) -> Path | None:
    """The model as an earlier container of this pod left it, if every byte is right."""
    if not expected or not directory.is_dir():
        return None
    children = list(directory.iterdir())
    candidates = [directory, *children] if len(children) == 1 else [directory]
    return next((path for path in candidates if digest.of(path) == expected), None)


def _verify(expected: str, actual: str) -> None:
    if expected and expected != actual:
        raise LoadError(
            f"digest mismatch: the bytes have {actual}, expected {expected}; correct"
            " spec.model.digest or the uri, or give new bytes a new version"
        )
