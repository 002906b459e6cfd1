"""Cleaning knows a cluster's own shims and mounts from everybody else's."""

import os
import subprocess
from pathlib import Path

from sandbox import leftovers, processes
from sandbox.cgroups import Cgroups
from sandbox.journal import Entry, Journal


def fake_process(proc: Path, pid: int, *words: str) -> None:
    """Write what /proc shows of a process."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    fields = " ".join(["S", *(str(number) for number in range(4, 22)), "100", "0"])
    (folder / "stat").write_text(f"{pid} (x) {fields}\n")


def test_only_shims_of_this_cluster_are_ours(tmp_path: Path) -> None:
    shim = "/usr/bin/containerd-shim-runc-v2"
    fake_process(tmp_path, 1, shim, "-address", "/run/slipway/1/node1/containerd.sock")
    fake_process(tmp_path, 2, shim, "-address", "/run/slipway/11/node1/containerd.sock")
    fake_process(tmp_path, 3, shim, "-address", "/run/containerd/containerd.sock")
    fake_process(tmp_path, 4, "vim", "/run/slipway/1/journal")
    (tmp_path / "uptime").write_text("1")

    found = leftovers.shims(Path("/run/slipway/1"), proc=tmp_path)

    assert [process.pid for process in found] == [1]


def test_mounts_below_a_folder_are_found_in_order() -> None:
    mounts = (
        "tmpfs /run/slipway/1/mounts tmpfs rw 0 0\n"
        "tmpfs /run/slipway/11/mounts tmpfs rw 0 0\n"
        "nsfs /run/slipway/1/mounts/node\\0401 nsfs rw 0 0\n"
    )

    assert leftovers.mounts_below(Path("/run/slipway/1"), mounts) == [
        "/run/slipway/1/mounts",
        "/run/slipway/1/mounts/node 1",
    ]


def test_undoing_ends_processes_and_removes_folders_and_the_journal(tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    groups.mkdir()
    journal = Journal(tmp_path / "journal")
    identity = tmp_path / "processes" / "sleeper"
    identity.parent.mkdir()
    journal.add(Entry("folder", str(tmp_path / "made")))
    (tmp_path / "made" / "deep").mkdir(parents=True)
    journal.add(Entry("process", "sleeper", ("sleep", "60"), identity=str(identity)))
    process = processes.start(
        "sleeper", ["sleep", "60"], log_file=tmp_path / "log", identity=identity
    )

    leftovers.undo(journal, run=None, cgroups=Cgroups(groups))

    assert not process.is_alive()
    assert not (tmp_path / "made").exists()
    assert journal.entries() == ()


def test_undoing_what_was_written_down_and_never_made_is_no_error(tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    groups.mkdir()
    journal = Journal(tmp_path / "journal")
    for entry in (
        Entry("link", "slw99br"),
        Entry("namespace", "slw99-node1"),
        Entry("mount", "/run/slipway/99/mounts"),
        Entry("cgroup", "slipway99"),
        Entry("folder", str(tmp_path / "never")),
        Entry("process", "etcd", ("etcd",), identity=str(tmp_path / "processes" / "never-started")),
    ):
        journal.add(entry)

    leftovers.undo(journal, run=None, cgroups=Cgroups(groups))

    assert journal.entries() == ()


def test_a_process_that_was_only_just_set_off_cannot_start_any_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    identity = tmp_path / "processes" / "late"
    identity.parent.mkdir()
    started = tmp_path / "started"
    journal.add(Entry("process", "late", ("touch", str(started)), identity=str(identity)))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"read _ <{gate}; cat /proc/$$/stat >{identity} && touch {started}"
    late = subprocess.Popen(["sh", "-c", script], stderr=subprocess.DEVNULL)

    leftovers.undo(journal, run=None, cgroups=Cgroups(tmp_path / "no-groups"))
    gate.write_text("go\n")

    assert late.wait(timeout=10) != 0
    assert not started.exists()
