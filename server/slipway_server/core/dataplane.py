"""The use cases: live, ready, metadata, infer. Front ends translate and call these.

Lives on one event loop; only inference leaves it, to the workers.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from slipway_server.core.batching import Entry
from slipway_server.core.classification import top_classes
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.registry import Model, Registry, Standing, State
from slipway_server.core.scheduler import Limits, Scheduler
from slipway_server.core.signature import Signature
from slipway_server.core.tensors import InferenceRequest, InferenceResponse, Tensor, Times
from slipway_server.core.workers import Workers

Observe = Callable[[Model, Sequence[Entry]], None]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a client may know about a model before it calls it."""

    name: str
    versions: tuple[str, ...]
    platform: str
    signature: Signature
    digest: str


class Dataplane:
    """All that the server can be asked."""

    def __init__(
        self,
        registry: Registry,
        workers: Workers,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        *,
        observe: Observe | None = None,
    ) -> None:
        """`observe` is told of what has run: of each run, one of its entries."""
        self._registry = registry
        self._workers = workers
        self._limits = limits
        self._observe = observe
        self._schedulers: dict[Model, Scheduler] = {}
        self._is_draining = False

    def queues(self) -> Mapping[tuple[str, str], Scheduler]:
        """Queues that have been used, by the name and the version of their model."""
        return {(model.name, model.version): each for model, each in self._schedulers.items()}

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to end: not ready, but it still answers."""
        return self._is_draining

    def drain(self) -> None:
        """Stop being ready; inference goes on until the front ends are closed."""
        self._is_draining = True

    @property
    def is_ready(self) -> bool:
        """Whether all models that were asked for at the start take new traffic."""
        return self._registry.is_settled and not self._is_draining

    def is_model_ready(self, name: str, version: str | None) -> bool:
        """Whether this one does; NOT_FOUND for one that is not here."""
        try:
            self._registry.find(name, version)
        except ServingError as err:
            if err.kind is ErrorKind.NOT_READY:
                return False
            raise
        return not self._is_draining

    def model_metadata(self, name: str, version: str | None) -> ModelMetadata:
        """Signature and versions of a model."""
        model = self._registry.find(name, version)
        return ModelMetadata(
            name=model.name,
            versions=self._registry.versions(name) if version is None else (model.version,),
            platform=model.backend.platform,
            signature=model.backend.signature,
            digest=model.digest,
        )

    def model(self, name: str, version: str | None) -> Model:
        """The model that would answer, or NOT_FOUND, or NOT_READY."""
        return self._registry.find(name, version)

    def models(self, name: str | None = None, version: str | None = None) -> tuple[Model, ...]:
        """Every model, every version of one, or one; NOT_FOUND for one that is not here."""
        return self._registry.all(name, version)

    def named(self, name: str, version: str | None) -> tuple[str, str] | None:
        """Name and version of the model that would answer, None if none would."""
        model = self._registry.get(name, version)
        return None if model is None else (model.name, model.version)

    def index(self, *, is_ready: bool = False) -> tuple[Standing, ...]:
        """How every model stands, or only those that take new traffic."""
        found = self._registry.index()
        return tuple(each for each in found if each.state is State.READY or not is_ready)

    async def retire(self, model: Model, *, patience_s: float) -> bool:
        """Let a model that the registry has no more finish what it was asked; False if it hangs.

        Its memory is free with the last of its inferences, also of those that take longer.
        """
        scheduler = self._schedulers.pop(model, None)
        if scheduler is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await scheduler.drained()
                return True
        return False

    async def infer(
        self, request: InferenceRequest, *, deadline_ns: int | None = None
    ) -> InferenceResponse:
        """Compute the outputs asked for.

        `deadline_ns`: when the client stops waiting, by `time.perf_counter_ns`. Raises
        ServingError of every kind but TOO_LARGE and UNSUPPORTED. Cancelling drops a waiting
        request.
        """
        model = self._registry.find(request.model_name, request.model_version)
        began_ns = time.perf_counter_ns()
        try:
            entry, outputs = await self._run(model, request, deadline_ns)
        except ServingError:
            model.statistics.failed(time.perf_counter_ns() - began_ns)
            raise
        model.statistics.succeeded(
            row_count=entry.row_count,
            queue_ns=entry.began_ns - entry.queued_ns,
            compute_ns=entry.ended_ns - entry.began_ns,
            whole_ns=time.perf_counter_ns() - began_ns,
        )
        times = Times(entry.queued_ns, entry.began_ns, entry.ended_ns)
        return InferenceResponse(model.name, model.version, request.request_id, outputs, times)

    async def _run(
        self, model: Model, request: InferenceRequest, deadline_ns: int | None
    ) -> tuple[Entry, tuple[Tensor, ...]]:
        signature = model.backend.signature
        feed = signature.feed(request.inputs)
        specs = signature.select([output.name for output in request.outputs])
        entry = Entry(feed, specs, is_batchable=signature.is_batchable, deadline_ns=deadline_ns)
        await self._scheduler(model).run(entry)
        outputs = tuple(
            Tensor(spec.name, spec.datatype, array)
            for spec, array in zip(specs, entry.arrays, strict=True)
        )
        if any(output.class_count for output in request.outputs):
            counts = [output.class_count for output in request.outputs]
            pairs = zip(outputs, counts, strict=True)
            outputs = tuple(top_classes(tensor, count) for tensor, count in pairs)
        return entry, outputs

    def _scheduler(self, model: Model) -> Scheduler:
        found = self._schedulers.get(model)
        if found is None:
            is_batchable = model.backend.signature.is_batchable
            limits = self._limits if is_batchable else replace(self._limits, row_count_max=1)
            found = self._schedulers[model] = Scheduler(
                self._workers,
                model.backend,
                limits,
                observe=partial(self._ran, model),
                now_ns=time.perf_counter_ns,
            )
        return found

    def _ran(self, model: Model, batch: Sequence[Entry]) -> None:
        # One, unless they ran one after the other.
        runs = list({entry.began_ns: entry for entry in batch}.values())
        for entry in runs:
            model.statistics.executed(
                row_count=entry.ran_with, compute_ns=entry.ended_ns - entry.began_ns
            )
        if self._observe is not None:
            self._observe(model, runs)
