"""Which models of a repository are served: brings them up, replaces them and lets them go.

Lives on the event loop; reading and loading happen in a thread, one model at a time. New versions
are up before old ones go, and what was asked of those is answered.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from slipway_api.last_words import LoadPhase
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.core.registry import Model, Registry, Standing, State
from slipway_server.lifecycle import run_in_thread
from slipway_server.storage import digest, repository
from slipway_server.storage.repository import Repository, Version

UNLOADED: Final = "unloaded"  # Triton's word
_IGNORED: Final = "unload_dependents"  # clients of Triton always send it; no model has any


class Load(Protocol):
    """Brings a version up; blocks, and raises LoadError."""

    def __call__(self, *, version: Version) -> Model: ...


class Control:
    """Loads and unloads by name; all versions of a name come and go together."""

    def __init__(
        self,
        found: Repository,
        registry: Registry,
        dataplane: Dataplane,
        *,
        load: Load,
        gone: Callable[[Model], None],
        fixed: str,
        patience_s: float,
    ) -> None:
        """`gone` is told of each model that answers no more; `patience_s`: for its last answers.

        `fixed` is the name of a model that is served beside the repository, or empty.
        """
        self._repository, self._registry, self._dataplane = found, registry, dataplane
        self._load, self._gone, self._fixed = load, gone, fixed
        self._patience_s = patience_s
        self._lock = asyncio.Lock()
        self._going: set[asyncio.Task[Any]] = set()

    async def start(self, wanted: Sequence[str]) -> dict[str, LoadError]:
        """Load these, or all that there are; returns why those that failed did.

        LoadError where there is nothing to choose from.
        """
        found = await run_in_thread(self._repository.names)
        names = tuple(wanted) or found
        failures: dict[str, LoadError] = {}
        for name in names:
            self._registry.note(Standing(name, "", State.LOADING))
        for name in names:
            try:
                async with self._lock:
                    await self._bring_up(name)
            except LoadError as err:
                failures[name] = err
            except ServingError as err:
                failures[name] = LoadError(err.message)
                self._registry.note(Standing(name, "", State.UNAVAILABLE, err.message))
        return failures

    async def load(self, name: str) -> None:
        """Serve what lies in the repository now; ServingError says why not.

        Then what was served before goes on.
        """
        self._check(name)
        await self._finish(self._load_it(name))

    async def unload(self, name: str) -> None:
        """Serve it no more; returns once it is done with what it was asked, or with patience."""
        self._check(name)
        await self._finish(self._unload_it(name))

    async def _finish(self, change: Coroutine[Any, Any, object]) -> None:
        """Wait for a change, which goes on to its end though the client may leave before."""
        task = asyncio.create_task(change)
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        await asyncio.shield(task)

    async def _load_it(self, name: str) -> None:
        async with self._lock:
            try:
                await self._bring_up(name)
            except LoadError as err:
                raise ServingError(ErrorKind.BROKEN_MODEL, err.words) from err

    async def _unload_it(self, name: str) -> None:
        async with self._lock:
            models = self._registry.withdraw(name)
            if not models and self._registry.standing(name) is None:
                raise ServingError(ErrorKind.NOT_FOUND, f"no model '{name}' is loaded")
            self._registry.note(Standing(name, "", State.UNLOADING, is_wanted=False))
            retiring = self._retire(models)
            del models
            has_ended = await retiring
            state = State.UNAVAILABLE if has_ended else State.UNLOADING
            reason = UNLOADED if has_ended else "an inference has not ended; memory is free then"
            self._registry.note(Standing(name, "", state, reason, is_wanted=False))

    async def index(self, *, is_ready: bool = False) -> tuple[Standing, ...]:
        """How every model stands, those included that only lie in the repository."""
        try:
            names = await run_in_thread(self._repository.names)
        except LoadError as err:
            raise ServingError(ErrorKind.INTERNAL, err.message) from err
        for name in names:
            if name != self._fixed and not self._registry.knows(name):
                standing = Standing(name, "", State.UNAVAILABLE, "not loaded", is_wanted=False)
                self._registry.note(standing)
        return self._dataplane.index(is_ready=is_ready)

    @staticmethod
    def allowed(control: "Control | None") -> "Control":
        """The control of a port that has one, or DISABLED."""
        if control is None:
            raise ServingError(
                ErrorKind.DISABLED,
                "models are loaded and unloaded at the admin port only; it is the one that "
                "SLIPWAY_SERVER_ADMIN_PORT sets, and there is none without it",
            )
        return control

    def _check(self, name: str) -> None:
        repository.check(name)
        if name == self._fixed:
            raise ServingError(
                ErrorKind.INVALID_INPUT,
                f"model '{name}' is the server's own and stays; only those of the repository go",
            )

    async def _bring_up(self, name: str) -> None:
        before = self._registry.standing(name)
        is_wanted = before is not None and before.is_wanted
        served = self._registry.all(name) if self._registry.get(name, None) else ()
        if not served:
            self._registry.note(Standing(name, "", State.LOADING, is_wanted=is_wanted))
        try:
            models = await run_in_thread(partial(self._loaded, name, served))
        except ServingError:
            self._registry.forget(name)
            raise
        except LoadError as err:
            self._registry.note(
                Standing(name, "", State.UNAVAILABLE, err.words, is_wanted=is_wanted)
            )
            raise
        task = asyncio.create_task(self._retire(self._registry.publish(models)))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    def _loaded(self, name: str, served: Sequence[Model]) -> list[Model]:
        """All versions, in a thread; what has not changed stays what it is."""
        if name == self._fixed:
            raise LoadError(
                f"model '{name}' of the repository has the name of the server's own; rename one"
            )
        try:
            kept = {(model.version, model.digest): model for model in served}
            found = self._repository.versions(name)
            digests = [digest.of(version.path) if kept else "" for version in found]
        except OSError as err:
            message = f"model '{name}' cannot be read: {err.strerror}"
            raise LoadError(message, phase=LoadPhase.FETCH) from err
        pairs = zip(found, digests, strict=True)
        return [kept.get((v.number, known)) or self._load(version=v) for v, known in pairs]

    async def _retire(self, models: Sequence[Model]) -> bool:
        """Wait for the last answers of models that have been replaced or withdrawn."""
        if not models:
            return True
        ends = [self._dataplane.retire(each, patience_s=self._patience_s) for each in models]
        have_ended = all(await asyncio.gather(*ends))
        for model in models:
            if self._registry.get(model.name, model.version) is None:
                self._gone(model)
        del ends, models, model
        # Here and not in a thread, where whatever ends would be told of it. It takes milliseconds:
        # what the server began with is out of the collector's sight.
        gc.collect()
        await run_in_thread(_give_back)
        return have_ended


def refuse_parameters(names: Iterable[str]) -> None:
    """INVALID_INPUT for any parameter of a request that would say what or how to load."""
    for name in names:
        if name != _IGNORED:
            raise ServingError(
                ErrorKind.INVALID_INPUT,
                "parameters are not taken from requests, neither 'config' nor 'file:…'; "
                "lay the model in the repository and load it by its name",
            )


def _give_back() -> None:
    """Give memory that is free back to the system: glibc keeps it for the process otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
