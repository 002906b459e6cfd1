"""Expectations: what a model must show before it is ready.

One form in three places: `spec.model.expectations`, `expectations.json` in the model's own folder,
and a file for the server's command line. Tensors are written as the Open Inference Protocol writes
them, so that a recorded request and its answer can be pasted.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from slipway_api.base import ContractModel
from slipway_api.rules import rule
from slipway_api.tensors import (
    DIMENSION_COUNT_MAX,
    OPEN,
    DeclaredTensor,
    ExpectedTensor,
    GivenTensor,
    wrong,
)

TENSOR_COUNT_MAX: Final = 64
REQUEST_COUNT_MAX: Final = 16

_BY_NAME: Final[JsonDict] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


def _tensors(description: str) -> FieldInfo:
    """Say of a list that it holds tensors, at least one, by name."""
    field: FieldInfo = Field(
        min_length=1,
        max_length=TENSOR_COUNT_MAX,
        description=description,
        json_schema_extra=_BY_NAME,
    )
    return field


class ModelSignature(ContractModel):
    """All inputs and outputs that the model must have, in any order."""

    inputs: Annotated[tuple[DeclaredTensor, ...], _tensors("Every input of the model.")]
    outputs: Annotated[tuple[DeclaredTensor, ...], _tensors("Every output of the model.")]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        _check_names(self.inputs, field="inputs")
        _check_names(self.outputs, field="outputs")
        return self


class RecordedRequest(ContractModel):
    """The body of an inference request. What it has besides inputs is ignored."""

    model_config = ConfigDict(json_schema_extra=OPEN)

    inputs: Annotated[tuple[GivenTensor, ...], _tensors("Every input of the model.")]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        _check_names(self.inputs, field="inputs")
        return self


class ExpectedResponse(ContractModel):
    """The body of its answer. What it has besides outputs is ignored."""

    model_config = ConfigDict(json_schema_extra=OPEN)

    outputs: Annotated[
        tuple[ExpectedTensor, ...],
        _tensors("The outputs to compare; others may be what they like."),
    ]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        _check_names(self.outputs, field="outputs")
        return self


class Tolerance(ContractModel):
    """How far a float may be from what is expected: absolute + relative × |expected|."""

    relative: Annotated[
        float | None, Field(ge=0, le=1, description="Share of the expected value.")
    ] = None
    absolute: Annotated[
        float | None, Field(ge=0, le=1e15, description="For expected values close to 0.")
    ] = None


class GoldenRequest(ContractModel):
    """A request that the model must answer right before it is ready."""

    request: Annotated[
        RecordedRequest,
        Field(description="Body of an inference request, in JSON without binaries."),
    ]
    response: Annotated[ExpectedResponse, Field(description="Body of the answer that is expected.")]
    tolerance: Annotated[
        Tolerance | None,
        Field(
            description="How far floats may be off; by default relative 0.001 and absolute 0.00001"
            " for FP32, 0.000001 and 0.00000001 for FP64, 0.01 and 0.001 for FP16. All else must be"
            " equal."
        ),
    ] = None


class Expectations(ContractModel):
    """What a model must show before it is ready."""

    signature: Annotated[
        ModelSignature | None,
        Field(description="Inputs and outputs; a model that has others is refused."),
    ] = None
    warm_up: Annotated[
        tuple[
            Annotated[
                dict[
                    str,
                    Annotated[
                        tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], ...],
                        Field(max_length=DIMENSION_COUNT_MAX),
                    ],
                ],
                Field(max_length=TENSOR_COUNT_MAX),
            ],
            ...,
        ]
        | None,
        Field(
            min_length=1,
            max_length=REQUEST_COUNT_MAX,
            description="One inference of zeros for each entry: shapes by input, e.g. x: [8, 30]."
            " Sizes of inputs that are not named are 1 where they may vary. Absent: one inference"
            " with such sizes.",
        ),
    ] = None
    golden_requests: Annotated[
        tuple[GoldenRequest, ...] | None,
        Field(
            min_length=1,
            max_length=REQUEST_COUNT_MAX,
            description="Requests, and the answers that the model must give.",
        ),
    ] = None

    @rule(
        "!has(self.signature) || !has(self.goldenRequests) || self.goldenRequests.all(g,"
        " g.request.inputs.size() == self.signature.inputs.size() && g.request.inputs.all(t,"
        " self.signature.inputs.exists(d, d.name == t.name && d.datatype == t.datatype)))",
        message="the request of each golden request must have exactly the inputs of signature, with"
        " the same names and datatypes",
        field="goldenRequests",
    )
    def requests_fit_the_signature(self) -> bool:
        wanted = self._declared("inputs")
        return wanted is None or all(
            {(t.name, t.datatype) for t in golden.request.inputs} == wanted
            for golden in self.golden_requests or ()
        )

    @rule(
        "!has(self.signature) || !has(self.goldenRequests) || self.goldenRequests.all(g,"
        " g.response.outputs.all(t,"
        " self.signature.outputs.exists(d, d.name == t.name && d.datatype == t.datatype)))",
        message="the response of each golden request may only have outputs of signature, with the"
        " same names and datatypes",
        field="goldenRequests",
    )
    def responses_fit_the_signature(self) -> bool:
        wanted = self._declared("outputs")
        return wanted is None or all(
            (t.name, t.datatype) in wanted
            for golden in self.golden_requests or ()
            for t in golden.response.outputs
        )

    @rule(
        "!has(self.signature) || !has(self.warmUp) || self.warmUp.all(w, w.all(name,"
        " self.signature.inputs.exists(d,"
        " d.name == name && d.shape.size() == w[name].size())))",
        message="warmUp may only name inputs of signature, with as many sizes as they have there",
        field="warmUp",
    )
    def warm_ups_fit_the_signature(self) -> bool:
        if self.signature is None:
            return True
        ranks = {tensor.name: len(tensor.shape) for tensor in self.signature.inputs}
        return all(
            ranks.get(name) == len(shape)
            for shapes in self.warm_up or ()
            for name, shape in shapes.items()
        )

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.signature is None:
            return self
        inputs = {tensor.name: tensor for tensor in self.signature.inputs}
        outputs = {tensor.name: tensor for tensor in self.signature.outputs}
        for index, golden in enumerate(self.golden_requests or ()):
            at = f"goldenRequests[{index}]"
            _check_shapes(golden.request.inputs, inputs, field=f"{at}.request.inputs")
            _check_shapes(golden.response.outputs, outputs, field=f"{at}.response.outputs")
        return self

    def to_text(self) -> str:
        """Write it as JSON in one line, for a variable of a container.

        Kubernetes would take `$(NAME)` in it for a reference to another variable.
        """
        text = json.dumps(self.to_wire(), separators=(",", ":"), ensure_ascii=False)
        return text.replace("$", "\\u0024")

    def _declared(self, side: Literal["inputs", "outputs"]) -> set[tuple[str, str]] | None:
        if self.signature is None:
            return None
        return {(tensor.name, tensor.datatype) for tensor in getattr(self.signature, side)}


def _check_names(tensors: Iterable[DeclaredTensor | GivenTensor], *, field: str) -> None:
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise wrong(f"'{tensor.name}' is there twice: keep one", field=field)
        seen.add(tensor.name)


def _check_shapes(
    tensors: Iterable[GivenTensor], declared: dict[str, DeclaredTensor], *, field: str
) -> None:
    for tensor in tensors:
        wanted = declared.get(tensor.name)
        if wanted is not None and not wanted.accepts(tensor.shape):
            raise wrong(
                f"'{tensor.name}' has shape {list(tensor.shape)}, signature declares"
                f" {list(wanted.shape)}",
                field=field,
            )
