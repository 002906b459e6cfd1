"""A client that keeps its schedule: open loop, half REST, half gRPC, all in the ledger.

It behaves as ordinary clients do: kept-alive connections, now and then a fresh one, no retries of
its own. It sends at fixed moments whether or not answers come (otherwise a server that hangs would
slow its own measurement down), and it knows nothing of rollouts. It runs as a process of its own,
inside the network of the cluster.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
import urllib.parse
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench import clients, ledger, samples
from bench.clients import Client, Destination, GrpcClient, Reply, RestClient
from slipway_api import names

ANSWER_TIMEOUT_S: Final = 30.0  # longer than any timeout in the way: beyond it a request is lost
FLUSH_S: Final = 0.25
RATE_MAX: Final = 2000.0
SECONDS_MAX: Final = 7200.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to, what, how fast, how long.

    `user_header` names the header that says whose request it is; `users` take turns.
    """

    to: Destination
    samples: Path
    ledger: Path
    rate: float
    seconds: float
    stops_on_eof: bool
    user_header: str | None
    users: int


class Judge:
    """Tells right answers from wrong ones, and remembers which version a revision is."""

    def __init__(self, prepared: samples.Samples) -> None:
        self._samples = prepared
        self._versions: dict[str, str] = {}

    def is_wrong(self, index: int, reply: Reply) -> bool:
        """Judge a good answer: unreadable, unnamed, another version's, or other numbers."""
        if reply.answer is None:
            return reply.status in (200, "OK")
        revision = reply.headers.get(names.HEADER_REVISION)
        if revision is None:
            return True
        if self._versions.setdefault(revision, reply.answer.version) != reply.answer.version:
            return True
        return not self._samples.is_right(index, reply.answer)


class Load:
    """One run: sends on schedule, waits for what is open, leaves everything in the ledger."""

    def __init__(self, settings: Settings, prepared: samples.Samples) -> None:
        self._settings = settings
        self._row_count = len(prepared.rest)
        self._judge = Judge(prepared)
        self._rest = RestClient(settings.to, prepared)
        self._grpc = GrpcClient(settings.to, prepared)
        self._writer = ledger.Writer(settings.ledger)
        self._open: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._late_s_max = 0.0

    def stop(self) -> None:
        """Send no more; `run` returns when the open requests have ended."""
        self._stopping.set()

    async def run(self) -> None:
        flusher = asyncio.create_task(self._flush_regularly())
        began_s = time.monotonic()
        cpu_s = time.process_time()
        count = await self._send_all(began_s)
        seconds = time.monotonic() - began_s
        cpu_share = (time.process_time() - cpu_s) / max(seconds, 1e-9)
        if self._open:
            await asyncio.wait(self._open, timeout=self._settings.to.answer_timeout_s + 1)
        flusher.cancel()
        self._writer.write(
            ledger.LoadEnd(
                at=time.time(),
                requests=count,
                rate=self._settings.rate,
                seconds=round(seconds, 3),
                late_s_max=round(self._late_s_max, 3),
                cpu_share=round(cpu_share, 3),
            )
        )

    async def _send_all(self, began_s: float) -> int:
        """Send by an absolute schedule: a late request is sent at once, none is left out."""
        total = int(self._settings.rate * self._settings.seconds)
        for number in range(total):
            ahead_s = began_s + number / self._settings.rate - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            else:
                self._late_s_max = max(self._late_s_max, -ahead_s)
                await asyncio.sleep(0)  # even when late, answers must be read in between
            if self._stopping.is_set():
                return number
            self._start(self._one(number))
        return total

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _one(self, number: int) -> None:
        turn, is_grpc = divmod(number, 2)
        client: Client = self._grpc if is_grpc else self._rest
        every = clients.FRESH_GRPC_EVERY if is_grpc else clients.FRESH_REST_EVERY
        index = turn % self._row_count
        request_id = f"load-{number}"
        sent = time.time()
        marks = {names.HEADER_REQUEST_ID: request_id} | self._user(turn)
        reply = await client.send(index, marks=marks, is_fresh=turn % every == every - 1)
        received = time.time() if reply.status is not None else None
        attempts = reply.headers.get(names.HEADER_ATTEMPTS)
        self._writer.write(
            ledger.Request(
                id=request_id,
                protocol=client.protocol,
                sent=sent,
                received=received,
                status=reply.status,
                revision=reply.headers.get(names.HEADER_REVISION),
                attempts=int(attempts) if attempts and attempts.isdigit() else None,
                config=reply.headers.get(names.HEADER_CONFIG),
                version=reply.answer.version if reply.answer else None,
                wrong=self._judge.is_wrong(index, reply),
                sample=index,
                error=reply.error,
                router=reply.router,
                is_connected=reply.is_connected,
            )
        )

    def _user(self, turn: int) -> dict[str, str]:
        """Say whose request it is: user 0, 1, … of so many, in turn, of either protocol."""
        header = self._settings.user_header
        return {header: f"user-{turn % self._settings.users}"} if header else {}

    async def _flush_regularly(self) -> None:
        while True:  # until `run` cancels it
            await asyncio.sleep(FLUSH_S)
            self._writer.flush()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._rest.close()
        await self._grpc.close()
        self._writer.close()


async def run(settings: Settings) -> None:
    """Run one load until its time is over, or until SIGTERM, SIGINT or (if asked) end of input."""
    loop = asyncio.get_running_loop()
    async with Load(settings, samples.load(settings.samples)) as load:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, load.stop)
        if settings.stops_on_eof:
            loop.add_reader(sys.stdin.fileno(), _stop_on_eof, load)
        await load.run()


def _stop_on_eof(load: Load) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        load.stop()


def parse(argv: Sequence[str]) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.add_argument("target", help="http://NAME.NAMESPACE[:PORT] of a ModelDeployment")
    parser.add_argument("--grpc", help="HOST:PORT if gRPC is elsewhere (a server without a router)")
    parser.add_argument("--model", required=True, help="model name in request paths")
    parser.add_argument("--samples", required=True, type=Path, help="samples.json of the model")
    parser.add_argument("--ledger", required=True, type=Path, help="file to append lines to, or -")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="longest duration")
    parser.add_argument("--stop-on-eof", action="store_true", help="stop when stdin closes")
    parser.add_argument(
        "--answer-timeout",
        type=float,
        default=ANSWER_TIMEOUT_S,
        metavar="SECONDS",
        help="give up a request without an answer, default: %(default)s",
    )
    parser.add_argument(
        "--keepalive",
        type=float,
        metavar="SECONDS",
        help="notice connections whose other end fell silent; default: as libraries do",
    )
    parser.add_argument(
        "--user-header", metavar="NAME", help="say in this header whose request it is: user-0, …"
    )
    parser.add_argument("--users", type=int, default=4, help="with it, default: %(default)s")
    options = parser.parse_args(argv)
    url = urllib.parse.urlsplit(options.target)
    if url.scheme != "http" or not url.hostname:
        parser.error(f"target must look like http://NAME.NAMESPACE, not {options.target}")
    if not 0 < options.rate <= RATE_MAX or not 0 < options.seconds <= SECONDS_MAX:
        parser.error(f"rate must be in 0..{RATE_MAX:g} and seconds in 0..{SECONDS_MAX:g}")
    if options.users < 1:
        parser.error(f"users must be at least 1, not {options.users}")
    authority = f"{url.hostname}:{url.port or names.SERVICE_PORT}"
    return Settings(
        to=Destination(
            rest=authority,
            grpc=options.grpc or authority,
            model=options.model,
            answer_timeout_s=options.answer_timeout,
            keepalive_s=options.keepalive,
        ),
        samples=options.samples,
        ledger=options.ledger,
        rate=options.rate,
        seconds=options.seconds,
        stops_on_eof=options.stop_on_eof,
        user_header=options.user_header,
        users=options.users,
    )


def main(argv: Sequence[str]) -> None:
    """Run one load; without uvloop it costs more of a processor."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(run(parse(argv)))
    else:
        uvloop.run(run(parse(argv)))


if __name__ == "__main__":
    main(sys.argv[1:])
