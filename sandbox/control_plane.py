"""Command lines of etcd, the API server, the controller manager and the scheduler.

Pure: from addresses and files to arguments. It starts nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
    audit_log: Path | None = None  # what service accounts ask for, but not those of kube-system

    @property
    def audit_policy(self) -> Path:
        """The file that says what is written to the audit log."""
        return self.data / "audit-policy.json"

    @property
    def url(self) -> str:
        """The API server, from this machine and from every node alike."""
        return f"https://{self.bind_address}:{self.ports.api}"

    def leaves(self) -> tuple[pki.Leaf, ...]:
        """Return the certificates that the API server itself and its administrator need."""
        service_ip = first_host(self.service_cidr)
        hosts = (*API_SERVER_NAMES, self.bind_address, service_ip)
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
            # ClusterIPs lead nowhere on the machine itself; webhooks are called by pod address.
            "--enable-aggregator-routing=true",
            *self._api_server_audit(),
            *self._api_server_certificates(),
        ]

    def controller_manager(self, kubeconfig: Path, *, node_grace_s: int) -> list[str]:
        """Return the controller manager's command line."""
        authority = pki.pair(self.certificates, "ca")
        return [
            str(self.programs / "kube-controller-manager"),
            *_kubeconfigs(kubeconfig),
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports.controllers}",
            f"--service-account-private-key-file={self.certificates / 'sa.key'}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            # Each node knows its pods' network from its own configuration.
            "--allocate-node-cidrs=false",
            f"--node-monitor-grace-period={node_grace_s}s",
            "--node-monitor-period=2s",
            "--horizontal-pod-autoscaler-sync-period=5s",
            # The defaults (20 and 30) make hundreds of objects wait for each other.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def scheduler(self, kubeconfig: Path) -> list[str]:
        """Return the scheduler's command line."""
        return [
            str(self.programs / "kube-scheduler"),
            *_kubeconfigs(kubeconfig),
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports.scheduler}",
            "--leader-elect=false",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _api_server_audit(self) -> list[str]:
        if self.audit_log is None:
            return []
        return [
            f"--audit-policy-file={self.audit_policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100",  # MiB
            "--audit-log-maxbackup=1",
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


def audit_rules() -> dict[str, Any]:
    """Return the audit policy: who asked for what and was it allowed, of what runs in pods.

    A watch is written down when it starts; most never end.
    """
    everybody = "system:serviceaccounts"
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": True,
        "rules": [
            {"level": "None", "userGroups": [f"{everybody}:kube-system"]},
            {"level": "Metadata", "userGroups": [everybody]},
            {"level": "None"},
        ],
    }


def _kubeconfigs(kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]


def first_host(cidr: str) -> str:
    """Return the first address of a network, which Kubernetes gives to its own Service.

    >>> first_host("10.96.0.0/16")
    '10.96.0.1'
    """
    network, _, _ = cidr.partition("/")
    head, _, _ = network.rpartition(".")
    return f"{head}.1"
