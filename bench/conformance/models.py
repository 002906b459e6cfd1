"""The models that the cases know, and their export for the server under test.

`simple` takes and gives what most cases are about; the others copy each input to an output.
FP16 and BF16 have models of their own: JSON, in which `typed` is asked, cannot carry them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bench.conformance.tensors import JSON_NAMES

VERSION: Final = "1"  # the folder's name, as Triton numbers versions
WIDTH: Final = 16  # of simple's rows
IDENTITY_WIDTH: Final = 4

_OPSET: Final = 16
_IR_VERSION: Final = 8


class Kind(StrEnum):
    """A model of the suite; its value is the name of the option that renames it."""

    SIMPLE = "simple"
    TYPED = "typed"
    FP16 = "fp16"
    BF16 = "bf16"
    IDENTITY = "identity"


NAMES: Final[Mapping[Kind, str]] = {
    Kind.SIMPLE: "simple",
    Kind.TYPED: "typed",
    Kind.FP16: "typed_fp16",
    Kind.BF16: "typed_bf16",
    Kind.IDENTITY: "identity",
}


@dataclass(frozen=True, slots=True)
class Spec:
    """A declared tensor."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """How model metadata shows it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors of a model."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]


def _copies(*datatypes: str) -> Signature:
    return Signature(
        tuple(Spec(f"in_{name}", name, (-1,)) for name in datatypes),
        tuple(Spec(f"out_{name}", name, (-1,)) for name in datatypes),
    )


SIGNATURES: Final[Mapping[Kind, Signature]] = {
    Kind.SIMPLE: Signature(
        tuple(Spec(f"INPUT{index}", "INT32", (-1, WIDTH)) for index in (0, 1)),
        tuple(Spec(f"OUTPUT{index}", "INT32", (-1, WIDTH)) for index in (0, 1)),
    ),
    Kind.TYPED: _copies(*JSON_NAMES),
    Kind.FP16: _copies("FP16"),
    Kind.BF16: _copies("BF16"),
    Kind.IDENTITY: Signature(
        (Spec("INPUT0", "FP32", (-1, IDENTITY_WIDTH)),),
        (Spec("OUTPUT0", "FP32", (-1, IDENTITY_WIDTH)),),
    ),
}


def kind_of(datatype: str) -> Kind:
    """The model that copies a datatype."""
    return {"FP16": Kind.FP16, "BF16": Kind.BF16}.get(datatype, Kind.TYPED)


def export(folder: Path) -> list[Path]:
    """Write all models as ONNX into a repository in Triton's layout; return the files."""
    from onnx import save  # only an export needs it

    written = []
    for kind, name in NAMES.items():
        path = folder / name / VERSION / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(_model(kind), path)
        (folder / name / "config.pbtxt").write_text(configuration(kind), encoding="utf-8")
        written.append(path)
    return written


def configuration(kind: Kind, *, backend: str = "onnxruntime") -> str:
    """Triton's configuration of a model: shapes are whole, so that nothing is made a batch."""
    signature = SIGNATURES[kind]
    tensors = [
        f'{field} {{ name: "{spec.name}" data_type: {_triton(spec.datatype)} '
        f"dims: {list(spec.shape)} }}"
        for field, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs
    ]
    head = [f'name: "{NAMES[kind]}"', f'backend: "{backend}"', "max_batch_size: 0"]
    return "\n".join([*head, *tensors]) + "\n"


def _triton(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _model(kind: Kind) -> Any:
    from onnx import helper

    signature = SIGNATURES[kind]
    if kind is Kind.SIMPLE:
        inputs = [spec.name for spec in signature.inputs]
        nodes = [
            helper.make_node(operation, inputs, [spec.name])
            for operation, spec in zip(("Add", "Sub"), signature.outputs, strict=True)
        ]
    else:
        pairs = zip(signature.inputs, signature.outputs, strict=True)
        nodes = [helper.make_node("Identity", [one.name], [other.name]) for one, other in pairs]
    graph = helper.make_graph(
        nodes,
        NAMES[kind],
        [_value(spec) for spec in signature.inputs],
        [_value(spec) for spec in signature.outputs],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _value(spec: Spec) -> Any:
    from onnx import TensorProto, helper

    named = {
        "BYTES": "STRING",
        "FP16": "FLOAT16",
        "BF16": "BFLOAT16",
        "FP32": "FLOAT",
        "FP64": "DOUBLE",
    }
    element = getattr(TensorProto, named.get(spec.datatype, spec.datatype))
    shape = [None if size < 0 else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, element, shape)
