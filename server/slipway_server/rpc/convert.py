"""Protobuf messages of the Open Inference Protocol to core values and back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from slipway_server.core import tensors
from slipway_server.core.signature import TensorSpec
from slipway_server.core.tensors import (
    Datatype,
    Header,
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    Tensor,
    invalid,
)

# Which field of InferTensorContents holds a datatype, and of what (open_inference_grpc.proto); the
# floats of 16 bits have none.
_CONTENTS: Final[Mapping[Datatype, tuple[str, Datatype]]] = {
    Datatype.BOOL: ("bool_contents", Datatype.BOOL),
    Datatype.INT8: ("int_contents", Datatype.INT32),
    Datatype.INT16: ("int_contents", Datatype.INT32),
    Datatype.INT32: ("int_contents", Datatype.INT32),
    Datatype.INT64: ("int64_contents", Datatype.INT64),
    Datatype.UINT8: ("uint_contents", Datatype.UINT32),
    Datatype.UINT16: ("uint_contents", Datatype.UINT32),
    Datatype.UINT32: ("uint_contents", Datatype.UINT32),
    Datatype.UINT64: ("uint64_contents", Datatype.UINT64),
    Datatype.FP32: ("fp32_contents", Datatype.FP32),
    Datatype.FP64: ("fp64_contents", Datatype.FP64),
    Datatype.BYTES: ("bytes_contents", Datatype.BYTES),
}


def parse(kind: Any, raw: bytes) -> Any:
    """Parse a message; INVALID_INPUT where its bytes are none. gRPC itself would say UNKNOWN."""
    try:
        return kind.FromString(raw)
    except DecodeError as err:
        raise invalid(f"the request is not a message of type {kind.DESCRIPTOR.full_name}") from err


def decode(message: Any) -> InferenceRequest:
    """Read a ModelInferRequest; INVALID_INPUT says what is wrong with it."""
    tensors.check_count(message.inputs, "inputs")
    tensors.check_count(message.outputs, "outputs")
    for entry in (*message.inputs, *message.outputs):
        tensors.refuse_shared_memory(entry.parameters)
    headers = [
        tensors.parse_header(entry.name, datatype=entry.datatype, shape=tuple(entry.shape))
        for entry in message.inputs
    ]
    return InferenceRequest(
        model_name=message.model_name,
        model_version=message.model_version or None,
        request_id=message.id or None,
        inputs=tuple(_inputs(headers, message)),
        outputs=tuple(
            tensors.requested(
                entry.name, class_count=entry.parameters["classification"].int64_param
            )
            if "classification" in entry.parameters
            else RequestedOutput(entry.name)
            for entry in message.outputs
        ),
    )


def _inputs(headers: Sequence[Header], message: Any) -> list[Tensor]:
    raw = message.raw_input_contents
    if not raw:
        pairs = zip(headers, message.inputs, strict=True)
        return [_from_contents(header, entry.contents) for header, entry in pairs]
    if len(raw) != len(headers):
        raise invalid(
            f"raw_input_contents has {len(raw)} entries for {len(headers)} inputs; "
            "it must hold all inputs or none"
        )
    if any(entry.HasField("contents") for entry in message.inputs):
        raise invalid("an input has contents although raw_input_contents is used")
    pairs = zip(headers, raw, strict=True)
    return [tensors.from_bytes(header, content) for header, content in pairs]


def _from_contents(header: Header, contents: Any) -> Tensor:
    found = _CONTENTS.get(header.datatype)
    if found is None:
        raise invalid(f"input '{header.name}': {header.datatype} needs raw_input_contents")
    field, carried = found
    values = getattr(contents, field)
    if header.datatype is Datatype.BYTES:
        array = tensors.shaped_strings(header.name, header.shape, elements=values)
        return Tensor(header.name, header.datatype, array)
    return tensors.from_array(header, np.array(values, dtype=tensors.DTYPES[carried]))


def encode(response: InferenceResponse) -> Any:
    """Write a ModelInferResponse with raw contents."""
    return service_pb2.ModelInferResponse(
        model_name=response.model_name,
        model_version=response.model_version,
        id=response.request_id or "",
        outputs=[
            service_pb2.ModelInferResponse.InferOutputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape
            )
            for tensor in response.outputs
        ],
        raw_output_contents=[tensors.to_bytes(tensor) for tensor in response.outputs],
    )


def encode_spec(spec: TensorSpec) -> Any:
    """Write one tensor of a ModelMetadataResponse."""
    return service_pb2.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=spec.shape
    )
