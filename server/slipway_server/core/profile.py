"""The reference profile: how often each feature had which values when the model was made.

A JSON file, `profile.json`, whose counts live counts are compared with. Written by `slipway-server
profile`, or by whatever else can count. Pure but for `read`.

To be imported where there is a profile: pydantic is a sixth of a start that has none.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from slipway_server.core.bins import ABOVE, BELOW, BINS_MAX, MISSING, OTHER
from slipway_server.core.errors import LoadError
from slipway_server.core.signature import DYNAMIC, Signature, TensorSpec
from slipway_server.core.tensors import Array, Datatype

FORMAT: Final = "slipway-profile/1"
FEATURES_MAX: Final = 32  # with BINS_MAX: how many series a pod may have


class _Value(BaseModel):
    # Built when a profile is read, not at every start.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _Feature(_Value):
    """`input` and `column` say where it is; see `place`. `counts` has one for each of `bins`."""

    name: str = Field(min_length=1, max_length=100)
    input: str | None = None
    column: NonNegativeInt = 0
    counts: tuple[NonNegativeInt, ...]

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of what is counted."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _has_a_count_for_each_bin(self) -> Self:
        names = self.bins
        if len(set(names)) != len(names) or len(names) > BINS_MAX:
            raise ValueError(f"'{self.name}' must have at most {BINS_MAX} bins, all different")
        if len(names) != len(self.counts):
            raise ValueError(
                f"'{self.name}' has {len(self.counts)} counts for {len(names)} bins: {names}"
            )
        return self


class Number(_Feature):
    """A feature of numbers. A bin holds its lower edge, the last both of its edges."""

    kind: Literal["number"] = "number"
    edges: tuple[FiniteFloat, ...] = Field(min_length=2)

    @property
    def bins(self) -> tuple[str, ...]:
        """One below the first edge, those between edges, one above the last, one for NaN."""
        pairs = list(zip(self.edges, self.edges[1:], strict=False))
        inner = [f"[{low:.16g},{high:.16g})" for low, high in pairs[:-1]]
        low, high = pairs[-1]
        return (BELOW, *inner, f"[{low:.16g},{high:.16g}]", ABOVE, MISSING)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        steps = list(zip(self.edges, self.edges[1:], strict=False))
        if any(low >= high for low, high in steps[:-1]) or steps[-1][0] > steps[-1][1]:
            raise ValueError(f"the edges of '{self.name}' must ascend; only the last may repeat")
        return self

    def cuts(self, dtype: np.dtype[np.floating]) -> Array:
        """Where `numpy.searchsorted(…, side="right")` gives the index of a value's bin.

        In the type of the values, so that a value that is an edge stays one when both are rounded.
        """
        cuts = np.asarray(self.edges, np.float64).astype(dtype)
        cuts[-1] = np.nextafter(cuts[-1], np.asarray(np.inf, dtype))
        return np.append(cuts, np.asarray(np.nan, dtype))  # NaN is sorted behind everything


class Category(_Feature):
    """A feature of strings. Values that are not listed are counted together; "" is missing."""

    kind: Literal["category"] = "category"
    values: tuple[str, ...] = Field(min_length=1)

    @property
    def bins(self) -> tuple[str, ...]:
        """The values, one for all others, one for empty strings."""
        return (*self.values, OTHER, MISSING)

    @property
    def places(self) -> Mapping[str, int]:
        """The index of a value's bin; what is not in it is OTHER."""
        count = len(self.values)
        return {**{value: index for index, value in enumerate(self.values)}, "": count + 1}


Feature = Annotated[Number | Category, Field(discriminator="kind")]


class Profile(_Value):
    """A whole profile; `rows` is how many were counted."""

    format: Literal["slipway-profile/1"] = FORMAT
    rows: NonNegativeInt
    features: tuple[Feature, ...] = Field(max_length=FEATURES_MAX)

    @model_validator(mode="after")
    def _names_features_once(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("each feature must have a name of its own")
        return self


def place(feature: Number | Category, signature: Signature) -> tuple[str, int]:
    """The input and the column of it that hold a feature.

    Without `input` it is the model's only one; where a model has several, the one of the feature's
    own name. Raises LoadError.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    name, column = feature.input, feature.column
    if name is None:
        name, column = (next(iter(specs)), column) if len(specs) == 1 else (feature.name, 0)
    spec = specs.get(name)
    if spec is None:
        raise LoadError(
            f"the profile's feature '{feature.name}' is of input '{name}', which the model does "
            f"not have; it has {', '.join(specs)}"
        )
    _check(feature, spec, column)
    return name, column


def _check(feature: Number | Category, spec: TensorSpec, column: int) -> None:
    of = f"the profile's feature '{feature.name}'"
    shape = spec.shape
    width = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
    if width != DYNAMIC and column >= width:
        raise LoadError(
            f"{of} is column {column} of input '{spec.name}', whose shape is {list(shape)}"
        )
    if (spec.datatype is Datatype.BYTES) != isinstance(feature, Category):
        raise LoadError(
            f"{of} is a {feature.kind}, but input '{spec.name}' is {spec.datatype}; "
            "strings are categories, all else numbers"
        )


def read(path: Path, signature: Signature) -> Profile:
    """Read a profile that fits a model; LoadError says what is wrong with it."""
    try:
        profile = Profile.model_validate_json(path.read_bytes())
    except OSError as err:
        raise LoadError(f"the profile {path} cannot be read: {err.strerror}") from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LoadError(
            f"{path.name} is not a profile: {where}: {first['msg']}; "
            "make it again with `slipway-server profile`"
        ) from err
    for feature in profile.features:
        place(feature, signature)
    return profile
