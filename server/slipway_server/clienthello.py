"""Which protocols a TLS client offers, read off its first message. Nothing is decrypted for it."""

from typing import Final

RECORD: Final = 0x16  # the first byte of a TLS connection: a handshake record
HEAD_BYTES: Final = 5
RECORD_BYTES_MAX: Final = 1 << 14  # RFC 8446, section 5.1
_ALPN: Final = 16  # RFC 7301, section 3.1
_FIXED_BYTES: Final = 4 + 2 + 32  # the message's own head, a version, and a random


class _Reader:
    """Takes parts off bytes; ValueError where there are not enough."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._content)

    def take(self, count: int) -> bytes:
        part = self._content[self._at : self._at + count]
        if len(part) != count:
            raise ValueError
        self._at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def part(self, size: int) -> bytes:
        """What follows its own length, which takes `size` bytes."""
        return self.take(self.number(size))


def offered(message: bytes) -> tuple[bytes, ...]:
    """The names of ALPN in a ClientHello (RFC 8446, section 4.1.2); none where it is no such."""
    try:
        reader = _Reader(message)
        reader.take(_FIXED_BYTES)
        for size in (1, 2, 1):  # session, ciphers, compressions
            reader.part(size)
        extensions = _Reader(reader.part(2))
        while not extensions.is_at_end:
            kind, content = extensions.number(2), extensions.part(2)
            if kind == _ALPN:
                names = _Reader(_Reader(content).part(2))
                found = []
                while not names.is_at_end:
                    found.append(names.part(1))
                return tuple(found)
    except ValueError:
        pass
    return ()


def is_rpc(message: bytes) -> bool:
    """Whether a client means gRPC: it speaks HTTP/2 and, unlike browsers, nothing else."""
    names = offered(message)
    return b"h2" in names and b"http/1.1" not in names
