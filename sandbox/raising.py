"""The steps from nothing to a cluster, each written into the journal before it is done.

Decides no names or settings: those are `addresses`, `control_plane`, `node_files` and `dns`.
"""

import datetime
import json
import shlex
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox import (
    api,
    apiserver,
    control_plane,
    dns,
    kubeconfig,
    network,
    node_files,
    pki,
    processes,
    programs,
)
from sandbox.addresses import Member
from sandbox.cgroups import Cgroups
from sandbox.errors import SandboxError
from sandbox.images import ImageArchive
from sandbox.journal import Entry
from sandbox.layout import ADMIN, CONTROLLER_MANAGER, KUBE_PROXY, SCHEDULER, Layout
from sandbox.processes import Process
from sandbox.progress import Log, step

_POLL_S: Final = 0.1
_SHORT_S: Final = 20.0
_IMPORT_TIMEOUT_S: Final = 180.0
# Eight seconds on two idle cores; ten times that when tests share them.
NODES_TIMEOUT_S: Final = 120.0
DNS_REPLICAS: Final = 2


@dataclass(frozen=True, slots=True)
class Site:
    """What the steps share: the layout, the folder of Kubernetes programs, the tree of groups."""

    layout: Layout
    programs: Path
    cgroups: Cgroups
    log: Log


def prepare(site: Site, *, pause: ImageArchive) -> None:
    """Write certificates, kubeconfigs and configuration files."""
    layout = site.layout
    plane = layout.control_plane(site.programs)
    leaves = (*plane.leaves(), *layout.leaves())
    pki.write(layout.certificates, leaves, now=datetime.datetime.now(datetime.UTC))
    _write(plane.audit_policy, json.dumps(control_plane.audit_rules()))
    for old in layout.logs.glob("audit*.log"):
        old.unlink()
    nodes = [node.name for node in layout.addresses.nodes]
    for user in (ADMIN, CONTROLLER_MANAGER, SCHEDULER, KUBE_PROXY, *nodes):
        kubeconfig.write(
            layout.kubeconfig(user),
            server=plane.url,
            authority=layout.certificates / "ca.crt",
            client=pki.pair(layout.certificates, user),
            name=f"slipway-{layout.name}",
        )
    for node in layout.addresses.nodes:
        _write_node_files(layout, node, pause=pause)
    client = layout.addresses.client
    _write(layout.node_files(client).kube_proxy, _proxy_config(layout, client))


def start_control_plane(site: Site) -> None:
    """Start etcd, the API server, the controller manager and the scheduler; wait for the API."""
    layout = site.layout
    plane = layout.control_plane(site.programs)
    running = [
        start(site, "etcd", plane.etcd()),
        start(site, "kube-apiserver", plane.api_server()),
    ]
    apiserver.await_ready(layout.api, running, logs=layout.logs)
    manager = plane.controller_manager(
        layout.kubeconfig(CONTROLLER_MANAGER), node_grace_s=node_files.NODE_GRACE_S
    )
    start(site, CONTROLLER_MANAGER, manager)
    start(site, SCHEDULER, plane.scheduler(layout.kubeconfig(SCHEDULER)))


def start_nodes(site: Site, *, pause: ImageArchive) -> None:
    """Start the programs of every node and of the client's place; wait until nodes are Ready."""
    layout = site.layout
    _keep_mounts(site)
    for node in layout.addresses.nodes:
        _start_container_runtime(site, node)
    load(site, pause)
    for node in layout.addresses.nodes:
        files = layout.node_files(node)
        command = [
            str(site.programs / "kubelet"),
            f"--config={files.kubelet}",
            f"--kubeconfig={layout.kubeconfig(node.name)}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--root-dir={files.state / 'kubelet'}",
            f"--cert-dir={files.state / 'kubelet-certificates'}",
        ]
        start(site, f"{node.name}/kubelet", _inside(site, node, command))
    for member in layout.addresses.members:
        config = layout.node_files(member).kube_proxy
        command = [str(site.programs / "kube-proxy"), f"--config={config}"]
        start(site, f"{member.name}/kube-proxy", _inside(site, member, command))
    await_nodes(site)


def await_nodes(site: Site) -> None:
    """Wait until every node is Ready."""
    wanted = {node.name for node in site.layout.addresses.nodes}

    def late() -> str:
        missing = sorted(wanted - site.layout.api.nodes_ready())
        logs = "\n".join(
            apiserver.tail(site.layout.log_file(f"{name}/kubelet")) for name in missing
        )
        return f"not Ready: {', '.join(missing)}; the end of their kubelets' logs:\n{logs}"

    await_true(lambda: wanted <= site.layout.api.nodes_ready(), late=late)


def start_dns(site: Site, *, image: ImageArchive) -> None:
    """Run CoreDNS in the cluster and wait until it answers."""
    load(site, image)
    layout = site.layout
    documents = dns.documents(
        image=image.reference, cluster_ip=layout.addresses.dns, replicas=DNS_REPLICAS
    )
    api.apply(site.programs / "kubectl", layout.kubeconfig(ADMIN), documents)
    await_true(
        lambda: layout.api.available(dns.NAMESPACE, dns.NAME) == DNS_REPLICAS,
        late=lambda: f"{dns.NAMESPACE}/{dns.NAME} has not {DNS_REPLICAS} available pods",
    )


def load(site: Site, archive: ImageArchive) -> None:
    """Import an image into the containerd of every node that lacks it."""
    nodes = site.layout.addresses.nodes
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: _import(site.layout, node, archive), nodes))


def start(site: Site, name: str, command: list[str]) -> Process:
    """Start a process of the cluster, written down before."""
    layout = site.layout
    identity = layout.identity(name)
    identity.parent.mkdir(parents=True, exist_ok=True)
    identity.unlink(missing_ok=True)  # of its predecessor, if it is started again
    log_file = layout.log_file(name)
    layout.journal.add(Entry("process", name, tuple(command), str(log_file), str(identity)))
    return processes.start(name, command, log_file=log_file, identity=identity)


def await_true(condition: Callable[[], bool], *, late: Callable[[], str]) -> None:
    """Wait for a condition of a cluster that comes up; `late` says what is wrong if it never is."""
    deadline_s = time.monotonic() + NODES_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise SandboxError(f"after {NODES_TIMEOUT_S:.0f} s {late()}")
        time.sleep(_POLL_S)


def build_network(site: Site) -> None:
    """Make the network, and the control groups of the nodes."""
    layout = site.layout
    with step(f"network {layout.addresses.node_cidr} with a namespace per node", log=site.log):
        network.build(layout.addresses, journal=layout.journal)
        site.cgroups.check()
        layout.journal.add(Entry("cgroup", layout.addresses.cgroup))
        for node in layout.addresses.nodes:
            site.cgroups.create(layout.addresses.node_cgroup(node))


def _keep_mounts(site: Site) -> None:
    """Mount what keeps mount namespaces: their files must lie on a mount that is private."""
    mounts = site.layout.mounts
    mounts.mkdir(parents=True, exist_ok=True)
    site.layout.journal.add(Entry("mount", str(mounts)))
    programs.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "slipway", mounts], timeout_s=_SHORT_S
    )
    programs.run(["mount", "--make-private", mounts], timeout_s=_SHORT_S)


def _start_container_runtime(site: Site, node: Member) -> None:
    """Give a node mounts of its own, so that they are gone with it, and start its containerd."""
    files = site.layout.node_files(node)
    script = ["set -e", "mount --make-rshared /"]
    for target, source in files.private.items():
        source.mkdir(parents=True, exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)
        script.append(f"mount --bind {shlex.quote(str(source))} {shlex.quote(target)}")
    files.mounts.touch()
    unshare = ["unshare", f"--mount={files.mounts}", "--propagation=slave"]
    programs.run([*unshare, "sh", "-c", "\n".join(script)], timeout_s=_SHORT_S)
    command = ["containerd", f"--config={files.containerd}"]
    start(site, f"{node.name}/containerd", _inside(site, node, command))


def _inside(site: Site, member: Member, command: list[str]) -> list[str]:
    enter = ["nsenter", f"--net={member.namespace_file}"]
    mounts = site.layout.node_files(member).mounts
    # `ip netns exec` would hide the control groups behind a fresh /sys; nsenter does not.
    return [*enter, *([f"--mount={mounts}"] if member.pod_cidr else []), *command]


def _import(layout: Layout, node: Member, archive: ImageArchive) -> None:
    files = layout.node_files(node)
    await_true(
        lambda: _answers(files.socket),
        late=lambda: (
            f"containerd of {node.name} does not answer; the end of its log:\n"
            + apiserver.tail(layout.log_file(f"{node.name}/containerd"))
        ),
    )
    ctr = ["ctr", f"--address={files.socket}", "--namespace=k8s.io", "images"]
    present = programs.run([*ctr, "list", "--quiet"], timeout_s=_SHORT_S).split()
    if archive.reference not in present:
        programs.run([*ctr, "import", archive.path], timeout_s=_IMPORT_TIMEOUT_S)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _write_node_files(layout: Layout, node: Member, *, pause: ImageArchive) -> None:
    files = layout.node_files(node)
    files.run.mkdir(parents=True, exist_ok=True)
    authority = layout.certificates / "ca.crt"
    texts: Mapping[Path, str] = {
        files.containerd: node_files.containerd(files, pause=pause.reference),
        files.cni / "10-slipway.conflist": node_files.network(files, node),
        files.kubelet: node_files.kubelet(
            files, node, addresses=layout.addresses, authority=authority
        ),
        files.kube_proxy: _proxy_config(layout, node),
        # Pods with dnsPolicy Default look up no names; nothing listens there.
        files.resolver: node_files.resolver("127.0.0.1", namespace=None),
    }
    for path, text in texts.items():
        _write(path, text)


def _proxy_config(layout: Layout, member: Member) -> str:
    # The client's place is no node, and kube-proxy wants to be on one.
    nodes = layout.addresses.nodes
    node_name = member.name if member in nodes else nodes[0].name
    return node_files.kube_proxy(
        layout.kubeconfig(KUBE_PROXY),
        member=member,
        node_name=node_name,
        addresses=layout.addresses,
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
