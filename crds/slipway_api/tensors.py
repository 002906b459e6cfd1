"""Tensors as users declare and record them, in the JSON of the Open Inference Protocol."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from slipway_api.base import ContractModel

VALUE_COUNT_MAX: Final = 2**24  # of one tensor: as many as a request to the server can carry
DYNAMIC: Final = -1  # a dimension of any size
DIMENSION_COUNT_MAX: Final = 16

_Exact = Literal[
    "BOOL",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
]
Datatype = Literal[_Exact, "FP16", "BF16", "FP32", "FP64", "BYTES"]
# What can be written as JSON: not BF16, which the protocol carries as bytes alone.
JsonDatatype = Literal[_Exact, "FP16", "FP32", "FP64", "BYTES"]
TensorName = Annotated[str, Field(min_length=1, max_length=128, description="Name of the tensor.")]

# Of an object that may hold anything besides what is declared, or of any value.
OPEN: Final[JsonDict] = {"x-kubernetes-preserve-unknown-fields": True}


def wrong(message: str, *, field: str = "") -> PydanticCustomError:
    """Make the complaint about what no CEL can see."""
    return PydanticCustomError("expectation", "{message}", {"message": message, "field": field})


class DeclaredTensor(ContractModel):
    """An input or output that the model must have."""

    name: TensorName
    datatype: Annotated[Datatype, Field(description="Datatype of the Open Inference Protocol.")]
    shape: Annotated[
        tuple[Annotated[int, Field(ge=DYNAMIC, le=2**31 - 1)], ...],
        Field(max_length=DIMENSION_COUNT_MAX, description="Sizes; -1 is any size. [] is a scalar."),
    ]

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape fits."""
        return len(shape) == len(self.shape) and all(
            wanted in (DYNAMIC, size) for wanted, size in zip(self.shape, shape, strict=True)
        )


class GivenTensor(ContractModel):
    """A tensor with its values, as the protocol writes it."""

    model_config = ConfigDict(json_schema_extra=OPEN)
    has_null: ClassVar[bool] = False

    name: TensorName
    datatype: Annotated[JsonDatatype, Field(description="Datatype of the values.")]
    shape: Annotated[
        tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...],
        Field(max_length=DIMENSION_COUNT_MAX, description="Sizes of the tensor."),
    ]
    data: Annotated[
        tuple[Annotated[Any, Field(json_schema_extra=OPEN)], ...],
        Field(
            max_length=VALUE_COUNT_MAX,
            description="Values, row by row: flat, or nested as the shape says.",
        ),
    ]

    def flat(self) -> list[Any]:
        """List the values, row by row."""
        return _flat(self.data, self.shape)

    @model_validator(mode="after")
    def _has_its_values(self) -> Self:
        values = self.flat()
        if len(values) != prod(self.shape):
            raise wrong(
                f"shape {list(self.shape)} needs {prod(self.shape)} values, data has {len(values)}",
                field="data",
            )
        for index, value in enumerate(values):
            if not _is_value(value, self.datatype, may_be_null=self.has_null):
                raise wrong(f"value {index} is no {self.datatype}", field="data")
        return self


class ExpectedTensor(GivenTensor):
    """An output as it should be. `null` stands for NaN and infinities, as answers have it."""

    has_null: ClassVar[bool] = True


def _flat(data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Unfold nested values, whose nesting must be that of the shape."""
    level = list(data)
    for depth in range(1, len(shape)):
        if not any(isinstance(item, list) for item in level):
            break
        size = shape[depth]
        if len(level) != prod(shape[:depth]) or not all(
            isinstance(item, list) and len(item) == size for item in level
        ):
            raise wrong(f"data is not nested as shape {list(shape)} says", field="data")
        level = [value for item in level for value in item]
    return level


def _is_value(value: object, datatype: str, *, may_be_null: bool) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if datatype.startswith("FP"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number or (value is None and may_be_null)
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    if datatype.startswith("U"):
        return 0 <= value < 1 << bits
    return -(1 << bits - 1) <= value < 1 << bits - 1
