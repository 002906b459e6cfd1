"""Reads tables: CSV with a head, `.npy` and `.npz`. With numpy alone."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from slipway_server.core.tensors import Array
from slipway_server.distributions.survey import Column

_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})


class TableError(Exception):
    """A table that cannot be read, and why."""


def read(path: Path, *, drop: Sequence[str] = ()) -> list[Column]:
    """The columns of a table but those in `drop`, which the model does not take (a label)."""
    match path.suffix.lower():
        case ".csv":
            columns = _csv(path)
        case ".npy":
            columns = list(_columns(np.load(path, allow_pickle=False), names="", of=None))
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                columns = [
                    column
                    for name, array in arrays.items()
                    for column in _columns(array, names=name, of=name)
                ]
        case _:
            raise TableError(f"{path.name} is no table; it must be .csv, .npy or .npz")
    absent = set(drop) - {column.name for column in columns}
    if absent:
        raise TableError(f"{path.name} has no column '{min(absent)}' to drop")
    kept = [column for column in columns if column.name not in drop]
    if len({len(column.values) for column in kept}) > 1:
        raise TableError(f"the arrays of {path.name} must have as many rows as each other")
    return _renumbered(kept)


def _renumbered(columns: Sequence[Column]) -> list[Column]:
    """What is left of a table has no gaps: the model's columns are counted without the label."""
    return [
        Column(column.name, column.values, None, index) if column.input is None else column
        for index, column in enumerate(columns)
    ]


def _csv(path: Path) -> list[Column]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        head = next(rows, [])
        texts = list(zip(*_whole(rows, head, path), strict=True))
    if not head or not texts:
        raise TableError(f"{path.name} has no rows below a head of names")
    return [Column(name, _parsed(values)) for name, values in zip(head, texts, strict=True)]


def _whole(rows: Iterable[list[str]], head: list[str], path: Path) -> Iterable[list[str]]:
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(head):
            raise TableError(
                f"line {number} of {path.name} has {len(row)} fields, its head {len(head)}"
            )
        if row:
            yield row


def _parsed(texts: Sequence[str]) -> Array:
    """Floats if every value that is there is one, else strings; what is missing is NaN or ""."""
    bare = ["" if text.strip().lower() in _MISSING else text.strip() for text in texts]
    try:
        return np.array([float(text) if text else np.nan for text in bare])
    except ValueError:
        return np.array(bare, dtype=object)


def _columns(array: Array, *, names: str, of: str | None) -> Iterable[Column]:
    """Columns of an array of one or two dimensions; an only column is called as its array is."""
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiubU":
        raise TableError(
            f"array '{names}' is {array.dtype} of shape {array.shape}; it must hold numbers or "
            "strings, rows first, and columns"
        )
    table = array.reshape(len(array), -1)
    if array.dtype.kind == "U":
        table = table.astype(object)
    elif array.dtype != np.float32:
        table = table.astype(np.float64)
    for index in range(table.shape[1]):
        name = names if names and table.shape[1] == 1 else f"{names}[{index}]"
        yield Column(name, table[:, index], of, index)
