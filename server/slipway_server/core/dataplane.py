"""The use cases: live, ready, metadata, infer. Front ends translate and call these.

Lives on one event loop; only inference leaves it, to the workers.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway_server.backends.base import Backend
from slipway_server.core.classification import top_classes
from slipway_server.core.errors import ServingError
from slipway_server.core.registry import Model, Registry
from slipway_server.core.signature import DYNAMIC, Signature, TensorSpec
from slipway_server.core.tensors import Array, InferenceRequest, InferenceResponse, Tensor
from slipway_server.core.workers import Workers


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

    def __init__(self, registry: Registry, workers: Workers) -> None:
        self._registry = registry
        self._workers = workers
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to end: not ready, but it still answers."""
        return self._is_draining

    def drain(self) -> None:
        """Stop being ready; inference goes on until the front ends are closed."""
        self._is_draining = True

    @property
    def is_ready(self) -> bool:
        """Whether a verified, loaded and warmed-up model takes new traffic."""
        return not self._registry.is_empty and not self._is_draining

    def is_model_ready(self, name: str, version: str | None) -> bool:
        """Like `is_ready`, for one model; NOT_FOUND for one that is not here."""
        if self._registry.is_empty:
            return False
        self._registry.find(name, version)
        return self.is_ready

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

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Compute the outputs asked for.

        Raises ServingError of every kind but TOO_LARGE and UNSUPPORTED. Cancelling drops a waiting
        request.
        """
        model = self._registry.find(request.model_name, request.model_version)
        began_ns = time.perf_counter_ns()
        try:
            run = await self._run(model, request)
        except ServingError:
            model.statistics.failed(time.perf_counter_ns() - began_ns)
            raise
        model.statistics.succeeded(
            row_count=run.row_count,
            queue_ns=run.began_ns - began_ns,
            compute_ns=run.ended_ns - run.began_ns,
            whole_ns=time.perf_counter_ns() - began_ns,
        )
        return InferenceResponse(model.name, model.version, request.request_id, run.outputs)

    async def _run(self, model: Model, request: InferenceRequest) -> "_Run":
        signature = model.backend.signature
        feed = signature.feed(request.inputs)
        specs = signature.select([output.name for output in request.outputs])
        run = _Run(model.backend, feed, specs)
        await self._workers.run(run)
        class_counts = {output.name: output.class_count for output in request.outputs}
        run.outputs = tuple(
            top_classes(output, class_counts.get(output.name, 0)) for output in run.outputs
        )
        return run


class _Run:
    """One inference, and when it began and ended (by `perf_counter_ns`)."""

    __slots__ = ("_backend", "_feed", "_specs", "began_ns", "ended_ns", "outputs")

    def __init__(
        self, backend: Backend, feed: Mapping[str, Array], specs: Sequence[TensorSpec]
    ) -> None:
        self._backend, self._feed, self._specs = backend, feed, specs
        self.began_ns = self.ended_ns = 0
        self.outputs: tuple[Tensor, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of the first input, if its first size may vary; else the request is one."""
        spec = self._backend.signature.inputs[:1]
        is_batch = bool(spec) and spec[0].shape[:1] == (DYNAMIC,)
        return int(self._feed[spec[0].name].shape[0]) if is_batch else 1

    def __call__(self) -> None:
        self.began_ns = time.perf_counter_ns()
        names = [spec.name for spec in self._specs]
        arrays = self._backend.infer(self._feed, names)
        self.outputs = tuple(
            Tensor(spec.name, spec.datatype, array)
            for spec, array in zip(self._specs, arrays, strict=True)
        )
        self.ended_ns = time.perf_counter_ns()
