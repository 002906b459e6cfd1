"""JSON Web Tokens (RFC 7519), checked with keys of a file; what a token names is not fetched.

Imported only where tokens are taken: what checks signatures takes as long to load as a small model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from slipway_server.access.rights import GRANTABLE, Grant, Rejected, Right
from slipway_server.core.errors import LoadError

# Signatures that a server can check and not make.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
TOKEN_CHARS_MAX: Final = 8192
_LEEWAY_S: Final = 30  # of clocks that differ
_SCOPE: Final = "slipway:"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken: made by whom, for whom, signed how, with which claims at least."""

    name: str
    audience: str
    algorithms: tuple[str, ...]
    required: tuple[str, ...] = ("exp", "nbf")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key, and the algorithm that it is for, None for any of its kind."""

    key: Any
    algorithm: str | None


Keys = dict[str | None, TokenKey]


def parse(text: str, source: str) -> Keys:
    """Read a JWKS (RFC 7517) by key id; LoadError names `source`."""
    try:
        entries = json.loads(text)["keys"]
        keys = {entry.get("kid"): _read(entry) for entry in entries if _is_for_us(entry)}
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as err:
        raise LoadError(f"{source} is no JSON Web Key Set: {type(err).__name__}: {err}") from err
    if not keys:
        raise LoadError(f"{source} holds no public key that checks signatures")
    return keys


def _is_for_us(entry: Any) -> bool:
    return entry.get("kty") in ("RSA", "EC", "OKP") and entry.get("use", "sig") == "sig"


def _read(entry: Mapping[str, Any]) -> TokenKey:
    return TokenKey(jwt.PyJWK(dict(entry)).key, entry.get("alg"))


def check(token: str, keys: Keys, issuer: Issuer) -> tuple[Grant, float] | Rejected:
    """What a token grants and until when, in Unix time."""
    if len(token) > TOKEN_CHARS_MAX:
        return Rejected("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
        if "crit" in header:  # no extension is known here (RFC 7515, section 4.1.11)
            return Rejected("the token needs an extension that is not known here")
        key = _key(keys, header.get("kid"))
        if key is None:
            return Rejected("the token's key is not known")
        if key.algorithm not in (None, header["alg"]):
            return Rejected("the token is not signed in the way that its key is for")
        claims = jwt.decode(
            token,
            key.key,
            algorithms=list(issuer.algorithms),
            issuer=issuer.name,
            audience=issuer.audience,
            leeway=_LEEWAY_S,
            options={"require": ["iss", "aud", *issuer.required]},
        )
        name, until_s = str(claims.get("sub", "")), float(claims["exp"]) + _LEEWAY_S
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as err:
        return Rejected(_reason(err))
    return Grant(name, _rights(claims.get("scope"))), until_s


def _key(keys: Keys, key_id: object) -> TokenKey | None:
    """The key that a token names; the only one where it names none."""
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id) if isinstance(key_id, str) else None


def _rights(scope: object) -> frozenset[Right]:
    """Those of the scope that begin with `slipway:`, or to infer."""
    words = scope.split() if isinstance(scope, str) else ()
    named = [word.removeprefix(_SCOPE) for word in words if word.startswith(_SCOPE)]
    return frozenset(Right(word) for word in named if word in GRANTABLE) if named else _INFER


_INFER: Final = frozenset({Right.INFER})
_REASONS: Final[Sequence[tuple[type[Exception], str]]] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is for somebody else"),
    (jwt.InvalidIssuerError, "the token is by somebody else"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim that is needed"),
    (jwt.InvalidAlgorithmError, "the token is signed in a way that is not taken"),
    (jwt.InvalidSignatureError, "the token's signature is wrong"),
)


def _reason(err: Exception) -> str:
    return next((why for kind, why in _REASONS if isinstance(err, kind)), "the token is malformed")
