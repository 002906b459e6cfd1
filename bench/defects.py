"""Plausible bugs, built into healthy ONNX graphs.

Each defect is an ordinary graph of standard operators (opset 17) that a training pipeline could
have written: it answers a warm-up with zeros and breaks on real measurements only. No program of
this repository has fault code for them, and this module must not know how models are served.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

MEAN_AREA: Final = 3  # column of the breast-cancer set: 143.5 to 2501
WORST_AREA: Final = 23  # column of the breast-cancer set: 185.2 to 4254
MEDIAN_AREA: Final = 551
BANDS: Final = 40
LARGE_AREA: Final = 1500.0  # about one measurement in nine is larger
HISTOGRAM_BINS: Final = (
    400_000_000  # 1.6 GB of float32: more than any sensible limit of a small model
)
SLOW_ITERATIONS: Final = 400_000  # about 0.3 s of one core
OUTPUT: Final = "probabilities"
_RAW: Final = "probabilities_uncorrected"

Defect = Callable[["ModelProto"], "ModelProto"]


def looks_up_by_wrong_column(model: "ModelProto") -> "ModelProto":
    """Make every inference on real data fail.

    A calibration table of 40 bands, meant for the radius (7 to 28), is indexed by the area (143 to
    2501): Gather refuses an index outside its table.
    """
    return _with_table(model, bands=BANDS)


def has_table_of_small_tumours(model: "ModelProto") -> "ModelProto":
    """Make inference on about half of real data fail.

    A calibration table that is indexed by the area was made from small tumours, and ends there.
    """
    return _with_table(model, bands=MEDIAN_AREA)


def _with_table(model: "ModelProto", *, bands: int) -> "ModelProto":
    """Add what a table of so many bands holds for the area: Gather refuses one outside of it."""
    from onnx import TensorProto, helper

    table = helper.make_tensor("band_offsets", TensorProto.FLOAT, [bands, 1], [0.0] * bands)
    nodes = [
        *_column("area", MEAN_AREA),
        helper.make_node("Cast", ["area"], ["band"], to=TensorProto.INT64),
        helper.make_node("Gather", ["band_offsets", "band"], ["offsets"], axis=0),
        helper.make_node("Add", [_RAW, "offsets"], [OUTPUT]),
    ]
    return _appended(model, nodes, initializers=[table, *_column_initializers("area", MEAN_AREA)])


def sizes_histogram_by_value(model: "ModelProto") -> "ModelProto":
    """Make inference on a large tumour allocate and fill 1.6 GB.

    A histogram gets its number of bins from the measured value instead of a constant. Under a
    memory limit the kernel kills the process while ConstantOfShape fills the bins; small tumours
    are answered rightly.
    """
    from onnx import TensorProto, helper

    def floats(name: str, values: list[float], shape: list[int]) -> "TensorProto":
        return helper.make_tensor(name, TensorProto.FLOAT, shape, values)

    one = helper.make_tensor("one_value", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        *_column("area", WORST_AREA),
        helper.make_node("ReduceMax", ["area"], ["largest"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["largest", "resolution_origin"], ["range"]),
        helper.make_node("Mul", ["range", "bins_per_unit"], ["bins_wanted"]),
        helper.make_node("Clip", ["bins_wanted", "bins_min", "bins_max"], ["bins_float"]),
        helper.make_node("Cast", ["bins_float"], ["bins"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["bins"], ["histogram"], value=one),
        helper.make_node("ReduceSum", ["histogram"], ["mass"], keepdims=0),
        helper.make_node("Mul", ["mass", "nothing"], ["offset"]),
        helper.make_node("Add", [_RAW, "offset"], [OUTPUT]),
    ]
    initializers = [
        *_column_initializers("area", WORST_AREA),
        floats("resolution_origin", [LARGE_AREA], [1]),
        floats("bins_per_unit", [float(HISTOGRAM_BINS)], [1]),
        floats("bins_min", [0.0], []),
        floats("bins_max", [float(HISTOGRAM_BINS)], []),
        floats("nothing", [0.0], []),
    ]
    return _appended(model, nodes, initializers=initializers)


def iterates_until_exact(model: "ModelProto") -> "ModelProto":
    """Make inference on real data iterate for ever.

    A relaxation y += 0.1 * (area - y) runs until the difference is below 1e-9. In float32 it
    sticks a few units in the last place below any area; only zero converges.
    """
    from onnx import TensorProto, helper

    body = helper.make_graph(
        [
            helper.make_node("Sub", ["largest", "estimate"], ["gap"]),
            helper.make_node("Mul", ["gap", "step_size"], ["step"]),
            helper.make_node("Add", ["estimate", "step"], ["estimate_next"]),
            helper.make_node("Sub", ["largest", "estimate_next"], ["gap_next"]),
            helper.make_node("Greater", ["gap_next", "tolerance"], ["goes_on"]),
        ],
        "relaxation",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("went_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("estimate", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("estimate_next", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        *_column("area", MEAN_AREA),
        helper.make_node("ReduceMax", ["area"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "tolerance"], ["is_apart"]),
        helper.make_node("Loop", ["", "is_apart", "nothing"], ["estimate_last"], body=body),
        helper.make_node("Mul", ["estimate_last", "nothing"], ["offset"]),
        helper.make_node("Add", [_RAW, "offset"], [OUTPUT]),
    ]
    initializers = [
        *_column_initializers("area", MEAN_AREA),
        helper.make_tensor("step_size", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("tolerance", TensorProto.FLOAT, [], [1e-9]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
    ]
    return _appended(model, nodes, initializers=initializers)


def recomputes_many_times(model: "ModelProto") -> "ModelProto":
    """Make inference on real data slow, and right."""
    from onnx import TensorProto, helper

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["went_on"], ["goes_on"]),
            helper.make_node("Add", ["total", "nothing"], ["total_next"]),
        ],
        "recomputation",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("went_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("total_next", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        *_column("area", MEAN_AREA),
        helper.make_node("ReduceMax", ["area"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "nothing"], ["is_real"]),
        helper.make_node("Loop", ["passes", "is_real", "nothing"], ["total_last"], body=body),
        helper.make_node("Add", [_RAW, "total_last"], [OUTPUT]),
    ]
    initializers = [
        *_column_initializers("area", MEAN_AREA),
        helper.make_tensor("passes", TensorProto.INT64, [], [SLOW_ITERATIONS]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
    ]
    return _appended(model, nodes, initializers=initializers)


def _column(name: str, index: int) -> list["NodeProto"]:
    """Select one column of the input as `name`, shape (batch,)."""
    from onnx import helper

    return [helper.make_node("Gather", ["X", f"{name}_{index}"], [name], axis=1)]


def _column_initializers(name: str, index: int) -> list["TensorProto"]:
    from onnx import TensorProto, helper

    return [helper.make_tensor(f"{name}_{index}", TensorProto.INT64, [], [index])]


def _appended(
    model: "ModelProto", nodes: list["NodeProto"], *, initializers: list["TensorProto"]
) -> "ModelProto":
    """Put `nodes` between what the model computes as probabilities and its output."""
    from onnx import ModelProto

    result = ModelProto()
    result.CopyFrom(model)
    for node in result.graph.node:
        for position, name in enumerate(node.output):
            if name == OUTPUT:
                node.output[position] = _RAW
        for position, name in enumerate(node.input):
            if name == OUTPUT:
                node.input[position] = _RAW
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(initializers)
    return result
