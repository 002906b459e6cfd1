"""The gate: a request's credential, what it grants, and whether that is enough.

Knows neither headers nor metadata beyond their names, and no transport.
"""

import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from slipway_server.access import keys
from slipway_server.access.keys import Key
from slipway_server.access.rights import Grant, Rejected, Right
from slipway_server.core.errors import ErrorKind, ServingError

AUTHORIZATION: Final = "authorization"
API_KEY: Final = "x-api-key"
CACHE_MAX: Final = 1024
# What a token grants and until when, in Unix time, or why it is not taken.
CheckToken = Callable[[str], tuple[Grant, float] | Rejected]
_BEARER: Final = "bearer "


class Gate:
    """Admits requests or refuses them. Used from the event loop only."""

    def __init__(
        self, *, opened: Collection[Right] = (), now_s: Callable[[], float] = time.time
    ) -> None:
        """`opened` needs no credential. Until it is given keys, it refuses everybody."""
        self._opened = frozenset({Right.PROBE, *opened})
        self._now_s = now_s
        self._keys: tuple[Key, ...] = ()
        self._check_token: CheckToken | None = None
        # By the hash of a credential: signatures take a hundred times as long.
        self._known: dict[bytes, tuple[Grant, float]] = {}

    def use_keys(self, found: tuple[Key, ...]) -> None:
        """Take these API keys and no others from now on."""
        self._keys = found
        self._known.clear()

    def use_tokens(self, check: CheckToken) -> None:
        """Take the tokens that this takes from now on."""
        self._check_token = check
        self._known.clear()

    def admit(self, right: Right, fields: Iterable[tuple[object, object]]) -> None:
        """Return if a request with these headers may; else UNAUTHENTICATED or FORBIDDEN.

        Names of `fields` are in lower case; names and values may be bytes.
        """
        if right in self._opened:
            return
        grant = self._grant(_credential(fields))
        if not grant.has(right):
            raise ServingError(
                ErrorKind.FORBIDDEN, f"'{grant.name}' lacks the right '{right}', which this needs"
            )

    def _grant(self, credential: str) -> Grant:
        digest = keys.digest_of(credential)
        known = self._known.get(digest)
        now_s = self._now_s()
        if known is not None and now_s < known[1]:
            return known[0]
        grant, until_s = self._looked_up(credential)
        if len(self._known) >= CACHE_MAX:
            self._known.clear()
        self._known[digest] = grant, until_s
        return grant

    def _looked_up(self, credential: str) -> tuple[Grant, float]:
        grant = keys.find(self._keys, credential)
        if grant is not None:
            return grant, float("inf")
        if self._check_token is None or credential.count(".") != 2:
            raise _unauthenticated("the key is not known")
        found = self._check_token(credential)
        if isinstance(found, Rejected):
            raise _unauthenticated(found.reason)
        return found


def _credential(fields: Iterable[tuple[object, object]]) -> str:
    """The one credential of a request. Of two, somebody before us may have looked at the other."""
    found: list[str] = []
    for name, value in fields:
        if name in _NAMES:
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            found.append(_bare(text) if name in _AUTHORIZATIONS else text.strip())
    if not found:
        raise _unauthenticated("a key is needed")
    if len(found) > 1:
        raise _unauthenticated("more than one key or token is given")
    return found[0]


_AUTHORIZATIONS: Final = frozenset({AUTHORIZATION, AUTHORIZATION.encode()})
_NAMES: Final = _AUTHORIZATIONS | {API_KEY, API_KEY.encode()}


def _bare(value: str) -> str:
    if value[: len(_BEARER)].lower() != _BEARER:
        raise _unauthenticated("'authorization' is not of the form 'Bearer KEY'")
    return value[len(_BEARER) :].strip()


def _unauthenticated(why: str) -> ServingError:
    return ServingError(
        ErrorKind.UNAUTHENTICATED,
        f"{why}; send '{AUTHORIZATION}: Bearer KEY' or '{API_KEY}: KEY'",
    )
