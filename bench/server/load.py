"""Load by wrk, on a processor of its own: connections that each send the next request at once."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.server.models import Sample

PROCESSOR: Final = 1
GRACE_S: Final = 20.0
# wrk's own text is for people; what it knows at its end is told as JSON.
_SCRIPT: Final = """
local file = assert(io.open("{body}", "rb"))
wrk.body = file:read("*a")
file:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
{header}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {{"requests":%d,"us":%d,"p50":%f,"p99":%f,"errors":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What came back. Latencies in milliseconds."""

    request_count: int
    seconds: float
    p50_ms: float
    p99_ms: float
    error_count: int

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.request_count / self.seconds


def send(url: str, sample: Sample, *, binary: bool, concurrency: int, seconds: int) -> Load:
    """Load one server."""
    with tempfile.TemporaryDirectory() as scratch:
        body, script = Path(scratch) / "body", Path(scratch) / "load.lua"
        body.write_bytes(sample.binary_body if binary else sample.json_body)
        length = f'wrk.headers["Inference-Header-Content-Length"] = "{sample.header_length}"'
        kind = "application/octet-stream" if binary else "application/json"
        script.write_text(
            _SCRIPT.format(body=body, content_type=kind, header=length if binary else "")
        )
        command = [
            *("taskset", "--cpu-list", str(PROCESSOR)),
            *("wrk", "--threads", "1", "--connections", str(concurrency)),
            *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(script)),
            f"{url}/v2/models/model/infer",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + GRACE_S
        )
    return read(done.stdout)


def read(output: str) -> Load:
    """Read what the script printed."""
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return Load(
        request_count=found["requests"],
        seconds=found["us"] / 1e6,
        p50_ms=found["p50"] / 1e3,
        p99_ms=found["p99"] / 1e3,
        error_count=found["errors"],
    )
