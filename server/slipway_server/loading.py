"""From settings to a model that answers: fetch, verify, load, warm up. Blocks; run in a thread."""

from pathlib import Path

from slipway_server.backends import onnx
from slipway_server.core import profile
from slipway_server.core.errors import LoadError
from slipway_server.core.registry import Model
from slipway_server.settings import Settings
from slipway_server.storage import digest, fetch, layout, locations
from slipway_server.storage.patience import Patience


def load(settings: Settings, patience: Patience) -> Model:
    """Bring up the model of the settings, or raise a LoadError that names it.

    The bytes are verified before anything parses them.
    """
    location = locations.parse(settings.model_uri)
    label = f"model '{settings.model_name}' {settings.model_version}"
    try:
        directory = settings.model_dir / "bytes"
        path = _kept(directory, settings.model_digest)
        if path is None:
            path = patience.run(lambda: fetch.fetch(location, directory))
        actual = digest.of(path)
        _verify(settings.model_digest, actual)
        backend = onnx.load(layout.model_file(path), thread_count=settings.threads)
        file = settings.profile or layout.profile_file(path)
        reference = profile.read(file, backend.signature) if file is not None else None
    except LoadError as err:
        raise LoadError(
            # The cause first: status has room for a sentence, and a long uri would fill it.
            f"{err.message} ({label} from {locations.describe(location)})",
            is_permanent=err.is_permanent,
        ) from err
    except OSError as err:
        raise LoadError(
            f"{label} from {locations.describe(location)} cannot be read: {err}"
        ) from err
    return Model(settings.model_name, settings.model_version, backend, actual, reference)


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
