"""What an inference engine offers to the core."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from slipway_server.backends.placement import Placement
from slipway_server.core.signature import Signature
from slipway_server.core.tensors import Array


class Backend(Protocol):
    """A loaded model. `infer` is called from several threads at once."""

    @property
    def platform(self) -> str:
        """The platform name of the protocol's model metadata, as `onnx_onnxv1`."""

    @property
    def name(self) -> str:
        """The engine's name, as `onnxruntime`."""

    @property
    def placement(self) -> Placement:
        """Where it runs."""

    @property
    def signature(self) -> Signature:
        """Inputs and outputs, fixed for the life of the backend."""

    def infer(self, feed: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
        """Compute outputs, in that order, from arrays that fit the signature.

        Raises ServingError INTERNAL whatever goes wrong inside the model.
        """
