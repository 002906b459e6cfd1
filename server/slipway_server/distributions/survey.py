"""Makes a reference profile of a table: what each column held. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from slipway_server.core.bins import BINS_MAX, MISSING, OTHER
from slipway_server.core.profile import FEATURES_MAX, Category, Number, Profile
from slipway_server.core.tensors import Array

QUANTILES: Final = 20
VALUES_MAX: Final = BINS_MAX - 4  # of a category; the rest is counted together
_RESERVED: Final = (OTHER, MISSING)


@dataclass(frozen=True, slots=True)
class Column:
    """One feature's values: floats (NaN is missing) or strings ("" is missing).

    `input` None: see `core.profile.place`.
    """

    name: str
    values: Array
    input: str | None = None
    index: int = 0


def profile(columns: Sequence[Column], *, only: Sequence[str] = ()) -> tuple[Profile, list[str]]:
    """Count columns of equal length, and name those that there was no room for.

    `only` are the columns to count, none means as many as a profile may have. ValueError names a
    column that cannot be counted.
    """
    absent = set(only) - {column.name for column in columns}
    if absent:
        raise ValueError(f"there is no column '{min(absent)}'")
    wanted = [column for column in columns if not only or column.name in only]
    features = tuple(_feature(column) for column in wanted[:FEATURES_MAX])
    rows = len(columns[0].values) if columns else 0
    left_out = [column.name for column in wanted[FEATURES_MAX:]]
    return Profile(rows=rows, features=features), left_out


def _feature(column: Column) -> Number | Category:
    return _category(column) if column.values.dtype.kind == "O" else _number(column)


def _number(column: Column) -> Number:
    """Bins that hold about as many rows each, with edges that are values of the column.

    A column of few different values has a bin for each that is not rare.
    """
    values = column.values
    found = np.sort(values[np.isfinite(values)])
    if not len(found):
        raise ValueError(f"column '{column.name}' has no number in it")
    parts = np.arange(QUANTILES) / QUANTILES
    lower = np.unique(found[(parts * len(found)).astype(int)])
    edges = tuple(_short(value) for value in (*lower, found[-1]))
    empty = Number(
        name=column.name,
        input=column.input,
        column=column.index,
        edges=edges,
        counts=(0,) * (len(edges) + 2),
    )
    places = empty.cuts(values.dtype).searchsorted(values, side="right")
    counts = np.bincount(places, minlength=len(edges) + 2)
    return empty.model_copy(update={"counts": tuple(counts.tolist())})


def _short(value: np.floating) -> float:
    """The decimal that a person would write for a float of 32 bits, too."""
    return float(str(value))


def _category(column: Column) -> Category:
    counts = Counter(column.values.tolist())
    missing = counts.pop("", 0)
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    kept = [(value, count) for value, count in ranked if value not in _RESERVED][:VALUES_MAX]
    if not kept:
        raise ValueError(f"column '{column.name}' has no value in it")
    others = counts.total() - sum(count for _, count in kept)
    return Category(
        name=column.name,
        input=column.input,
        column=column.index,
        values=tuple(value for value, _ in kept),
        counts=(*(count for _, count in kept), others, missing),
    )
