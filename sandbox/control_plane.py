"""Command lines of etcd, the API server, the controller manager and the scheduler.

Pure: from addresses and files to arguments. It starts nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import pki

SERVICE_ACCOUNT_ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
API_SERVER_NAMES: Final = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of one control plane; several lie side by side in the machine's own network."""

    etcd_client: int
    etcd_peer: int
    api: int
    controllers: int
    scheduler: int


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where a control plane finds its programs, certificates and ports."""

    programs: Path
    certificates: Path
    data: Path
    ports: Ports
    bind_address: str
    advertise_address: str
    service_cidr: str

    @property
    def url(self) -> str:
        """The API server as seen from this machine."""
        return f"https://127.0.0.1:{self.ports.api}"

    def leaves(self) -> tuple[pki.Leaf, ...]:
        """Return the certificates that the API server itself and its administrator need."""
        service_ip = first_host(self.service_cidr)
        hosts = (*API_SERVER_NAMES, self.advertise_address, service_ip)
        return (
            pki.Leaf("apiserver", "kube-apiserver", hosts=hosts),
            pki.Leaf("admin", "admin", groups=("system:masters",)),
            pki.Leaf("front-proxy", "front-proxy"),
        )

    def etcd(self) -> list[str]:
        """Return etcd's command line. It may lose data when the machine loses power."""
        client = f"http://127.0.0.1:{self.ports.etcd_client}"
        peer = f"http://127.0.0.1:{self.ports.etcd_peer}"
        return [
            str(self.programs / "etcd"),
            f"--data-dir={self.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # A sandbox is rebuilt, not recovered; syncing a slow disk costs seconds per rollout.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str]:
        """Return the API server's command line, with the admission plugins of a real cluster."""
        return [
            str(self.programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd_client}",
            f"--bind-address={self.bind_address}",
            f"--advertise-address={self.advertise_address}",
            f"--secure-port={self.ports.api}",
            f"--service-cluster-ip-range={self.service_cidr}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            # Nodes have no names in the machine's DNS.
            "--kubelet-preferred-address-types=InternalIP",
            # Endpoints of `kubernetes` would otherwise linger 15 s after a stop.
            "--shutdown-delay-duration=0s",
            *self._api_server_certificates(),
        ]

    def _api_server_certificates(self) -> list[str]:
        authority = pki.pair(self.certificates, "ca").certificate
        serving = pki.pair(self.certificates, "apiserver")
        admin = pki.pair(self.certificates, "admin")
        front = pki.pair(self.certificates, "front-proxy")
        accounts = self.certificates / "sa.key"
        return [
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={authority}",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            f"--kubelet-client-certificate={admin.certificate}",
            f"--kubelet-client-key={admin.key}",
            f"--kubelet-certificate-authority={authority}",
            f"--requestheader-client-ca-file={authority}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={front.certificate}",
            f"--proxy-client-key-file={front.key}",
        ]


def first_host(cidr: str) -> str:
    """Return the first address of a network, which Kubernetes gives to its own Service.

    >>> first_host("10.96.0.0/16")
    '10.96.0.1'
    """
    network, _, _ = cidr.partition("/")
    head, _, _ = network.rpartition(".")
    return f"{head}.1"
