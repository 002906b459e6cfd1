"""TLS for both listeners: certificates from files, used anew when they change.

Connections that are there go on with what they began with.
"""

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from slipway_server.core.errors import LoadError
from slipway_server.watched import Contents, Watched

_HTTP: Final = ("http/1.1",)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM: a chain and its key, and whose certificates clients must show, if they must."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class Certificates:
    """What is used of the files now, in the forms that the listeners want."""

    def __init__(self, files: TlsFiles, *, say: Callable[[str], None]) -> None:
        """LoadError where the files will not do."""
        self._files = files
        self._current: ssl.SSLContext | None = None
        self._contents: Contents = ()
        paths = [files.cert, files.key, *([files.client_ca] if files.client_ca else [])]
        self.watched: Final = Watched(paths, self._use, say=say)

    def context(self) -> ssl.SSLContext:
        """A context for a listener over HTTP, which answers with what is current then.

        Loading another chain into a context in use would leave that of the older key's kind beside
        it, so that each handshake is given the context of its own time.
        """
        found = self._loaded()

        def choose(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            if self._current is not None:
                connection.context = self._current

        found.sni_callback = choose
        return found

    def rpc_credentials(self) -> Any:
        """The same for a listener over gRPC."""
        return grpc.dynamic_ssl_server_credentials(
            self._rpc_configuration(),
            self._rpc_configuration,
            require_client_authentication=self._files.client_ca is not None,
        )

    def _rpc_configuration(self) -> Any:
        """Asked for at each handshake, in gRPC's own threads."""
        cert, key, *client_ca = self._contents
        return grpc.ssl_server_certificate_configuration(
            [(key, cert)], root_certificates=client_ca[0] if client_ca else None
        )

    def _use(self, contents: Contents) -> None:
        self._current = self._loaded()
        self._contents = contents

    def _loaded(self) -> ssl.SSLContext:
        files = self._files
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        with contextlib.suppress(NotImplementedError):
            found.set_alpn_protocols(list(_HTTP))
        try:
            found.load_cert_chain(files.cert, files.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as err:
            raise LoadError(
                f"{files.cert} and {files.key} are no certificate and its key in PEM, without a "
                f"password: {_reason(err)}"
            ) from err
        if files.client_ca is not None:
            try:
                found.load_verify_locations(files.client_ca)
            except (ssl.SSLError, OSError) as err:
                raise LoadError(
                    f"{files.client_ca} holds no certificate in PEM: {_reason(err)}"
                ) from err
            found.verify_mode = ssl.CERT_REQUIRED
        return found


def _no_password() -> str:
    """Instead of asking on a terminal."""
    raise ValueError("the key has a password")


def _reason(err: Exception) -> str:
    return getattr(err, "reason", None) or getattr(err, "strerror", None) or str(err)
