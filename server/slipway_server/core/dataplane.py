"""The use cases: live, ready, metadata, infer. Front ends translate and call these.

Lives on one event loop; only inference leaves it, to the workers.
"""

from dataclasses import dataclass
from functools import partial

from slipway_server.core.registry import Registry
from slipway_server.core.signature import Signature
from slipway_server.core.tensors import InferenceRequest, InferenceResponse, Tensor
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

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Compute the outputs asked for.

        Raises ServingError of every kind but TOO_LARGE. Cancelling drops a waiting request.
        """
        model = self._registry.find(request.model_name, request.model_version)
        signature = model.backend.signature
        feed = signature.feed(request.inputs)
        specs = signature.select(request.output_names)
        names = [spec.name for spec in specs]
        arrays = await self._workers.run(partial(model.backend.infer, feed, names))
        outputs = tuple(
            Tensor(spec.name, spec.datatype, array)
            for spec, array in zip(specs, arrays, strict=True)
        )
        return InferenceResponse(model.name, model.version, request.request_id, outputs)
