"""Control groups on folders that look like the kernel's trees."""

from pathlib import Path

import pytest

from sandbox.cgroups import Cgroups
from sandbox.errors import SandboxError

HIERARCHIES = ("blkio", "cpu,cpuacct", "cpuset", "memory", "pids")


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """Give a v1 tree, hybrid as systemd makes it, with a second name for a joint hierarchy."""
    for name in (*HIERARCHIES, "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """Give a v2 tree whose children have controllers only once a parent has enabled them."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
    (tmp_path / "slipway0").mkdir()
    (tmp_path / "slipway0" / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def test_a_hybrid_tree_is_version_1(v1: Path) -> None:
    assert Cgroups(v1).version == 1


def test_a_group_is_made_in_every_v1_hierarchy(v1: Path) -> None:
    Cgroups(v1).create("slipway0/node1")

    assert all((v1 / name / "slipway0" / "node1").is_dir() for name in HIERARCHIES)
    assert not (v1 / "unified" / "slipway0").exists()


def test_a_v1_cpuset_takes_processors_and_memory_from_its_parent(v1: Path) -> None:
    Cgroups(v1).create("slipway0/node1")

    assert (v1 / "cpuset" / "slipway0" / "node1" / "cpuset.cpus").read_text() == "0-1\n"
    assert (v1 / "cpuset" / "slipway0" / "node1" / "cpuset.mems").read_text() == "0\n"


def test_making_a_group_twice_is_making_it_once(v1: Path) -> None:
    Cgroups(v1).create("slipway0/node1")
    Cgroups(v1).create("slipway0/node1")


def test_joint_hierarchies_count_for_each_of_their_controllers(v1: Path) -> None:
    Cgroups(v1).check()


def test_a_v1_tree_without_memory_is_refused(v1: Path) -> None:
    (v1 / "memory").rmdir()

    with pytest.raises(SandboxError, match="memory"):
        Cgroups(v1).check()


def test_a_pure_tree_is_version_2(v2: Path) -> None:
    assert Cgroups(v2).version == 2


def test_v2_parents_enable_the_controllers_that_they_have(v2: Path) -> None:
    Cgroups(v2).create("slipway0/node1")

    enabled = "+cpu +cpuset +memory +pids +io"
    assert (v2 / "cgroup.subtree_control").read_text() == enabled
    assert (v2 / "slipway0" / "cgroup.subtree_control").read_text() == enabled
    assert (v2 / "slipway0" / "node1").is_dir()


def test_a_v2_tree_without_pids_is_refused(v2: Path) -> None:
    (v2 / "cgroup.controllers").write_text("cpuset cpu io memory\n")

    with pytest.raises(SandboxError, match="controller pids"):
        Cgroups(v2).check()


def test_processes_of_all_groups_below_are_found_once(v1: Path) -> None:
    Cgroups(v1).create("slipway0/node1/pod")
    (v1 / "memory" / "slipway0" / "node1" / "pod" / "cgroup.procs").write_text("7\n8\n")
    (v1 / "pids" / "slipway0" / "node1" / "cgroup.procs").write_text("8\n9\n")
    (v1 / "memory" / "cgroup.procs").write_text("1\n")

    assert Cgroups(v1).processes("slipway0") == {7, 8, 9}


def test_removing_takes_the_whole_group_and_nothing_else(v1: Path) -> None:
    (v1 / "cpuset" / "cpuset.cpus").unlink()
    (v1 / "cpuset" / "cpuset.mems").unlink()
    Cgroups(v1).create("slipway0/node1")
    Cgroups(v1).create("slipway1/node1")

    Cgroups(v1).remove("slipway0")

    assert not (v1 / "memory" / "slipway0").exists()
    assert (v1 / "memory" / "slipway1" / "node1").is_dir()


def test_removing_what_is_not_there_is_no_error(v2: Path) -> None:
    Cgroups(v2).remove("slipway9")
