"""Clusters beside each other, and what `kill -9` leaves: nothing of one reaches the other."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import cluster as cluster_module
from sandbox import network, places
from sandbox.addresses import Addresses
from sandbox.cgroups import ROOT
from sandbox.cluster import Cluster
from sandbox.errors import SandboxError
from sandbox.journal import Kind
from sandbox.progress import Progress

pytestmark = pytest.mark.e2e

CRASHING = "e2e-crash"
STARTED_S = 60.0
COMMAND_S = 120.0


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Cluster]:
    """Run a cluster that must not notice anything."""
    with cluster_module.temporary("e2e-beside", 1, log=Progress()) as made:
        yield made


def left_of(addresses: Addresses) -> list[str]:
    """List what is left on the machine of a cluster with these addresses."""
    links = (addresses.bridge, *(member.link for member in addresses.members))
    found = [name for name in links if Path("/sys/class/net", name).exists()]
    found += [
        str(each.namespace_file) for each in addresses.members if each.namespace_file.exists()
    ]
    found += [str(path) for path in ROOT.glob(f"*/{addresses.cgroup}")]
    found += [
        line
        for line in Path("/proc/mounts").read_text().splitlines()
        if f"{addresses.run}/" in line
    ]
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"{addresses.run}/" in words or f"/clusters/{CRASHING}/" in words:
            found.append(words.replace("\0", " "))
    return found


def written(made: Cluster, kind: Kind) -> int:
    """Count the journal's entries of a cluster that perhaps does not exist yet."""
    try:
        return len(made.layout.journal.of(kind))
    except SandboxError:
        return 0


def kill_when(kind: Kind, count: int) -> Addresses:
    """Begin to bring a cluster up and kill that with -9 once its journal has `count` entries."""
    made = Cluster.create(CRASHING)
    code = "import sys; from sandbox.cluster import Cluster\nCluster.create(sys.argv[1], 1).up()\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code, CRASHING], cwd=places.checkout(), stdin=subprocess.DEVNULL
    )
    deadline_s = time.monotonic() + STARTED_S
    try:
        while time.monotonic() < deadline_s:
            if written(made, kind) >= count:
                break
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
    return made.layout.addresses


@pytest.mark.parametrize(
    ("kind", "count"),
    [("link", 1), ("namespace", 2), ("cgroup", 1), ("process", 1), ("process", 4), ("process", 7)],
)
def test_clean_removes_all_that_a_killed_up_left_and_nothing_else(
    kind: Kind, count: int, neighbour: Cluster
) -> None:
    addresses = kill_when(kind, count)

    Cluster.create(CRASHING).clean(even_if_up=False)

    assert left_of(addresses) == []
    assert cluster_module.names(places.places()).count(CRASHING) == 0
    assert neighbour.is_up()


def test_up_after_a_killed_up_begins_anew_and_down_leaves_nothing(neighbour: Cluster) -> None:
    kill_when("process", 5)

    with cluster_module.temporary(CRASHING, 1, log=Progress()) as made:
        addresses = made.layout.addresses
        assert made.layout.api.nodes_ready() == {"node1"}
        assert neighbour.layout.api.nodes_ready() == {"node1"}
        assert addresses.index != neighbour.layout.addresses.index

    assert left_of(addresses) == []
    assert neighbour.is_up()


def test_a_temporary_cluster_whose_owner_was_killed_is_left_behind(neighbour: Cluster) -> None:
    code = (
        "import os, signal, sys; from sandbox.cluster import Cluster\n"
        "Cluster.create(sys.argv[1], 1, is_temporary=True).up()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, CRASHING],
        cwd=places.checkout(),
        check=False,
        timeout=COMMAND_S,
    )
    made = Cluster.create(CRASHING)
    addresses = made.layout.addresses
    assert made.is_left_behind()

    made.clean(even_if_up=False)

    assert left_of(addresses) == []
    assert neighbour.is_up()


def test_pods_of_one_cluster_do_not_reach_the_other(neighbour: Cluster) -> None:
    own = [route for route in network.networks_in_use() if route.startswith("10.")]

    assert neighbour.layout.addresses.overlaps(own) in own
    others = [route for route in own if not neighbour.layout.addresses.overlaps([route])]
    inside = subprocess.run(
        neighbour.client_command(["ip", "-4", "route"]),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_S,
    ).stdout
    assert not any(route in inside for route in others)
