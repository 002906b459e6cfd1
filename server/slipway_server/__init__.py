"""Slipway's model server: ONNX models over the Open Inference Protocol V2 (REST and gRPC).

It must not know the operator: what the two share stands in `slipway_api.names`.
"""

from typing import Final

NAME: Final = "slipway"  # the server's name in its metadata
VERSION: Final = "0.1.0"  # shown by server metadata; a test holds it against pyproject.toml
# What a client may use beyond the protocol itself, by the names that Triton gave it.
EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
