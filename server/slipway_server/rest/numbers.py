"""Large JSON bodies, of which most is flat lists of numbers: those straight to arrays.

A list of Python floats takes longer to make and to turn into an array than all else about a body.
"""

from typing import Any, Final

import numpy as np
import simdjson

from slipway_server.core.tensors import DTYPES, Datatype

BYTES_MIN: Final = 4096  # from here on it pays; half the time at 16 kB, a quarter at 700 kB
# Kinds of numbers, what simdjson calls the widest of each, and numpy.
_WIDEST: Final = {"f": ("d", "<f8"), "i": ("i", "<i8"), "u": ("u", "<u8")}
_BY_DATATYPE: Final = {
    str(datatype): _WIDEST[dtype.kind]
    for datatype, dtype in DTYPES.items()
    if dtype.kind in _WIDEST and datatype is not Datatype.BF16  # bits, which nobody writes
}


def parse(body: bytes) -> dict[str, Any] | None:
    """An object with `inputs`, each `data` a numpy array of the widest numbers, or a list.

    None where something about the body is out of the ordinary, right or wrong: another parser is to
    be asked, which knows how to say so.
    """
    try:
        document = simdjson.Parser().parse(body)
        if not isinstance(document, simdjson.Object):
            return None
        fields = _object(document, lazy="inputs")
        if fields is None or not isinstance(fields.get("inputs"), simdjson.Array):
            return None
        inputs = [_input(entry) for entry in fields["inputs"]]
    except (ValueError, TypeError, RuntimeError):  # no JSON, or numbers beyond the widest
        return None
    # A list for each shape and data, and around them: any other may hide in the numbers.
    list_count = 1 + 2 * len(inputs) + sum(isinstance(value, list) for value in fields.values())
    if None in inputs or body.count(b"[") != list_count:
        return None
    return {**fields, "inputs": inputs}


def _input(entry: Any) -> dict[str, Any] | None:
    if not isinstance(entry, simdjson.Object):
        return None
    fields = _object(entry, lazy="data")
    if fields is None or not isinstance(fields.get("data"), simdjson.Array):
        return None
    data, widest = fields["data"], _BY_DATATYPE.get(str(fields.get("datatype")))
    if widest is None:
        fields["data"] = data.as_list()
    else:
        fields["data"] = np.frombuffer(data.as_buffer(of_type=widest[0]), widest[1])
    return fields


def _object(value: Any, *, lazy: str) -> dict[str, Any] | None:
    """An object as a dictionary, but for the member that is left to be looked into."""
    keys = list(value.keys())
    # Looked up as a C string, a key with a NUL in it is another one, or none.
    if len(set(keys)) != len(keys) or "\0" in "".join(keys):
        return None
    return {key: value[key] if key == lazy else _plain(value[key]) for key in keys}


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value
