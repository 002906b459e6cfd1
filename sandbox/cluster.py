"""A Kubernetes cluster on this machine: what tests, the demo and `./dev` use of the sandbox.

`up` may be called at any time: on a cluster that is up it does nothing, on what a crash left it
cleans first. Knows nothing of what runs in the cluster.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sandbox import (
    files,
    images,
    leftovers,
    locks,
    network,
    node_files,
    packages,
    processes,
    raising,
    toolchain,
)
from sandbox import places as places_module
from sandbox.addresses import Addresses, Member
from sandbox.cgroups import Cgroups
from sandbox.errors import SandboxError
from sandbox.images import ImageArchive
from sandbox.instances import Claims
from sandbox.journal import Journal
from sandbox.layout import ADMIN, Layout
from sandbox.processes import Process
from sandbox.progress import Log, silent, step

NODE_COUNT: Final = 2
_SETTINGS: Final = "cluster.json"
_NAME_LENGTH_MAX: Final = 40
_LOCK_TIMEOUT_S: Final = 600.0
_END_S: Final = 10.0
_END_POLL_S: Final = 0.05
# A process that was killed while it started another leaves it the lock until that one execs.
_CLEAN_LOCK_TIMEOUT_S: Final = 2.0
_ENTER_WITH_NAMES: Final = (
    'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && '
    'shift 2 && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a running cluster, for tests that break it."""

    member: Member
    address: str

    @property
    def name(self) -> str:
        """The node's name in Kubernetes."""
        return self.member.name

    def cut_link(self) -> None:
        """Pull the node's network cable: it and its pods live on, unreachable."""
        network.set_link(self.member, up=False)

    def restore_link(self) -> None:
        """Plug the cable in again."""
        network.set_link(self.member, up=True)


class Cluster:
    """The cluster called `name`, which may be up or not."""

    def __init__(self, name: str, *, nodes: int, log: Log, is_temporary: bool) -> None:
        if not name or len(name) > _NAME_LENGTH_MAX or not name.replace("-", "").isalnum():
            raise SandboxError(
                f"{name!r} is no name for a cluster: letters, digits and hyphens, "
                f"1 to {_NAME_LENGTH_MAX}"
            )
        self.name = name
        self._nodes = nodes
        self._log = log
        self._is_temporary = is_temporary
        self._places = places_module.places()
        self._cgroups = Cgroups()

    @classmethod
    def create(
        cls, name: str, nodes: int = NODE_COUNT, *, log: Log = silent, is_temporary: bool = False
    ) -> "Cluster":
        """Return the cluster called `name`; nothing is started. A name stands for one cluster.

        A temporary cluster belongs to the process that brings it up: once that has ended, however
        it ended, the cluster counts as left behind, and the next `up` begins from nothing.
        """
        return cls(name, nodes=nodes, log=log, is_temporary=is_temporary)

    @property
    def folder(self) -> Path:
        """Where its certificates, configuration, logs and data lie."""
        return self._places.clusters / self.name

    @property
    def layout(self) -> Layout:
        """The places and addresses of the cluster; raises where none of this name was made."""
        found = self._layout()
        if found is None:
            raise SandboxError(f"there is no cluster {self.name!r}; make it with `./dev up`")
        return found

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig. It works on this machine and in the client's place."""
        return self.layout.kubeconfig(ADMIN)

    @property
    def programs(self) -> Path:
        """A folder with kubectl and the other Kubernetes programs."""
        return toolchain.kube_programs(log=self._log)

    @property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's version."""
        return self.programs / "kubectl"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, node1 first."""
        return tuple(Node(each, each.address) for each in self.layout.addresses.nodes)

    @property
    def pids(self) -> Mapping[str, Process]:
        """The processes that are alive, by name: `kube-apiserver`, `node1/kubelet`, …"""
        return {process.name: process for process in leftovers.running(self.layout.journal)}

    def node(self, name: str) -> Node:
        """Return the node called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise SandboxError(f"cluster {self.name!r} has no node {name!r}")

    def up(self) -> None:
        """Bring the cluster up, installing and building what is missing."""
        _require_root()
        packages.ensure(packages.CLUSTER, log=self._log)
        programs = self.programs
        pause = images.ensure("pause", log=self._log)
        coredns = images.ensure("coredns", log=self._log)
        with self._locked():
            self._refuse_if_owned()
            if self.is_up():
                self._log(f"cluster {self.name!r} is up already, with {len(self.nodes)} nodes")
                return
            self._remove_leftovers()
            layout = self._claim()
            site = raising.Site(layout, programs, self._cgroups, self._log)
            try:
                self._raise(site, pause=pause, coredns=coredns)
            except BaseException:
                self._log(f"cluster {self.name!r} did not come up; removing what was made of it")
                self._remove()
                raise
            layout.ready.touch()

    def down(self) -> None:
        """End the cluster and remove everything of it but its logs. Absence is no error."""
        _require_root()
        with self._locked():
            if self._layout() is None:
                self._log(f"cluster {self.name!r} is not there")
                return
            with step(f"taking cluster {self.name!r} down", log=self._log):
                self._remove()

    def clean(self, *, even_if_up: bool) -> None:
        """Remove the cluster if a crash left it behind, or in any case; not while it comes up.

        One that came up and lost processes since is no leftover: perhaps a test ended them.
        """
        _require_root()
        try:
            with self._locked(timeout_s=_CLEAN_LOCK_TIMEOUT_S):
                layout = self._layout()
                if layout is not None and (even_if_up or self.is_left_behind()):
                    with step(f"removing cluster {self.name!r}", log=self._log):
                        self._remove()
        except locks.LockHeldError as error:
            self._log(f"cluster {self.name!r} is left alone: {error}")

    def is_up(self) -> bool:
        """Return whether it came up as a whole, all of its processes run, and its owner too."""
        layout = self._layout()
        return (
            layout is not None
            and layout.ready.exists()
            and not self.missing()
            and not self.is_left_behind()
        )

    def is_left_behind(self) -> bool:
        """Return whether nobody can be using it: half made, its owner gone, or all of it ended."""
        layout = self._layout()
        if layout is None:
            return False
        owner = self._owner()
        is_orphan = owner is not None and not owner.is_alive()
        return is_orphan or not layout.ready.exists() or not self.pids

    def missing(self) -> tuple[str, ...]:
        """Return the names of processes that were started and have ended since."""
        wanted = {entry.name for entry in self.layout.journal.of("process")}
        return tuple(sorted(wanted - set(self.pids)))

    def load_image(self, archive: ImageArchive) -> None:
        """Import an image into every node; one that a node has already costs a look."""
        raising.load(self._site(), archive)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of `pids`."""
        process = self.pids.get(name)
        if process is None:
            raise SandboxError(f"cluster {self.name!r} has no running process {name!r}")
        os.kill(process.pid, number)

    def start_again(self, name: str) -> None:
        """Start a process that has ended, or is about to, with its command line of before."""
        entry = self.layout.journal.process(name)
        if entry is None:
            raise SandboxError(f"cluster {self.name!r} never had a process {name!r}")
        deadline_s = time.monotonic() + _END_S
        while name in self.pids:  # a killed one still gives its memory back
            if time.monotonic() > deadline_s:
                raise SandboxError(f"cluster {self.name!r}: process {name!r} still runs")
            time.sleep(_END_POLL_S)
        raising.start(self._site(), name, list(entry.command))

    def client_command(self, command: Sequence[str], *, namespace: str = "default") -> list[str]:
        """Return what runs `command` on the cluster's network, with names as a pod has them.

        `namespace` is where short names are looked up. The program sees this machine's files.
        """
        layout = self.layout
        folder = layout.folder / "client"
        resolver = folder / f"resolv-{namespace}.conf"
        names = folder / "nsswitch.conf"
        files.write_whole(resolver, node_files.resolver(layout.addresses.dns, namespace=namespace))
        files.write_whole(names, "hosts: files dns\n")
        return [
            "nsenter",
            f"--net={layout.addresses.client.namespace_file}",
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            _ENTER_WITH_NAMES,
            "sh",
            str(resolver),
            str(names),
            *command,
        ]

    def _raise(self, site: raising.Site, *, pause: ImageArchive, coredns: ImageArchive) -> None:
        log = self._log
        raising.prepare(site, pause=pause)
        raising.build_network(site)
        with step("control plane: etcd, API server, controllers, scheduler", log=log):
            raising.start_control_plane(site)
        names = ", ".join(node.name for node in site.layout.addresses.nodes)
        with step(f"nodes {names}: containerd, kubelet, kube-proxy", log=log):
            raising.start_nodes(site, pause=pause)
        with step("DNS in the cluster: CoreDNS", log=log):
            raising.start_dns(site, image=coredns)

    def _claim(self) -> Layout:
        # The folder comes first: a claim whose owner has none is an orphan (`clean_orphans`).
        self.folder.mkdir(parents=True, exist_ok=True)
        addresses = Claims().take(
            self.folder,
            node_count=self._nodes,
            networks=network.networks_in_use(),
            log=self._log,
        )
        owner = processes.identify("owner", os.getpid()) if self._is_temporary else None
        settings = {
            "index": addresses.index,
            "nodes": addresses.node_count,
            "owner": asdict(owner) if owner is not None else None,
        }
        files.write_whole(self.folder / _SETTINGS, json.dumps(settings))
        return Layout(self.name, self.folder, addresses)

    def _settings(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / _SETTINGS).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return dict(found)

    def _layout(self) -> Layout | None:
        settings = self._settings()
        if settings is None:
            return None
        return Layout(self.name, self.folder, Addresses(settings["index"], settings["nodes"]))

    def _owner(self) -> Process | None:
        owner = (self._settings() or {}).get("owner")
        return None if owner is None else Process(**owner)

    def _refuse_if_owned(self) -> None:
        owner = self._owner()
        if owner is not None and owner.pid != os.getpid() and owner.is_alive():
            raise SandboxError(
                f"cluster {self.name!r} belongs to process {owner.pid}, which still runs; "
                "wait for its end or use another name"
            )

    def _site(self) -> raising.Site:
        return raising.Site(self.layout, self.programs, self._cgroups, self._log)

    def _locked(self, *, timeout_s: float = _LOCK_TIMEOUT_S) -> AbstractContextManager[None]:
        path = self._places.locks / f"cluster-{self.name}.lock"
        return locks.held(path, log=self._log, timeout_s=timeout_s)

    def _remove_leftovers(self) -> None:
        if self._layout() is not None:
            why = ", ".join(self.missing()) or "its maker was killed"
            what = f"removing what is left of cluster {self.name!r} ({why})"
            with step(what, log=self._log):
                self._remove()

    def _remove(self) -> None:
        layout = self.layout
        leftovers.undo(layout.journal, run=layout.addresses.run, cgroups=self._cgroups)
        for path in (*self.folder.iterdir(), *layout.addresses.run.iterdir()):
            if path.is_dir() and path != layout.logs:
                shutil.rmtree(path)
        (self.folder / _SETTINGS).unlink()
        layout.ready.unlink(missing_ok=True)
        Claims().release(self.folder)


@contextmanager
def temporary(name: str, nodes: int = NODE_COUNT, *, log: Log = silent) -> Iterator[Cluster]:
    """Bring up a cluster for a block of code, from nothing, and take it down afterwards."""
    made = Cluster.create(name, nodes, log=log, is_temporary=True)
    made.up()
    try:
        yield made
    finally:
        made.down()


def names(places: places_module.Places) -> tuple[str, ...]:
    """Return the names of the clusters in a cache that are up or were left behind."""
    return tuple(sorted(file.parent.name for file in places.clusters.glob(f"*/{_SETTINGS}")))


def clean_orphans(*, log: Log) -> None:
    """Remove clusters whose folder somebody deleted: nobody else can take them down any more."""
    claims = Claims()
    for index, owner in claims.all().items():
        if not owner.exists():
            run = claims.root / str(index)
            with step(f"removing the cluster of {owner}, which is gone", log=log):
                leftovers.undo(Journal(run / "journal"), run=run, cgroups=Cgroups())
                shutil.rmtree(run)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise SandboxError(
            "a cluster needs root: it makes network namespaces, mounts and control groups"
        )
