"""API keys: a file of their SHA-256 hashes, as a mounted Secret gives it. The keys are not here."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway_server.access.rights import GRANTABLE, Grant, Right
from slipway_server.core.errors import LoadError

KEYS_MAX: Final = 1000
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """The SHA-256 of a key, and what it grants."""

    digest: bytes
    grant: Grant


def parse(text: str, source: str) -> tuple[Key, ...]:
    """Read lines of NAME HASH [RIGHT,RIGHT]; without rights a key may infer.

    LoadError names `source` and the line, and never what is in it.
    """
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(found) == KEYS_MAX:
            raise LoadError(f"{source} holds more than {KEYS_MAX} keys")
        found.append(_key(words, f"line {number} of {source}"))
    if not found:
        raise LoadError(f"{source} holds no key; give NAME and the SHA-256 of a key on a line")
    return tuple(found)


def _key(words: Sequence[str], where: str) -> Key:
    if len(words) not in (2, 3) or not _HASH.fullmatch(words[1]):
        raise LoadError(
            f"{where} is no key: expected NAME, 64 lower-case hexadecimal digits (the key's "
            "SHA-256) and, if need be, rights with commas between"
        )
    rights = words[2].split(",") if len(words) == 3 else [Right.INFER]
    unknown = [right for right in rights if right not in GRANTABLE]
    if unknown:
        known = ", ".join(sorted(GRANTABLE))
        raise LoadError(f"{where} gives the right '{unknown[0]}'; there are {known}")
    return Key(bytes.fromhex(words[1]), Grant(words[0], frozenset(map(Right, rights))))


def digest_of(presented: str) -> bytes:
    """The SHA-256 of what a client sent, whatever that is."""
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()


def find(keys: Sequence[Key], presented: str) -> Grant | None:
    """What a key grants. Takes as long whichever key it is, or none."""
    digest = digest_of(presented)
    found: Grant | None = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key.grant
    return found
