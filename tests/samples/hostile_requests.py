"""Requests over REST that broke this server or another one, and what each is answered.

Found by fuzzing, by reading, and in what other servers had to mend. For a model `model` with one
input `x`, FP32 of shape [-1, -1]. Whoever finds another one adds it here.
"""

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

INFER = "/v2/models/model/infer"
PREDICT = "/v1/models/model:predict"
LENGTH = "Inference-Header-Content-Length"
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Hostile:
    """A body with its headers, the status that refuses it and words of the reason."""

    name: str
    body: bytes
    words: str
    status: int = 400
    path: str = INFER
    headers: dict[str, str] = field(default_factory=dict)


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1], **fields}


def text(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def binary(size: Any, tail: bytes = b"1234", *, lie: int = 0, **fields: Any) -> dict[str, Any]:
    """Body and headers of a binary tensor; `lie` is added to the length of the JSON."""
    entry = tensor(parameters={"binary_data_size": size}, **fields)
    if "data" not in fields:
        del entry["data"]
    header = text(entry)
    return {"body": header + tail, "headers": {LENGTH: str(len(header) + lie)}}


def coded(content: bytes, coding: str = "gzip") -> dict[str, Any]:
    return {"body": content, "headers": {"Content-Encoding": coding}}


def squeezed(byte_count: int) -> bytes:
    """So many spaces in gzip, a thousandth of their size."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    return deflater.compress(b" " * byte_count) + deflater.flush()


def nested(depth: int, inner: bytes = b"") -> bytes:
    return b"[" * depth + inner + b"]" * depth


def with_data(data: bytes) -> bytes:
    return b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":' + data + b"}]}"


BOMB = squeezed(100 * MIB)
LONG_THEN_MANY = ["a" * 20_000, *[""] * 20_000]  # 80 KB that became 1.6 GB and 4 s

BODIES = [
    Hostile("nothing", b"", "not JSON"),
    Hostile("a NUL", b"\0", "not JSON"),
    Hostile("half of it", text(tensor())[:-9], "not JSON"),
    Hostile("not UTF-8", b'{"inputs": "\xff\xfe"}', "not JSON"),
    Hostile("a lone surrogate", b'{"inputs": "\\ud800"}', "not JSON"),
    Hostile("NaN", with_data(b"[NaN]"), "not JSON"),
    Hostile("a number of 100 000 digits", with_data(b"[" + b"9" * 100_000 + b"]"), "not JSON"),
    Hostile("a list", b"[]", "must be a JSON object"),
    Hostile("inputs that are an object", b'{"inputs": {}}', "must be a list"),
    Hostile("deep JSON", b'{"inputs":' + nested(100_000) + b"}", "depth limit"),
    Hostile("deep data", with_data(nested(9, b"1")), "more than 8 lists deep"),
    Hostile("very deep data", with_data(nested(1000, b"1")), "more than 8 lists deep"),
    Hostile("deep parameters", text(tensor(parameters={"a": [[[]]]})), "strings, numbers"),
    Hostile("strings for numbers", text(tensor(data=["1"])), "must be values of FP32"),
    Hostile(
        "a long string and many short ones",
        text(tensor(shape=[1, 20_001], data=LONG_THEN_MANY)),
        "must be values of FP32",
    ),
    Hostile(
        "the same in rows",
        text(tensor(shape=[20_001, 1], data=[[each] for each in LONG_THEN_MANY])),
        "must be values of FP32",
    ),
    Hostile(
        "the same in the first protocol",
        json.dumps({"instances": LONG_THEN_MANY}).encode(),
        "must be values of FP32",
        path=PREDICT,
    ),
    Hostile(
        "nine million empty lists",
        with_data(b"[" + b",".join([b"[]"] * 4_500_000) + b"]"),
        "more than 8388608 values",
        status=413,
    ),
    Hostile(
        "nine million zeros", with_data(b"[" + b"0," * 9_000_000 + b"0]"), "values", status=413
    ),
    # Found by schemathesis: a parser looks keys up as C strings, which end at a NUL.
    Hostile(
        "keys with a NUL in a large body",
        text(tensor(**{"\0": 1, "shape\0": [9], "data\0": [1, 2]}, pad="a" * 5000, shape=[2])),
        "needs 2 elements, data has 1",
    ),
    Hostile("ragged data", text(tensor(data=[[1], [1, 2]])), "not a regular array"),
    Hostile("rows and a number", text(tensor(data=[[1], 2])), "not a regular array"),
    Hostile("a negative size", text(tensor(shape=[-1, -1])), ">= 0"),
    Hostile("a size of half an element", text(tensor(shape=[0.5, 2])), "must be integers"),
    Hostile("sizes whose product overflows", text(tensor(shape=[2**33, 2**33])), "needs"),
    Hostile("sizes beyond 64 bits", text(tensor(shape=[2**64 - 1] * 2)), "needs"),
    Hostile(
        "no elements of an absurd shape",
        text(tensor(shape=[0, 2**62, 2**62], data=[])),
        "too large",
    ),
    Hostile("nine dimensions", text(tensor(shape=[1] * 9)), "9 dimensions"),
    Hostile("a shape of 10 000 sizes", text(tensor(shape=[2**63] * 10_000)), "dimensions"),
    Hostile("an input twice", text(tensor(), tensor()), "given twice"),
    Hostile("2000 inputs", text(*[tensor()] * 2000), "2000 inputs; 1024"),
    Hostile("2000 outputs", text(tensor(), outputs=[{"name": "y"}] * 2000), "2000 outputs; 1024"),
    Hostile("an output twice", text(tensor(), outputs=[{"name": "y"}] * 2), "asked for twice"),
    Hostile("a name of a megabyte", text(tensor(name="n" * MIB)), "unknown input"),
    Hostile("a datatype of a megabyte", text(tensor(datatype="n" * MIB)), "unknown datatype"),
    Hostile("an id that is a number", text(tensor(), id=7), "'id' must be a string"),
    Hostile(
        "a million classes",
        text(
            tensor(shape=[1, 70_000], data=[0] * 70_000),
            outputs=[{"name": "y", "parameters": {"classification": 10**6}}],
        ),
        "too many",
    ),
    Hostile(
        "shared memory",
        text(tensor(parameters={"shared_memory_region": "region0"})),
        "no shared memory",
        status=415,
    ),
    Hostile("binary data that is not there", **binary(4, b""), words="0 bytes are left"),
    Hostile("binary data of more than there is", **binary(2**64 - 1), words="4 bytes are left"),
    Hostile("binary data of less than nothing", **binary(-4), words=">= 0"),
    Hostile("binary data of a true size", **binary(True), words="must be an integer"),
    Hostile("binary data beside data", **binary(4, data=[1]), words="both 'data' and"),
    Hostile("binary data with more behind", **binary(4, b"12345678"), words="4 bytes follow"),
    Hostile("binary data of the wrong size", **binary(3, b"123"), words="needs 4 bytes, got 3"),
    Hostile("binary data of an absurd shape", **binary(4, shape=[2**40, 2**40]), words="needs"),
    Hostile("a header length beyond the body", **binary(4, lie=9999), words="the body has"),
    Hostile("a header length too short", **binary(4, lie=-1), words="not JSON"),
    Hostile("a header length too long", **binary(4, lie=1), words="not JSON"),
    *[
        Hostile(
            f"the header length {value[:8]}",
            text(tensor()),
            "must be a number of bytes",
            headers={LENGTH: value},
        )
        for value in ("-1", "1e3", "0x10", "", "9" * 5000)
    ],
    Hostile("a raw body of half a number", b"123456", "needs", headers={LENGTH: "0"}),
    Hostile("gzip that is none", **coded(b"nothing of the kind"), words="not valid gzip"),
    Hostile("gzip without its end", **coded(gzip.compress(b"{}" * 99)[:-5]), words="too early"),
    Hostile("gzip with more behind", **coded(gzip.compress(b"{}") * 2), words="follows its end"),
    Hostile("deflate that is gzip", **coded(gzip.compress(b"{}"), "deflate"), words="not valid"),
    Hostile("a gzip bomb", **coded(BOMB), words="exceeds", status=413),
    Hostile("a bomb in a bomb", **coded(gzip.compress(BOMB)), words="not JSON"),
    Hostile("two codings", **coded(b"", "gzip, gzip"), words="not supported", status=415),
    Hostile("an unknown coding", **coded(b"", "z" * 9000), words="not supported", status=415),
    Hostile("no rows", b"{}", "either 'instances' or 'inputs'", path=PREDICT),
    Hostile("rows that are a number", b'{"instances": 7}', "a list of rows", path=PREDICT),
    Hostile(
        "2000 columns",
        json.dumps({"inputs": {f"x{n}": [1] for n in range(2000)}}).encode(),
        "2000 inputs; 1024",
        path=PREDICT,
    ),
    Hostile(
        "rows as deep as a well",
        b'{"instances":' + nested(1000, b"1") + b"}",
        "more than 8 lists deep",
        path=PREDICT,
    ),
]

# Raw contents of BYTES of two elements.
STRINGS = [
    (b"\1\0\0", "inside a length"),
    (b"\xff\xff\xff\xff", "inside an element"),
    (struct.pack("<I", 2**31) + b"a", "inside an element"),
    (b"\0\0\0\0" * 3, "needs 2 elements, got 3"),
    (b"\0\0\0\0\1\0\0\0\xff", "must be UTF-8"),
    (b"\0\0\0\0\3\0\0\0\xed\xa0\x80", "must be UTF-8"),  # half a surrogate pair
]
