"""The ledger: one JSON object per line about everything that a run saw.

Several processes append to one file (the load generator, the follower of model pods, the demo
itself), so a line is written whole with O_APPEND. All times are Unix seconds of one machine's
clock. This module knows the lines, not what they prove: that is `bench.report`.
"""

import dataclasses
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self, get_args

import orjson

FLUSH_BYTES: Final = 1 << 16
STANDARD_OUTPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client.

    `protocol` is "rest" or "grpc". `received` and `status` are None if no answer came (`error`
    says how it broke). `status` is the HTTP code or the name of the gRPC code. `revision`,
    `attempts` and `config` are what the answer's headers say, `version` what its body says.
    `wrong`: a good answer that is not that version's own output. `router` is the one that had the
    request, as far as answers on its connection told (None: unknown, or none had it).
    `is_connected` False: there was no connection, so no router had it.
    """

    KIND: ClassVar = "request"
    id: str
    protocol: str
    sent: float
    received: float | None
    status: int | str | None
    revision: str | None
    attempts: int | None
    config: str | None
    version: str | None
    wrong: bool
    sample: int
    error: str | None = None
    router: str | None = None
    is_connected: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one model pod, as the pod saw it; `status`, `seconds` None: it never ended."""

    KIND: ClassVar = "attempt"
    at: float
    pod: str
    revision: str
    id: str
    protocol: str
    status: int | str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Promise:
    """What a rollout must come to; percent, seconds; None: nothing is promised about it."""

    outcome: str
    weight: int | None = None
    seconds_first_bad_to_zero: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutBegin:
    """A change of the model was applied; `version` is the new one."""

    KIND: ClassVar = "rollout-begin"
    at: float
    name: str
    version: str
    promise: Promise


@dataclass(frozen=True, slots=True)
class RolloutEnd:
    """The rollout is over: `candidate` is the revision's name, `outcome` what status says of it.

    `problem` is what was not as expected besides the figures (None: nothing), e.g. a condition.
    """

    KIND: ClassVar = "rollout-end"
    at: float
    name: str
    candidate: str | None
    outcome: str | None
    reason: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Observation:
    """The status of the deployment as a watcher saw it change."""

    KIND: ClassVar = "status"
    at: float
    phase: str | None
    stable: str | None
    candidate: str | None
    weight_asked: int | None
    weight_verified: int | None
    reason: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class LoadEnd:
    """The load generator came to its end: how much it did, how well it kept its schedule."""

    KIND: ClassVar = "load-end"
    at: float
    requests: int
    rate: float
    seconds: float
    late_s_max: float
    cpu_share: float


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario is played with one strategy: which, for how many pods, at what rate."""

    KIND: ClassVar = "run"
    at: float
    strategy: str
    scenario: str
    replicas: int
    rate: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was done to a part: "candidate", "stable", "operator" or "prometheus"."""

    KIND: ClassVar = "fault"
    at: float
    part: str
    what: str


@dataclass(frozen=True, slots=True)
class PodStart:
    """A model pod was seen for the first time."""

    KIND: ClassVar = "pod-start"
    at: float
    pod: str
    revision: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What the operators took in a stretch of time that began `at`.

    Requests to the API server are told apart: reads, writes, and those about the Lease. Memory is
    that of the largest process, processor time that of all.
    """

    KIND: ClassVar = "cost"
    at: float
    seconds: float
    reads: int
    writes: int
    lease_requests: int
    memory_mib: float
    processor_s: float


Line = (
    Request
    | Attempt
    | RolloutBegin
    | RolloutEnd
    | Observation
    | LoadEnd
    | Run
    | Fault
    | PodStart
    | Cost
)

_LINES: Final[dict[str, type[Line]]] = {line.KIND: line for line in get_args(Line)}


class LedgerError(Exception):
    """A ledger cannot be read; the message names the file and line."""


def encode(line: Line) -> bytes:
    """Write a line as JSON with a newline."""
    return orjson.dumps({"kind": line.KIND, **dataclasses.asdict(line)}) + b"\n"


def decode(text: bytes) -> Line:
    """Read a line, ignoring unknown fields; LedgerError for unknown kinds and missing fields."""
    try:
        fields: dict[str, Any] = orjson.loads(text)
        kind = _LINES[fields["kind"]]
        if kind is RolloutBegin:
            fields["promise"] = Promise(**fields["promise"])
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(**{name: value for name, value in fields.items() if name in known})
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise LedgerError(f"not a ledger line ({error}): {text[:200]!r}") from error


class Writer:
    """Appends whole lines to a ledger; safe for several threads and several processes at once.

    Lines are gathered and written together by `flush`, by `close` and whenever enough have come.
    The path `-` is standard output, for whoever reads it to append.
    """

    def __init__(self, path: Path) -> None:
        if path == STANDARD_OUTPUT:
            self._descriptor = os.dup(1)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._waiting = bytearray()
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        text = encode(line)
        with self._lock:
            self._waiting += text
            if len(self._waiting) >= FLUSH_BYTES:
                self._flush_locked()

    def flush(self) -> None:
        with self._lock:
            self._flush_locked()

    def close(self) -> None:
        with self._lock:
            self._flush_locked()
            os.close(self._descriptor)

    def _flush_locked(self) -> None:
        while self._waiting:
            # A regular file takes a block whole unless the disk is full, which raises.
            written = os.write(self._descriptor, self._waiting)
            del self._waiting[:written]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tail:
    """Reads what came to a growing ledger since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> Iterator[Line]:
        """Yield new whole lines; a line still being written comes with the next look."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for text in file:
                if not text.endswith(b"\n"):
                    return
                self._offset += len(text)
                yield decode(text)


def read(path: Path) -> list[Line]:
    """Read a whole ledger; LedgerError names the line that is none."""
    lines: list[Line] = []
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                lines.append(decode(text))
            except LedgerError as error:
                raise LedgerError(f"{path}:{number}: {error}") from error
    return lines
