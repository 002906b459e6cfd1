"""The models that a server begins with: the one of the settings, and those of a repository."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from slipway_server.control import Control
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import LoadError
from slipway_server.core.registry import Model, Registry
from slipway_server.lifecycle import run_in_thread
from slipway_server.loading import load
from slipway_server.settings import Settings
from slipway_server.storage.patience import Patience
from slipway_server.storage.repository import Repository, Version


class ModelStart:
    """Brings them up. `control`, for later, is None without a repository."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        dataplane: Dataplane,
        *,
        gone: Callable[[Model], None],
        patience: Patience,
    ) -> None:
        self._settings, self._registry, self._patience = settings, registry, patience
        self.control: Control | None = None
        if settings.model_repository is not None:
            self.control = Control(
                Repository(settings.model_repository),
                registry,
                dataplane,
                load=partial(_load_version, settings, patience),
                gone=gone,
                fixed=settings.model_name,
                patience_s=settings.drain_s,
            )

    async def bring_up(self) -> None:
        """Load all that was asked for; LoadError names each that failed, if that is the end."""
        if self._settings.model_uri:
            model = await run_in_thread(partial(load, self._settings, self._patience))
            self._registry.publish([model])
            _tell(model, self._patience.say)
        if self.control is not None:
            failures = await self.control.start(self._settings.load_models)
            if failures and self._settings.exit_on_error:
                raise _failure(failures)
            if not self._registry.index() and self._settings.admin_port is None:
                raise LoadError(
                    f"the model repository {self._settings.model_repository} holds no model; "
                    "lay one at NAME/1/model.onnx in it"
                )
            for err in failures.values():
                self._patience.say(f"{err.words}; the other models are served")


def _failure(failures: Mapping[str, LoadError]) -> LoadError:
    """One for all; the same start would fail again if one of them would."""
    message = "; ".join(err.message for err in failures.values())
    first = next((err for err in failures.values() if err.is_permanent), None)
    phase = first.phase if first else next(iter(failures.values())).phase
    return LoadError(message, is_permanent=first is not None, phase=phase)


def _tell(model: Model, say: Callable[[str], None]) -> None:
    """Where it runs, if that is not what was asked for, or was not said."""
    placement = model.backend.placement
    if placement.asked != placement.used:
        why = f": {placement.reason}" if placement.reason else ""
        say(
            f"model '{model.name}' {model.version} runs on {placement.used}, "
            f"asked for was {placement.asked}{why}"
        )


def _load_version(settings: Settings, patience: Patience, *, version: Version) -> Model:
    """As the model of the settings is loaded; errors name its place in the repository only."""
    own = replace(
        settings,
        model_name=version.name,
        model_version=version.number,
        model_uri=version.path.absolute().as_uri(),
        model_digest="",
        model_expectations="",
        profile=None,  # each has its own in its folder
    )
    try:
        model = load(own, patience)
    except LoadError as err:
        root = f"{version.path.parents[1].absolute()}/"
        message = err.message.replace(f"file://{root}", "").replace(root, "")
        raise LoadError(message, is_permanent=err.is_permanent, phase=err.phase) from err
    _tell(model, patience.say)
    return model
