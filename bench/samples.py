"""The request set of a model: bodies made beforehand, and the answer that each version must give.

Standard library, orjson and the protocol's own messages only: it runs inside the load generator,
where every microsecond is taken from the system under test.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tritonclient.grpc import service_pb2

TOLERANCE: Final = 1e-5  # float32 on another machine; versions differ by a hundred times as much

_INPUT: Final = "X"
_LABEL: Final = "label"
_PROBABILITIES: Final = "probabilities"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: the version it names, and the label followed by the probabilities."""

    version: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """`rest[i]` and `rpc[i]` ask for row i; `answers[version][i]` is that version's answer."""

    rest: tuple[bytes, ...]
    rpc: tuple[bytes, ...]
    answers: Mapping[str, Sequence[Sequence[float]]]

    def is_right(self, index: int, answer: Answer) -> bool:
        """Tell whether `answer` is its own version's output for row `index`."""
        expected = self.answers.get(answer.version)
        if expected is None or len(expected[index]) != len(answer.values):
            return False
        return all(
            abs(wanted - got) <= TOLERANCE
            for wanted, got in zip(expected[index], answer.values, strict=True)
        )


def load(path: Path) -> Samples:
    """Read the file that `bench.models` wrote, and prepare all requests."""
    document = json.loads(path.read_text())
    rows: list[list[float]] = document["rows"]
    return Samples(
        rest=tuple(_rest_body(row) for row in rows),
        rpc=tuple(_rpc_request(document["model"], row) for row in rows),
        answers=document["answers"],
    )


def rest_answer(body: Mapping[str, Any]) -> Answer:
    """Read a decoded V2 inference response; KeyError or ValueError if it is none."""
    outputs = {output["name"]: output["data"] for output in body["outputs"]}
    (label,) = outputs[_LABEL]
    return Answer(str(body["model_version"]), (float(label), *outputs[_PROBABILITIES]))


def rpc_answer(response: Any) -> Answer:
    """Read a ModelInferResponse, raw or typed; KeyError or ValueError if it is none."""
    outputs: dict[str, Sequence[float]] = {}
    for index, output in enumerate(response.outputs):
        is_label = output.name == _LABEL
        if response.raw_output_contents:
            raw = response.raw_output_contents[index]
            outputs[output.name] = (
                struct.unpack(f"<{len(raw) // 8}q", raw)
                if is_label
                else struct.unpack(f"<{len(raw) // 4}f", raw)
            )
        else:
            contents = output.contents
            outputs[output.name] = contents.int64_contents if is_label else contents.fp32_contents
    (label,) = outputs[_LABEL]
    return Answer(response.model_version, (float(label), *outputs[_PROBABILITIES]))


def _rest_body(row: Sequence[float]) -> bytes:
    tensor = {"name": _INPUT, "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return json.dumps({"inputs": [tensor]}).encode()


def _rpc_request(model: str, row: Sequence[float]) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name=_INPUT, datatype="FP32")
    tensor.shape.extend([1, len(row)])
    request.raw_input_contents.append(struct.pack(f"<{len(row)}f", *row))
    content: bytes = request.SerializeToString()
    return content
