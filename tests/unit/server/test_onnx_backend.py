"""What ONNX Runtime cannot serve is refused at load, with what to do."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bench.server import models
from slipway_server.backends import onnx as onnx_backend
from slipway_server.core import readiness
from slipway_server.core.errors import LoadError

FLOAT_X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])


def save(path: Path, *, nodes, inputs, outputs) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_a_file_that_is_not_onnx_is_named(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"<html>not found</html>")

    with pytest.raises(LoadError, match=r"model\.onnx is not an ONNX model") as caught:
        onnx_backend.load(path, thread_count=1)

    assert caught.value.is_permanent
    assert "\n" not in caught.value.message


def test_a_model_that_fails_on_zeros_is_refused_at_warm_up(tmp_path):
    """Reshaping two elements to as many as `size` says: no zero fits."""
    path = save(
        tmp_path / "model.onnx",
        nodes=[helper.make_node("Expand", ["x", "size"], ["y"])],
        inputs=[FLOAT_X, helper.make_tensor_value_info("size", TensorProto.INT64, [1])],
        outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )

    with pytest.raises(LoadError, match=r"fails on zeros, dynamic sizes 1: .*; correct") as caught:
        readiness.warm_up(onnx_backend.load(path, thread_count=1), ())

    assert caught.value.is_permanent


def test_a_zipmap_output_is_refused_with_the_way_out(tmp_path):
    zipmap = helper.make_node(
        "ZipMap", ["x"], ["p"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
    )
    value_type = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    path = save(
        tmp_path / "model.onnx",
        nodes=[zipmap],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        outputs=[helper.make_value_info("p", helper.make_sequence_type_proto(value_type))],
    )

    with pytest.raises(LoadError, match=r"seq\(map\(.*export with zipmap=False"):
        onnx_backend.load(path, thread_count=1)


def test_batches_take_little_more_memory_than_a_model_s_largest_layers(tmp_path):
    """Of two layers at a time one is made of the other, whatever the sizes of batches were."""
    models.make(tmp_path, ["cnn"])
    layer_mib = 32 * 32 * 112 * 112 * 4 / 2**20

    script = (sys.executable, "-m", "tests.samples.batches_of_images", tmp_path / "cnn.onnx")
    grown = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120).stdout

    assert layer_mib < float(grown) < 2 * layer_mib
