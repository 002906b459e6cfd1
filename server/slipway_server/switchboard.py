"""One port for REST and gRPC alike: each connection is put through to the listener it means.

The routers do not use it, they know the two ports. It is for the time when there is no router: a
Service has one target for each of its ports, and clients use the same one for both protocols.
Knows nothing of what is sent after the first bytes.
"""

import asyncio
import contextlib
import socket
from typing import Final

from slipway_server import clienthello
from slipway_server.core.errors import LoadError

# Every HTTP/2 connection without TLS begins with "PRI * HTTP/2.0" (RFC 9113, section 3.4). No
# method of HTTP/1.1 begins with these letters: PRI is reserved for this.
PREFACE: Final = b"PRI"
FIRST_BYTES_S: Final = 10.0  # a client that connects and says nothing is let go
BACKLOG: Final = 2048
CHUNK_BYTES: Final = 1 << 16


class Switchboard:
    """Accepts connections and joins each to one of two ports of this machine."""

    def __init__(self, *, host: str, port: int, http_port: int, grpc_port: int) -> None:
        """LoadError where nobody can listen."""
        try:
            self._socket = socket.create_server((host, port), backlog=BACKLOG)
        except OSError as err:
            raise cannot_listen(host, port, err) from err
        self._ports = {False: http_port, True: grpc_port}
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port in use, also where 0 was asked for."""
        number: int = self._socket.getsockname()[1]
        return number

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def close(self) -> None:
        """Accept nothing more, and wait for what is joined: the listeners end it when drained."""
        assert self._server is not None
        self._server.close()
        if self._calls:
            await asyncio.wait(self._calls)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.get_running_loop().create_task(self._put_through(reader, writer))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _put_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(FIRST_BYTES_S):
                first = await reader.readexactly(len(PREFACE))
                is_rpc = first == PREFACE
                if first[0] == clienthello.RECORD:
                    hello = await _hello(reader, first)
                    first, is_rpc = hello, clienthello.is_rpc(hello[clienthello.HEAD_BYTES :])
                port = self._ports[is_rpc]
                back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            await _close(writer)
            return
        back_writer.write(first)
        asking = asyncio.get_running_loop().create_task(_copy(reader, back_writer))
        await _copy(back_reader, writer)
        asking.cancel()  # who is not answered any more need not be listened to
        await asyncio.gather(_close(writer), _close(back_writer))


def cannot_listen(host: str, port: int, err: Exception) -> LoadError:
    """What to say of a port that cannot be had."""
    why = err.strerror if isinstance(err, OSError) else str(err)
    message = f"cannot listen on {host}:{port}: {why}; choose another port, or end who has it"
    return LoadError(message, is_permanent=False)


async def _hello(reader: asyncio.StreamReader, first: bytes) -> bytes:
    """All of a TLS connection's first record, of which three bytes are read."""
    head = first + await reader.readexactly(clienthello.HEAD_BYTES - len(first))
    size = min(int.from_bytes(head[-2:]), clienthello.RECORD_BYTES_MAX)
    return head + await reader.readexactly(size)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends, and the end as well."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
