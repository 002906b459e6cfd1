"""A model's configuration and statistics as plain values, in the words of Triton's messages.

Both front ends answer with the same: `model_config.proto` and `grpc_service.proto` of Triton name
the fields.
"""

from typing import Any

from slipway_server.backends.placement import Provider
from slipway_server.core.registry import Model, Standing
from slipway_server.core.signature import TensorSpec
from slipway_server.core.statistics import Duration
from slipway_server.core.tensors import Datatype


def configuration(model: Model) -> dict[str, Any]:
    """A ModelConfig. `max_batch_size` 0 means that shapes are whole, a batch's size included."""
    signature, placement = model.backend.signature, model.backend.placement
    return {
        "name": model.name,
        "platform": model.backend.platform,
        "backend": model.backend.name,
        "max_batch_size": 0,
        "input": [_tensor(spec) for spec in signature.inputs],
        "output": [_tensor(spec) for spec in signature.outputs],
        "instance_group": [{"name": placement.used, "kind": _kind(placement.used), "count": 1}],
        "parameters": {
            f"provider_{key}": {"string_value": value}
            for key, value in (
                ("asked", placement.asked),
                ("used", placement.used),
                ("reason", placement.reason),
            )
        },
    }


def _kind(provider: str) -> str:
    return "KIND_CPU" if provider == Provider.CPU else "KIND_GPU"


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype is Datatype.BYTES else str(spec.datatype)
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape)}


def statistics(model: Model) -> dict[str, Any]:
    """A ModelStatistics."""
    found = model.statistics
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": found.last_inference_ms,
        "inference_count": found.inference_count,
        "execution_count": found.execution_count,
        "inference_stats": {
            "success": _duration(found.success),
            "fail": _duration(found.fail),
            "queue": _duration(found.queue),
            "compute_input": _none(found.compute),
            "compute_infer": _duration(found.compute),
            "compute_output": _none(found.compute),
            "cache_hit": _duration(Duration()),
            "cache_miss": _duration(Duration()),
        },
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _none(spent),
                "compute_infer": _duration(spent),
                "compute_output": _none(spent),
            }
            for size, spent in sorted(found.by_batch_size.items())
        ],
    }


def entry(standing: Standing) -> dict[str, str]:
    """A ModelIndex of the repository's index."""
    return {
        "name": standing.name,
        "version": standing.version,
        "state": str(standing.state),
        "reason": standing.reason,
    }


def _duration(spent: Duration) -> dict[str, int]:
    return {"count": spent.count, "ns": spent.ns}


def _none(spent: Duration) -> dict[str, int]:
    return {"count": spent.count, "ns": 0}
