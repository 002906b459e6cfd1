"""The ground of a run: the sandbox's cluster, with Slipway's images on every node.

It gives `bench.stage` what it asks of a cluster, as `bench.guest_ground` does for clusters of
others; nothing else of the bench knows the sandbox.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from bench import files
from sandbox import images, plugin_archive, toolchain
from sandbox.cluster import Cluster
from sandbox.progress import Log, silent, step

CLUSTER_NAME: Final = "demo"


@dataclass(frozen=True, slots=True)
class Ground:
    """A cluster that is up, and the chart values that make it run this checkout."""

    cluster: Cluster
    values: Mapping[str, Any]

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    @property
    def host_address(self) -> str:
        return self.cluster.layout.addresses.gateway

    def environment(self) -> Mapping[str, str]:
        """Have kubectl of the cluster's version, our plugin and Helm 4 first."""
        helm = toolchain.helm_folder(log=silent)
        own = (self.cluster.programs, plugin_archive.ensure(), helm, Path(sys.prefix) / "bin")
        return {
            **os.environ,
            "PATH": os.pathsep.join(map(str, (*own, os.environ["PATH"]))),
            "KUBECONFIG": str(self.kubeconfig),
        }

    def has_slipway(self) -> bool:
        """Never: this checkout's Slipway is installed anew."""
        return False

    @contextlib.contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """Serve the files of `folder` to pods from this machine; their base URL."""
        with files.serve(folder, address=self.host_address) as base_url:
            yield base_url

    def start_load(
        self, arguments: Sequence[str], *, samples: Path, ledger: Path
    ) -> "subprocess.Popen[bytes]":
        """Begin to send load from the client's place."""
        given = ("--samples", str(samples), "--ledger", str(ledger))
        command = self.client_command([sys.executable, "-m", "bench.load", *arguments, *given])
        modules = os.pathsep.join(path for path in sys.path if path)
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": modules}
        )

    def client_command(self, command: Sequence[str]) -> list[str]:
        return self.cluster.client_command(command)


@contextlib.contextmanager
def raised(name: str, *, keep: bool, log: Log) -> Iterator[Ground]:
    """Raise a cluster of that name with this checkout's images; take it down unless `keep`."""
    toolchain.helm_folder(log=log)
    built = {image: images.ensure(image, log=log) for image in get_args(images.BuiltImage)}
    cluster = Cluster.create(name, log=log)
    cluster.up()
    try:
        with step("importing images into the nodes", log=log):
            for archive in built.values():
                cluster.load_image(archive)
        yield Ground(cluster, images.chart_values(built))
    finally:
        if keep:
            log(f"cluster {name!r} stays up; remove it with `./dev down --name {name}`")
        else:
            cluster.down()
