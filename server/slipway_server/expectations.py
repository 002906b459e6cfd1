"""Expectations as people write them, made into what the core checks.

pydantic is loaded when there are any, not before: a start that has none should not pay for it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from slipway_server.core import tensors
from slipway_server.core.errors import LoadError
from slipway_server.core.readiness import Expectations, Golden
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype, Header, Tensor

if TYPE_CHECKING:
    from slipway_api import expectations as contract
    from slipway_api.tensors import DeclaredTensor, GivenTensor

BYTES_MAX: Final = 64 * 2**20  # as a request may have


def read(text: bytes | str, *, source: str = "") -> Expectations:
    """Read the JSON of `slipway_api.expectations`; none is asked for by an empty text.

    Raises LoadError with what is wrong and where: `source` names a file, and is empty for the
    specification.
    """
    if not text:
        return Expectations()
    from pydantic import ValidationError

    from slipway_api.expectations import Expectations as Contract
    from slipway_api.rules import describe

    where = source or "expectations"
    if len(text) > BYTES_MAX:
        raise LoadError(f"{where}: larger than {BYTES_MAX // 2**20} MiB")
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as err:
        raise LoadError(f"{where} is not JSON: {err}") from err
    known = [field.alias or "" for field in Contract.model_fields.values()]
    unknown = [key for key in fields if key not in known] if isinstance(fields, dict) else []
    if unknown:
        raise LoadError(f"{where}: unknown field '{unknown[0]}'; there are {', '.join(known)}")
    try:
        return _core(Contract.model_validate(fields), prefix=f"{source}: " if source else "")
    except ValidationError as err:
        raise LoadError(describe(err, at=where)) from err


def _core(given: "contract.Expectations", *, prefix: str) -> Expectations:
    declared = given.signature
    return Expectations(
        (Signature(_specs(declared.inputs), _specs(declared.outputs)),) if declared else (),
        tuple(given.warm_up or ()),
        tuple(
            _golden(one, name=f"{prefix}goldenRequests[{index}]")
            for index, one in enumerate(given.golden_requests or ())
        ),
    )


def _specs(declared: "Iterable[DeclaredTensor]") -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(t.name, Datatype(t.datatype), t.shape) for t in declared)


def _golden(given: "contract.GoldenRequest", *, name: str) -> Golden:
    tolerance = given.tolerance
    return Golden(
        name,
        tuple(_tensor(tensor) for tensor in given.request.inputs),
        tuple(_tensor(tensor) for tensor in given.response.outputs),
        tolerance.relative if tolerance else None,
        tolerance.absolute if tolerance else None,
    )


def _tensor(given: "GivenTensor") -> Tensor:
    """The contract has checked count, nesting and values: nothing here can be refused."""
    values = [np.nan if value is None else value for value in given.flat()]
    return tensors.from_values(Header(given.name, Datatype(given.datatype), given.shape), values)
