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
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
import grpc
import orjson
import uvloop
from tritonclient.grpc import service_pb2

from bench import ledger, samples
from slipway_api import names

ANSWER_TIMEOUT_S: Final = 30.0  # longer than any timeout in the way: beyond it a request is lost
FRESH_REST_EVERY: Final = 20  # every n-th REST request opens a connection of its own
FRESH_GRPC_EVERY: Final = 100
GRPC_CHANNELS: Final = 2
FLUSH_S: Final = 0.25
RATE_MAX: Final = 2000.0
SECONDS_MAX: Final = 7200.0
# gRPC makes up a status where none came: then there are no headers, or its details begin like this.
BROKEN_STREAM: Final = "Stream removed"
INFER_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # channels with equal targets would share a connection
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to, what, how fast, how long; `rest` and `grpc` are HOST:PORT."""

    rest: str
    grpc: str
    model: str
    samples: Path
    ledger: Path
    rate: float
    seconds: float
    stops_on_eof: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came off the wire; None in `status`: none came."""

    status: int | str | None
    headers: Mapping[str, str]
    answer: samples.Answer | None
    error: str | None


class Client(Protocol):
    """One way to send row `index`; never raises for anything that a server or a network does."""

    protocol: str

    async def send(self, index: int, *, request_id: str, is_fresh: bool) -> Reply: ...


class RestClient:
    """V2 inference over HTTP/1.1."""

    protocol = "rest"

    def __init__(self, settings: Settings, prepared: samples.Samples) -> None:
        self._bodies = prepared.rest
        self._url = f"http://{settings.rest}/v2/models/{settings.model}/infer"
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        self._kept = aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=5)
        )
        self._fresh = aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        )

    async def send(self, index: int, *, request_id: str, is_fresh: bool) -> Reply:
        session = self._fresh if is_fresh else self._kept
        headers = {"content-type": "application/json", names.HEADER_REQUEST_ID: request_id}
        try:
            async with session.post(self._url, data=self._bodies[index], headers=headers) as got:
                body = await got.read()
                return _rest_reply(got.status, got.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(None, {}, None, f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._kept.close()
        await self._fresh.close()


def _rest_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    if status != 200:
        return Reply(status, headers, None, body[:200].decode(errors="replace"))
    try:
        return Reply(status, headers, samples.rest_answer(orjson.loads(body)), None)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        return Reply(status, headers, None, f"unreadable answer: {error!r}")


class GrpcClient:
    """V2 inference over gRPC, messages prepared as bytes."""

    protocol = "grpc"

    def __init__(self, settings: Settings, prepared: samples.Samples) -> None:
        self._messages = prepared.rpc
        self._target = f"dns:///{settings.grpc}"
        self._channels = [self._channel() for _ in range(GRPC_CHANNELS)]
        self._calls = [_infer_call(channel) for channel in self._channels]

    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS)

    async def send(self, index: int, *, request_id: str, is_fresh: bool) -> Reply:
        if not is_fresh:
            return await self._ask(self._calls[index % GRPC_CHANNELS], index, request_id)
        async with self._channel() as channel:
            return await self._ask(_infer_call(channel), index, request_id)

    async def _ask(self, infer: Any, index: int, request_id: str) -> Reply:
        call = infer(
            self._messages[index],
            timeout=ANSWER_TIMEOUT_S,
            metadata=((names.HEADER_REQUEST_ID, request_id),),
        )
        try:
            response = await call
            return _grpc_reply(await call.initial_metadata(), response)
        except grpc.aio.AioRpcError as error:
            headers = _text_metadata((*error.initial_metadata(), *error.trailing_metadata()))
            is_answer = headers and not (error.details() or "").startswith(BROKEN_STREAM)
            status = error.code().name if is_answer else None
            return Reply(status, headers, None, f"{error.code().name}: {error.details()}")

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)


def _infer_call(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        INFER_METHOD,
        request_serializer=None,
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )


def _grpc_reply(metadata: Any, response: Any) -> Reply:
    headers = _text_metadata(metadata)
    try:
        return Reply("OK", headers, samples.rpc_answer(response), None)
    except (KeyError, ValueError, IndexError) as error:
        return Reply("OK", headers, None, f"unreadable answer: {error!r}")


def _text_metadata(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


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
        self._rest = RestClient(settings, prepared)
        self._grpc = GrpcClient(settings, prepared)
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
            await asyncio.wait(self._open, timeout=ANSWER_TIMEOUT_S + 1)
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
        every = FRESH_GRPC_EVERY if is_grpc else FRESH_REST_EVERY
        index = turn % self._row_count
        request_id = f"load-{number}"
        sent = time.time()
        reply = await client.send(index, request_id=request_id, is_fresh=turn % every == every - 1)
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
            )
        )

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
    parser.add_argument("--ledger", required=True, type=Path, help="file to append lines to")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="longest duration")
    parser.add_argument("--stop-on-eof", action="store_true", help="stop when stdin closes")
    options = parser.parse_args(argv)
    url = urllib.parse.urlsplit(options.target)
    if url.scheme != "http" or not url.hostname:
        parser.error(f"target must look like http://NAME.NAMESPACE, not {options.target}")
    if not 0 < options.rate <= RATE_MAX or not 0 < options.seconds <= SECONDS_MAX:
        parser.error(f"rate must be in 0..{RATE_MAX:g} and seconds in 0..{SECONDS_MAX:g}")
    authority = f"{url.hostname}:{url.port or names.SERVICE_PORT}"
    return Settings(
        rest=authority,
        grpc=options.grpc or authority,
        model=options.model,
        samples=options.samples,
        ledger=options.ledger,
        rate=options.rate,
        seconds=options.seconds,
        stops_on_eof=options.stop_on_eof,
    )


if __name__ == "__main__":
    uvloop.run(run(parse(sys.argv[1:])))
