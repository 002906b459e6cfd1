"""Where the parts of one cluster lie on disk, and which process is called what. Pure."""

from dataclasses import dataclass
from pathlib import Path

from sandbox import pki
from sandbox.addresses import Addresses, Member
from sandbox.api import Api
from sandbox.control_plane import ControlPlane
from sandbox.journal import Journal
from sandbox.node_files import NodeFiles

ADMIN = "admin"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBE_PROXY = "kube-proxy"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of the cluster `name` in `folder`, with its place in the machine's network."""

    name: str
    folder: Path
    addresses: Addresses

    @property
    def certificates(self) -> Path:
        """Authority and leaves."""
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        """One file per process, `<name>.log`; kept after the cluster is gone."""
        return self.folder / "log"

    @property
    def audit_log(self) -> Path:
        """What service accounts asked the API server for; JSON, one line for each stage."""
        return self.logs / "audit.log"

    @property
    def journal(self) -> Journal:
        """What was made. In the run folder: it outlives a cache that somebody deleted."""
        return Journal(self.addresses.run / "journal")

    @property
    def ready(self) -> Path:
        """Exists once the cluster was up as a whole."""
        return self.addresses.run / "ready"

    @property
    def mounts(self) -> Path:
        """A small file system of our own that keeps the nodes' mount namespaces."""
        return self.addresses.run / "mounts"

    @property
    def api(self) -> Api:
        """The API server, asked as administrator."""
        url = f"https://{self.addresses.gateway}:{self.addresses.ports.api}"
        return Api(url, self.certificates)

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user: `admin`, a component or a node."""
        return self.folder / "kubeconfig" / user

    def identity(self, process: str) -> Path:
        """Return the file into which a process writes who it is."""
        return self.addresses.run / "processes" / process.replace("/", "-")

    def log_file(self, process: str) -> Path:
        """Return where a process writes its output."""
        return self.logs / f"{process.replace('/', '-')}.log"

    def control_plane(self, programs: Path) -> ControlPlane:
        """Return the control plane, its programs lying in the folder `programs`."""
        return ControlPlane(
            programs=programs,
            certificates=self.certificates,
            data=self.folder,
            ports=self.addresses.ports,
            # On the bridge only: reachable from nodes and this machine, not from its neighbours.
            bind_address=self.addresses.gateway,
            advertise_address=self.addresses.gateway,
            service_cidr=self.addresses.service_cidr,
            audit_log=self.audit_log,
        )

    def node_files(self, member: Member) -> NodeFiles:
        """Return where the files of a node or of the client's place lie."""
        return NodeFiles(
            state=self.folder / member.name,
            run=self.addresses.run / member.name,
            mounts=self.mounts / member.name,
        )

    def leaves(self) -> tuple[pki.Leaf, ...]:
        """Return the certificates of the components and nodes, beside the control plane's own."""
        components = tuple(
            pki.Leaf(name, f"system:{name}") for name in (CONTROLLER_MANAGER, SCHEDULER, KUBE_PROXY)
        )
        nodes = tuple(
            pki.Leaf(
                node.name,
                f"system:node:{node.name}",
                groups=("system:nodes",),
                hosts=(node.name, node.address),
            )
            for node in self.addresses.nodes
        )
        return components + nodes
