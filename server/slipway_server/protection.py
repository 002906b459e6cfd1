"""From settings to what guards the listeners: the gate, certificates, and the files of both."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slipway_server.access import keys
from slipway_server.access.gate import Gate
from slipway_server.access.rights import OPENABLE, Right
from slipway_server.core.errors import LoadError
from slipway_server.settings import Settings
from slipway_server.tls import Certificates, TlsFiles
from slipway_server.watched import Watched

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Protection:
    """None: everybody may ask; None: in plain text. `files` are to be watched."""

    gate: Gate | None
    certificates: Certificates | None
    files: tuple[Watched, ...]


def protection(settings: Settings, *, say: Say) -> Protection:
    """Read what the settings name; LoadError where it will not do. `say` is told of changes."""
    certificates = _certificates(settings, say)
    gate, files = _gate(settings, say)
    if certificates is not None:
        files = (*files, certificates.watched)
    return Protection(gate, certificates, files)


def _certificates(settings: Settings, say: Say) -> Certificates | None:
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None and key is None:
        if settings.tls_client_ca is not None:
            raise LoadError("SLIPWAY_SERVER_TLS_CLIENT_CA needs SLIPWAY_SERVER_TLS_CERT and _KEY")
        return None
    if cert is None or key is None:
        raise LoadError("SLIPWAY_SERVER_TLS_CERT and SLIPWAY_SERVER_TLS_KEY need each other")
    return Certificates(TlsFiles(cert, key, settings.tls_client_ca), say=say)


def _gate(settings: Settings, say: Say) -> tuple[Gate | None, tuple[Watched, ...]]:
    opened = _opened(settings)
    if settings.auth_jwks_file is None and (settings.auth_jwt_issuer or settings.auth_jwt_audience):
        raise LoadError("SLIPWAY_SERVER_AUTH_JWT_… needs SLIPWAY_SERVER_AUTH_JWKS_FILE")
    if settings.auth_keys_file is None and settings.auth_jwks_file is None:
        return None, ()
    gate = Gate(opened=opened)
    files = []
    if settings.auth_keys_file is not None:
        path = settings.auth_keys_file
        files.append(_watched(path, lambda text: gate.use_keys(keys.parse(text, str(path))), say))
    if settings.auth_jwks_file is not None:
        files.append(_watched(settings.auth_jwks_file, _tokens(settings, gate), say))
    return gate, tuple(files)


def _watched(path: Path, use: Callable[[str], None], say: Say) -> Watched:
    def decoded(contents: tuple[bytes, ...]) -> None:
        try:
            text = contents[0].decode()
        except UnicodeDecodeError as err:
            raise LoadError(f"{path} is not UTF-8") from err
        use(text)

    return Watched([path], decoded, say=say)


def _tokens(settings: Settings, gate: Gate) -> Callable[[str], None]:
    """What is done with the text of a JWKS."""
    from slipway_server.access import tokens  # see there

    if not settings.auth_jwt_issuer or not settings.auth_jwt_audience:
        raise LoadError(
            "SLIPWAY_SERVER_AUTH_JWKS_FILE needs SLIPWAY_SERVER_AUTH_JWT_ISSUER and _AUDIENCE: "
            "else a token for anybody would do"
        )
    for name in settings.auth_jwt_algorithms:
        if name not in tokens.ALGORITHMS:
            known = ", ".join(tokens.ALGORITHMS)
            raise LoadError(f"SLIPWAY_SERVER_AUTH_JWT_ALGORITHMS has '{name}'; there are {known}")
    if "exp" not in settings.auth_jwt_require:
        raise LoadError("SLIPWAY_SERVER_AUTH_JWT_REQUIRE must have 'exp': tokens have to end")
    issuer = tokens.Issuer(
        settings.auth_jwt_issuer,
        settings.auth_jwt_audience,
        settings.auth_jwt_algorithms,
        settings.auth_jwt_require,
    )

    def use(text: str) -> None:
        found = tokens.parse(text, str(settings.auth_jwks_file))
        gate.use_tokens(lambda token: tokens.check(token, found, issuer))

    return use


def _opened(settings: Settings) -> frozenset[Right]:
    for name in settings.auth_open:
        if name not in OPENABLE:
            known = ", ".join(sorted(OPENABLE))
            raise LoadError(f"SLIPWAY_SERVER_AUTH_OPEN has '{name}'; there are {known}")
    return frozenset(map(Right, settings.auth_open))
