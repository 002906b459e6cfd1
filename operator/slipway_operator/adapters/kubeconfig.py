"""Where the API server is and who we are there: from a pod's service account or a kubeconfig file.

Reads files and nothing else; it knows no HTTP. The same value serves our own client and kopf, so
that both always agree.
"""

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Exception):
    """There is no usable access; the message says which file and what it lacks."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How to reach one API server.

    PEM texts are kept as values. `token_path` wins over `token`: a service account's token is
    rotated in place and must be read again for each request. `namespace` is the one of the pod or
    of the kubeconfig's context. `ca` None: the system's certificate authorities.
    """

    server: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token: str | None = None
    token_path: Path | None = None
    namespace: str = "default"
    is_insecure: bool = False

    def bearer_token(self) -> str | None:
        """Give the token that is valid now; reads the file each time."""
        if self.token_path is None:
            return self.token
        try:
            return self.token_path.read_text().strip()
        except OSError as error:
            raise KubeconfigError(f"cannot read token {self.token_path}: {error}") from error

    def ssl_context(self) -> ssl.SSLContext:
        """Make the TLS settings of a client; for http:// servers they are not used."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # The ssl module takes client certificates from files only; the folder is private.
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "client.pem")
                path.write_text(f"{self.certificate}\n{self.key}\n")
                context.load_cert_chain(path)
        return context


def load(environment: Mapping[str, str]) -> ClusterAccess:
    """Find access the way kubectl does.

    KUBECONFIG first (its first existing file), then a pod's service account, then ~/.kube/config.
    """
    if listed := environment.get("KUBECONFIG", ""):
        paths = [Path(text) for text in listed.split(":") if text]
        existing = next((path for path in paths if path.exists()), None)
        if existing is None:
            raise KubeconfigError(f"KUBECONFIG names no existing file: {listed}")
        return read_kubeconfig(existing)
    if "KUBERNETES_SERVICE_HOST" in environment:
        return read_service_account(environment)
    home = Path(environment.get("HOME", "/root"), ".kube", "config")
    if home.exists():
        return read_kubeconfig(home)
    raise KubeconfigError(f"no cluster: not in a pod, KUBECONFIG is not set, no {home}")


def read_service_account(
    environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT
) -> ClusterAccess:
    """Read what the kubelet mounts into a pod."""
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    try:
        return ClusterAccess(
            server=f"https://{host}:{port}",
            ca=(folder / "ca.crt").read_text(),
            token_path=folder / "token",
            namespace=(folder / "namespace").read_text().strip(),
        )
    except OSError as error:
        raise KubeconfigError(
            f"in a pod, but its service account is not mounted ({error}):"
            " set automountServiceAccountToken: true"
        ) from error


def read_kubeconfig(path: Path) -> ClusterAccess:
    """Read the current context of a kubeconfig file."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"]).get("user") or {}
        server = cluster["server"].rstrip("/")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise KubeconfigError(f"{path} is no usable kubeconfig: {error!r}") from error
    if unsupported := {"exec", "auth-provider", "username"} & set(user):
        raise KubeconfigError(
            f"{path}: user {context['user']} logs in by {min(unsupported)}, which Slipway does not"
            " do; use a client certificate, a token or a tokenFile"
        )
    token_file = user.get("tokenFile")
    return ClusterAccess(
        server=server,
        ca=_pem(cluster, "certificate-authority", path),
        certificate=_pem(user, "client-certificate", path),
        key=_pem(user, "client-key", path),
        token=user.get("token"),
        token_path=path.parent / token_file if token_file else None,
        namespace=context.get("namespace", "default"),
        is_insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
    )


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry["name"] == name:
            return dict(entry)
    raise KeyError(f"{section} has no {name}")


def _pem(section: Mapping[str, Any], key: str, path: Path) -> str | None:
    """Read a PEM text that is given inline (base64) or as a file beside the kubeconfig."""
    try:
        if inline := section.get(f"{key}-data"):
            return base64.b64decode(str(inline)).decode()
        if file := section.get(key):
            return (path.parent / str(file)).read_text()
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{path}: cannot read {key}: {error}") from error
    return None
