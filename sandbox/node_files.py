"""Configuration files of a node's programs: containerd, the network plugin, kubelet, kube-proxy.

Pure: from the addressing plan to text. JSON is written where the reader takes YAML.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox.addresses import CLUSTER_DOMAIN, Addresses, Member

# A node that falls silent counts as lost after this; its pods then leave the endpoints.
NODE_GRACE_S: Final = 20
_NODE_STATUS_S: Final = 4


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where the files of one node lie. `state` outlives a reboot, `run` does not."""

    state: Path
    run: Path
    mounts: Path  # the file that keeps the node's mount namespace

    @property
    def socket(self) -> Path:
        """containerd's socket."""
        return self.run / "containerd.sock"

    @property
    def containerd(self) -> Path:
        """containerd's configuration."""
        return self.state / "containerd.toml"

    @property
    def cni(self) -> Path:
        """Folder of the network plugin's configuration."""
        return self.state / "cni"

    @property
    def kubelet(self) -> Path:
        """The kubelet's configuration."""
        return self.state / "kubelet.json"

    @property
    def kube_proxy(self) -> Path:
        """kube-proxy's configuration."""
        return self.state / "kube-proxy.json"

    @property
    def resolver(self) -> Path:
        """The resolv.conf for pods that do not use the cluster's DNS."""
        return self.state / "resolv.conf"

    @property
    def private(self) -> dict[str, Path]:
        """Folders of this machine that the node has its own of, by their path on the machine.

        The paths are compiled into containerd's shims, the network plugins and the kubelet.
        """
        return {
            "/run/containerd": self.run / "shims",
            "/var/lib/cni": self.state / "cni-results",
            "/var/log/containers": self.state / "log-links",
            "/var/log/pods": self.state / "pod-logs",
        }


def containerd(files: NodeFiles, *, pause: str) -> str:
    """Return containerd's configuration (version 2, TOML). `pause` is an image reference."""
    return f"""\
version = 2
root = "{files.state}/containerd"
state = "{files.run}/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{files.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{files.state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lowering the score needs CAP_SYS_RESOURCE, which virtual machines and containers often lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{files.cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def network(files: NodeFiles, node: Member) -> str:
    """Return the CNI configuration: each pod has a cable of its own to the node, which routes.

    Without a bridge between pods, answers within a node pass the node's rules as well, and
    Services work where the kernel has no br_netfilter.
    """
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": node.pod_cidr}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(files.state / "pod-addresses"),
        },
    }
    return _json({"cniVersion": "0.4.0", "name": "slipway", "plugins": [plugin]})


def kubelet(files: NodeFiles, node: Member, *, addresses: Addresses, authority: Path) -> str:
    """Return a KubeletConfiguration."""
    certificate = files.state.parent / "pki" / f"{node.name}.crt"
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.address,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(certificate.with_suffix(".key")),
            "clusterDNS": [addresses.dns],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": str(files.resolver),
            "containerRuntimeEndpoint": f"unix://{files.socket}",
            "cgroupDriver": "cgroupfs",
            # Two kubelets in one group each remove the other's pods as orphans.
            "cgroupRoot": f"/{addresses.node_cgroup(node)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "nodeStatusUpdateFrequency": f"{_NODE_STATUS_S}s",
            "nodeLeaseDurationSeconds": NODE_GRACE_S,
            "syncFrequency": "10s",
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "eventRecordQPS": 50,
            # A model that logs every request under load would lose its first lines otherwise.
            "containerLogMaxSize": "200Mi",
            # Images are imported, not pulled: one that was removed would not come back.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
        }
    )


def kube_proxy(kubeconfig: Path, *, member: Member, node_name: str, addresses: Addresses) -> str:
    """Return a KubeProxyConfiguration. `node_name` is the node whose view of Services it takes."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 50, "burst": 100},
            "hostnameOverride": node_name,
            "bindAddress": member.address,
            "clusterCIDR": addresses.pod_cidr,
            "nodePortAddresses": ["primary"],
            "oomScoreAdj": 0,
            # The table's size belongs to the machine, not to a namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def resolver(nameserver: str, *, namespace: str | None) -> str:
    """Return a resolv.conf as pods have it; without `namespace`, one that finds nothing."""
    if namespace is None:
        return f"nameserver {nameserver}\n"
    search = f"{namespace}.svc.{CLUSTER_DOMAIN} svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}"
    return f"search {search}\nnameserver {nameserver}\noptions ndots:5\n"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
