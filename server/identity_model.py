"""Writes `slipway_server/share/identity.onnx`, the model that `helm test` serves.

Run `python server/identity_model.py` after a change; a test holds the file against this script.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

PATH = Path(__file__).parent / "slipway_server" / "share" / "identity.onnx"


def identity() -> onnx.ModelProto:
    """A model whose output `y` is its input `x`, FP32 of any (rows, columns)."""
    shape = ["rows", "columns"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    # Old versions on purpose: every ONNX Runtime of the last years reads them.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_bytes(identity().SerializeToString(deterministic=True))
