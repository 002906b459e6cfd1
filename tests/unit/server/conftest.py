"""Shared by the server's unit tests: a model small enough to build in each test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from slipway_server.backends import onnx as onnx_backend
from slipway_server.core.registry import Model


@pytest.fixture(scope="session")
def scale_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model `y = x * [1, 10]`, `row_count = rows of x`; x is FP32 of shape (any, 2)."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factors"], ["y"]),
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Gather", ["shape", "first"], ["row_count"]),
        ],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("row_count", TensorProto.INT64, [1]),
        ],
        [
            numpy_helper.from_array(np.array([1, 10], np.float32), "factors"),
            numpy_helper.from_array(np.array([0], np.int64), "first"),
        ],
    )
    path = tmp_path_factory.mktemp("scale") / "model.onnx"
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture
def make_model(scale_file: Path) -> Callable[[str, str], Model]:
    """Make the scale model under any name and version."""
    return lambda name, version: Model(name, version, onnx_backend.load(scale_file, thread_count=1))
