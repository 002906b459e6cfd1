"""`./dev bench server`: our model server beside others, on one processor each in turn.

All servers of a model run at once and are loaded one after the other, round by round, so that a
machine that is slow for a minute is slow for all. A server that answers wrong is not measured.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from bench.server import models, peers, processes, report
from bench.server.models import Sample
from bench.server.peers import Order, Peer, Running
from bench.server.report import Cell, Reading
from sandbox import packages
from sandbox.progress import Log, Progress

_WARM_S: Final = 1
_PROTOCOLS: Final = ("json", "binary", "grpc")
_QUICK: Final = ("naive", "slipway")
_TOLERANCE: Final = 1e-4


def main(argv: Sequence[str]) -> int:
    """Measure, print a table, write the rows; 1 if any request failed."""
    options = parse(argv)
    log = Progress()
    packages.ensure(packages.BENCH, log=log)
    known = peers.COUNTING if options.counting else peers.PEERS
    wanted = [p for p in known if options.counting or p.name in options.servers]
    readings: list[Reading] = []
    starts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for sample in models.make(Path(scratch), options.models):
            with _running(wanted, sample, Path(scratch), log=log) as servers:
                starts += [_start(server, sample) for server in servers]
                for turn in range(options.rounds):
                    log(f"{sample.name}: round {turn + 1} of {options.rounds}")
                    readings += _round(servers, sample, turn=turn, options=options)
    found = report.rows(readings)
    print(report.table(found))
    for line in report.costs(readings, base=wanted[0].name) if options.counting else ():
        print(line)
    for start in starts:
        print(f"{start['model']}: {start['server']} ready after {start['start_s']:.2f} s")
    if options.report:
        fields = {"rows": [asdict(row) for row in found], "starts": starts}
        options.report.write_text(json.dumps(fields, indent=1) + "\n")
    return 1 if any(row.errors for row in found) else 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./dev bench server", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two models, ours beside the naive")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the rows as JSON")
    known = tuple(dict.fromkeys(peer.name for peer in peers.PEERS))
    parser.add_argument("--servers", nargs="+", choices=known, default=known)
    parser.add_argument("--models", nargs="+", choices=models.NAMES, default=models.NAMES)
    parser.add_argument("--protocols", nargs="+", choices=_PROTOCOLS, default=_PROTOCOLS)
    parser.add_argument(
        "--counting", action="store_true", help="what counting features and predictions costs ours"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each cell")
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 32])
    options = parser.parse_args(argv)
    if options.quick:
        options.servers, options.models = _QUICK, ("iris", "mlp")
        options.rounds, options.seconds = 2, 2
    if options.counting:
        options.models, options.concurrency = ("iris", "gbt"), [32]
    return options


@contextmanager
def _running(
    wanted: Sequence[Peer], sample: Sample, scratch: Path, *, log: Log
) -> Iterator[list[Running]]:
    expected = _expected(sample)
    with ExitStack() as stack:
        servers: list[Running] = []
        for index, peer in enumerate(wanted):
            folder = scratch / f"{sample.name}-{index}-{peer.name}"
            folder.mkdir()
            ports = (processes.free_port(), processes.free_port())
            order = Order(folder, sample, *ports, peer.python(log))
            server = Running(peer, peer.write(order), order=order)
            stack.callback(server.end)
            for protocol in {"json", *peer.protocols} - {"binary"}:
                found = server.ask(sample, protocol)
                if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
                    raise RuntimeError(f"{peer.name} answers {found}, expected {expected}")
            servers.append(server)
        yield servers


def _expected(sample: Sample) -> list[float]:
    session = onnxruntime.InferenceSession(str(sample.path))
    (output,) = session.run(None, {models.INPUT: sample.row})
    values: list[float] = output.ravel().tolist()
    return values


def _start(server: Running, sample: Sample) -> dict[str, Any]:
    name = f"{server.peer.name}, batching" if server.peer.is_batching else server.peer.name
    return {
        "server": name,
        "model": sample.name,
        "start_s": round(server.start_s, 3),
        "rss_mb": round(server.rss_mb(), 1),
    }


def _round(
    servers: Sequence[Running], sample: Sample, *, turn: int, options: argparse.Namespace
) -> Iterator[Reading]:
    for server in servers:
        for protocol in server.peer.protocols:
            if protocol not in options.protocols:
                continue
            for concurrency in options.concurrency:
                cell = Cell(
                    server.peer.name, server.peer.is_batching, sample.name, protocol, concurrency
                )
                yield _measure(server, sample, cell, turn=turn, seconds=options.seconds)


def _measure(server: Running, sample: Sample, cell: Cell, *, turn: int, seconds: int) -> Reading:
    server.load(sample, cell.protocol, concurrency=cell.concurrency, seconds=_WARM_S)
    before_s = server.cpu_s()
    found = server.load(sample, cell.protocol, concurrency=cell.concurrency, seconds=seconds)
    spent_s = server.cpu_s() - before_s
    return Reading(
        cell,
        turn,
        per_s=found.per_s,
        p50_ms=found.p50_ms,
        p99_ms=found.p99_ms,
        cpu_us=1e6 * spent_s / max(found.request_count, 1),
        rss_mb=server.rss_mb(),
        error_count=found.error_count,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
