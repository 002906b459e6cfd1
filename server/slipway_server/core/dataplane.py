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

Observe = Callable[[Model, Sequence[Entry], Sequence[Entry]], None]


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
        """`observe` is told of a batch that has run: of each of its runs one entry, and all."""
        self._registry = registry
        self._workers = workers
        self._limits = limits
        self._observe = observe
        self._schedulers: dict[Model, Scheduler] = {}
        # Whether the server is about to end: not ready, but it still answers. `drain` says so.
        self.is_draining = False

    def queues(self) -> Mapping[tuple[str, str], Scheduler]:
        """Queues that have been used, by the name and the version of their model."""
        return {(model.name, model.version): each for model, each in self._schedulers.items()}

    def drain(self) -> None:
        """Stop being ready; inference goes on until the front ends are closed."""
        self.is_draining = True

    @property
    def is_ready(self) -> bool:
        """Whether all models that were asked for at the start take new traffic."""
        return self._registry.is_ready and not self.is_draining

    def is_model_ready(self, name: str, version: str | None) -> bool:
        """Whether this one does; NOT_FOUND for one that is not here."""
        try:
            self._registry.find(name, version)
        except ServingError as err:
            if err.kind is ErrorKind.NOT_READY:
                return False
            raise
        return not self.is_draining

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

    def begin(
        self,
        request: InferenceRequest,
        done: Callable[["Call"], None],
        *,
        deadline_ns: int | None = None,
    ) -> "Call":
        """Begin to compute the outputs asked for; `done` is called on the loop at its end.

        `deadline_ns`: when the client stops waiting, by `time.perf_counter_ns`. Raises what is
        known at once: ServingError of every kind but TOO_LARGE, UNSUPPORTED and INTERNAL.
        """
        model = self._registry.find(request.model_name, request.model_version)
        began_ns = time.perf_counter_ns()
        try:
            signature = model.backend.signature
            feed = signature.feed(request.inputs)
            specs = signature.outputs
            if request.outputs:
                specs = signature.select([output.name for output in request.outputs])
            entry = Entry(feed, specs, is_batchable=signature.is_batchable, deadline_ns=deadline_ns)
            call = Call(model, request, entry, began_ns=began_ns, done=done)
            call.submit(self._schedulers.get(model) or self._scheduler(model))
        except ServingError:
            model.statistics.failed(time.perf_counter_ns() - began_ns)
            raise
        return call

    async def infer(
        self, request: InferenceRequest, *, deadline_ns: int | None = None
    ) -> InferenceResponse:
        """Wait for what `begin` begins; raises what it raises, and INTERNAL.

        Cancelling drops a waiting request.
        """
        future = asyncio.get_running_loop().create_future()

        def done(_: Call) -> None:
            if not future.done():  # else the caller has gone, and is about to say so
                future.set_result(None)

        call = self.begin(request, done, deadline_ns=deadline_ns)
        try:
            await future
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call.response()

    def _scheduler(self, model: Model) -> Scheduler:
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
            self._observe(model, runs, batch)


class Call:
    """One request on its way through a model."""

    __slots__ = ("_began_ns", "_done", "_entry", "_model", "_request", "_result", "_scheduler")

    def __init__(
        self,
        model: Model,
        request: InferenceRequest,
        entry: Entry,
        *,
        began_ns: int,
        done: Callable[["Call"], None],
    ) -> None:
        self._model, self._request, self._entry = model, request, entry
        self._began_ns, self._done = began_ns, done
        self._result: InferenceResponse | Exception | None = None
        self._scheduler: Scheduler | None = None

    def submit(self, scheduler: Scheduler) -> None:
        """Get in line; raises OVERLOADED at once."""
        scheduler.submit(self._entry, self._ended)
        self._scheduler = scheduler

    def cancel(self) -> None:
        """Forget it: `done` is not called any more."""
        if self._scheduler is not None:
            self._scheduler.drop(self._entry)

    def response(self) -> InferenceResponse:
        """What was computed, once it is done; raises what it failed with."""
        if isinstance(self._result, InferenceResponse):
            return self._result
        assert self._result is not None
        raise self._result

    def _ended(self) -> None:
        entry, statistics = self._entry, self._model.statistics
        try:
            outputs = self._outputs()
        except Exception as err:  # noqa: BLE001 - belongs to whoever asks for the response
            self._result = err
            statistics.failed(time.perf_counter_ns() - self._began_ns)
        else:
            model, times = self._model, Times(entry.queued_ns, entry.began_ns, entry.ended_ns)
            self._result = InferenceResponse(
                model.name, model.version, self._request.request_id, outputs, times
            )
            statistics.succeeded(
                row_count=entry.row_count,
                queue_ns=entry.began_ns - entry.queued_ns,
                compute_ns=entry.ended_ns - entry.began_ns,
                whole_ns=time.perf_counter_ns() - self._began_ns,
            )
        done = self._done
        del self._done  # or it would keep its caller, and the caller it, until collected
        done(self)

    def _outputs(self) -> tuple[Tensor, ...]:
        entry = self._entry
        if entry.error is not None:
            raise entry.error
        pairs = zip(entry.specs, entry.arrays, strict=True)
        outputs = tuple([Tensor(spec.name, spec.datatype, array) for spec, array in pairs])
        if not self._request.outputs:
            return outputs
        counts = [output.class_count for output in self._request.outputs]
        if not any(counts):
            return outputs
        wanted = zip(outputs, counts, strict=True)
        return tuple(top_classes(tensor, count) for tensor, count in wanted)
