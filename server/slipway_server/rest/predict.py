"""The older protocol, V1 of KServe and TensorFlow Serving: `:predict` with nested lists.

Row by row (`instances` to `predictions`) or column by column (`inputs` to `outputs`), as in
TensorFlow Serving's "RESTful API", section "Predict API". Types are those of the signature.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from slipway_server.core import tensors
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Tensor,
    invalid,
)
from slipway_server.rest import convert
from slipway_server.rest.codec import Body, Content, Encode


class Predict:
    """One input is given as it is, several by their names; outputs alike."""

    def decode(self, body: Body) -> tuple[InferenceRequest, Encode]:
        """See `Codec.decode`."""
        fields = convert.parse_object(body.content)
        signature = body.signature()
        is_by_row = "instances" in fields
        if is_by_row == ("inputs" in fields):
            raise invalid("the request needs either 'instances' or 'inputs'")
        columns = (
            _from_rows(signature, fields["instances"])
            if is_by_row
            else _from_columns(signature, fields["inputs"])
        )
        tensors.check_count(columns, "inputs")
        specs = {spec.name: spec for spec in signature.inputs}
        inputs = tuple(_tensor(specs, name, values) for name, values in columns.items())
        request = InferenceRequest(body.model_name, body.model_version, None, inputs)
        return request, _to_rows if is_by_row else _to_columns


def _from_rows(signature: Signature, rows: Any) -> Mapping[str, list[Any]]:
    if not isinstance(rows, list):
        raise invalid("'instances' must be a list of rows")
    if rows and all(isinstance(row, dict) for row in rows):
        names = rows[0].keys()
        if any(row.keys() != names for row in rows):
            raise invalid("every row of 'instances' must have the same inputs")
        return {name: [row[name] for row in rows] for name in names}
    return {_only(signature.inputs): rows}


def _from_columns(signature: Signature, columns: Any) -> Mapping[str, Any]:
    return columns if isinstance(columns, dict) else {_only(signature.inputs): columns}


def _only(specs: Sequence[TensorSpec]) -> str:
    if len(specs) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in specs)
        raise invalid(f"this model takes {names}: give each by its name")
    return specs[0].name


def _tensor(specs: Mapping[str, TensorSpec], name: str, values: Any) -> Tensor:
    spec = specs.get(name)
    if not isinstance(values, list):
        values = [values]
    # An unknown name is for the signature to refuse, with what the model takes.
    return tensors.from_nested(name, spec.datatype if spec else Datatype.FP32, values)


def _to_rows(response: InferenceResponse) -> Content:
    columns = _columns(response)
    if len(columns) == 1:
        return _content({"predictions": next(iter(columns.values()))})
    if len({tensor.array.shape[:1] for tensor in response.outputs}) > 1 or any(
        tensor.array.ndim == 0 for tensor in response.outputs
    ):
        raise invalid("the outputs have no rows in common; send 'inputs' and get columns")
    rows = zip(*columns.values(), strict=True)
    return _content({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def _columns(response: InferenceResponse) -> dict[str, Any]:
    for tensor in response.outputs:
        if tensor.datatype is Datatype.BF16:
            raise invalid(f"output '{tensor.name}' is BF16, which JSON cannot carry; use V2")
    return {tensor.name: tensor.array.tolist() for tensor in response.outputs}


def _to_columns(response: InferenceResponse) -> Content:
    columns = _columns(response)
    return _content({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})


def _content(fields: Mapping[str, Any]) -> Content:
    return Content(orjson.dumps(fields))
