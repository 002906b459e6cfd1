"""The models that servers are measured with, from almost nothing to mostly computation.

Weights are drawn from a fixed seed (but for the trees, which are trained): what a model says does
not matter here, what it costs does.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT: Final = "x"
OUTPUT: Final = "y"
_SEED: Final = 7
_OPSETS: Final = [helper.make_opsetid("", 17)]
_TREES: Final = 100
_FEATURES: Final = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """A model, and one request of one row for it in both ways of writing it.

    `json_body` and `binary_body` ask for all outputs; of the latter `header_length` bytes are JSON.
    """

    name: str
    path: Path
    row: np.ndarray[Any, np.dtype[np.float32]]
    json_body: bytes
    binary_body: bytes
    header_length: int


def make(folder: Path, names: Sequence[str]) -> list[Sample]:
    """Write models to a folder."""
    random = np.random.default_rng(_SEED)
    samples: list[Sample] = []
    for name in names:
        path = folder / f"{name}.onnx"
        shape = _SHAPES[name]
        onnx.save(_trees() if name == "gbt" else _WEIGHTED[name](random), path)
        row = random.random((1, *shape), dtype=np.float32)
        samples.append(_sample(name, path, row))
    return samples


def _sample(name: str, path: Path, row: np.ndarray[Any, np.dtype[np.float32]]) -> Sample:
    header = {"name": INPUT, "datatype": "FP32", "shape": list(row.shape)}
    written = {"inputs": [header | {"data": row.ravel().tolist()}]}
    raw = row.tobytes()
    described = {
        "inputs": [header | {"parameters": {"binary_data_size": len(raw)}}],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(described).encode()
    return Sample(name, path, row, json.dumps(written).encode(), head + raw, len(head))


def _graph(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    weights: dict[str, Any],
) -> onnx.ModelProto:
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info(INPUT, kind, ["rows", *inputs])],
        [helper.make_tensor_value_info(OUTPUT, kind, ["rows", *outputs])],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=9)


def _iris(random: np.random.Generator) -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", [INPUT, "w"], ["h"]),
        helper.make_node("Softmax", ["h"], [OUTPUT]),
    ]
    return _graph(nodes, inputs=[4], outputs=[3], weights={"w": random.normal(size=(4, 3))})


def _mlp(random: np.random.Generator) -> onnx.ModelProto:
    sizes = (784, 512, 512, 10)
    weights: dict[str, Any] = {}
    nodes: list[onnx.NodeProto] = []
    last = INPUT
    for index, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{index}"] = random.normal(size=(rows, columns)) * 0.05
        is_last = index == len(sizes) - 2
        made = OUTPUT if is_last else f"h{index}"
        nodes.append(helper.make_node("MatMul", [last, f"w{index}"], [made]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [made], [f"r{index}"]))
            last = f"r{index}"
    return _graph(nodes, inputs=sizes[:1], outputs=sizes[-1:], weights=weights)


def _cnn(random: np.random.Generator) -> onnx.ModelProto:
    """Six convolutions over a small picture, then ten numbers."""
    channels = (3, 32, 48, 64, 96, 96, 128)
    weights: dict[str, Any] = {}
    nodes: list[onnx.NodeProto] = []
    last = INPUT
    for index, (given, made) in enumerate(itertools.pairwise(channels)):
        weights[f"k{index}"] = random.normal(size=(made, given, 3, 3)) * 0.1
        stride = 2 if index % 2 else 1
        nodes += [
            helper.make_node(
                "Conv",
                [last, f"k{index}"],
                [f"c{index}"],
                strides=[stride, stride],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Relu", [f"c{index}"], [f"r{index}"]),
        ]
        last = f"r{index}"
    weights["w"] = random.normal(size=(channels[-1], 10))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], [OUTPUT]),
    ]
    return _graph(nodes, inputs=[3, 112, 112], outputs=[10], weights=weights)


def _trees() -> onnx.ModelProto:
    """Gradient boosting, the everyday model of tables."""
    import skl2onnx
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier

    rows, labels = make_classification(
        1500, _FEATURES, n_informative=12, n_classes=3, random_state=_SEED
    )
    trained = GradientBoostingClassifier(n_estimators=_TREES, random_state=_SEED).fit(rows, labels)
    model: onnx.ModelProto = skl2onnx.to_onnx(
        trained, rows[:1].astype(np.float32), options={"zipmap": False}, target_opset=17
    )
    renamed = {model.graph.input[0].name: INPUT, model.graph.output[1].name: OUTPUT}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    model.graph.input[0].name = INPUT
    model.graph.output[1].name = OUTPUT
    del model.graph.output[0]  # probabilities are enough
    return model


_SHAPES: Final = {"iris": (4,), "gbt": (_FEATURES,), "mlp": (784,), "cnn": (3, 112, 112)}
_WEIGHTED: Final = {"iris": _iris, "mlp": _mlp, "cnn": _cnn}
NAMES: Final = tuple(_SHAPES)
