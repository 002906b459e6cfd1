"""The same load over gRPC, by h2load: a connection for each call in flight, raw contents.

h2load knows HTTP/2 and nothing of gRPC, whose failures are answers without a message: how many
bytes of messages came back tells how many calls were answered.
"""

import re
import statistics
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from bench.server import models
from bench.server.load import GRACE_S, PROCESSOR, Load
from bench.server.models import Sample

_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_FRAME: Final = struct.Struct(">?I")  # compressed or not, and the length (gRPC over HTTP/2)
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to the sample's row, and how many bytes of HTTP/2 data that is."""

    values: list[float]
    byte_count: int


def request(sample: Sample) -> bytes:
    """Write the sample's row as a ModelInferRequest."""
    header = service_pb2.ModelInferRequest.InferInputTensor(
        name=models.INPUT, datatype="FP32", shape=sample.row.shape
    )
    message: bytes = service_pb2.ModelInferRequest(
        model_name="model", inputs=[header], raw_input_contents=[sample.row.tobytes()]
    ).SerializeToString()
    return message


def ask(address: str, sample: Sample) -> Answer:
    """Ask once; grpc.RpcError if the server refuses."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(_METHOD, None, None)  # bytes in, bytes out
        message: bytes = call(request(sample), timeout=_TIMEOUT_S, wait_for_ready=True)
    found = service_pb2.ModelInferResponse.FromString(message)
    if found.raw_output_contents:
        values = np.frombuffer(found.raw_output_contents[0], np.float32).tolist()
    else:
        values = list(found.outputs[0].contents.fp32_contents)
    return Answer(values, _FRAME.size + len(message))


def send(address: str, sample: Sample, *, answer: Answer, concurrency: int, seconds: int) -> Load:
    """Load one server, whose answers are as long as `answer`."""
    message = request(sample)
    with tempfile.TemporaryDirectory() as scratch:
        body, lines = Path(scratch) / "body", Path(scratch) / "lines"
        body.write_bytes(_FRAME.pack(False, len(message)) + message)
        command = [
            *("taskset", "--cpu-list", str(PROCESSOR), "h2load", "--threads=1"),
            *(f"--clients={concurrency}", "--max-concurrent-streams=1", f"--duration={seconds}"),
            *(f"--data={body}", f"--log-file={lines}"),
            *("--header=content-type: application/grpc", "--header=te: trailers"),
            f"http://{address}{_METHOD}",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + GRACE_S
        )
        return read(done.stdout, lines.read_text(), seconds=seconds, answer_bytes=answer.byte_count)


def read(printed: str, lines: str, *, seconds: int, answer_bytes: int) -> Load:
    """Read what h2load printed, and its line for each request: start, status, microseconds."""
    requests = re.search(r"^requests: .*? (\d+) done, (\d+) succeeded", printed, re.MULTILINE)
    traffic = re.search(r"^traffic: .*\((\d+)\) data$", printed, re.MULTILINE)
    assert requests is not None
    assert traffic is not None
    done, succeeded = int(requests[1]), int(requests[2])
    answered = min(succeeded, int(traffic[1]) // answer_bytes)
    took_ms = [int(line.split("\t")[2]) / 1e3 for line in lines.splitlines()]
    return Load(
        request_count=answered,
        seconds=float(seconds),
        p50_ms=statistics.median(took_ms),
        p99_ms=float(np.percentile(took_ms, 99)),
        error_count=done - answered,
    )
