"""Threads follow the quota of the control group, not the number of the host's processors."""

from pathlib import Path

import pytest

from slipway_server.processors import Sizes, quota, sizes


def lay(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def quota_of(tmp_path: Path, own: str, files: dict[str, str]) -> float | None:
    lay(tmp_path, files)
    (tmp_path / "own").write_text(own)
    return quota(tmp_path, tmp_path / "own")


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        # A container with a namespace of its own, version 2.
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # A pod without one: the container's limit, and the pod's above it.
        (
            "0::/kubepods/pod1/c1\n",
            {"kubepods/pod1/c1/cpu.max": "400000 100000", "kubepods/pod1/cpu.max": "200000 100000"},
            2.0,
        ),
        # The host's path, and only the own group mounted.
        ("0::/kubepods/pod1/c1\n", {"cpu.max": "300000 100000"}, 3.0),
        # Version 1, joined or not, with a joint tree beside it.
        (
            "4:cpu,cpuacct:/docker/c1\n0::/\n",
            {
                "cpu,cpuacct/docker/c1/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/docker/c1/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            "2:cpuset:/\n1:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
        ),
        ("1:cpu:/\n0::/\n", {"unified/cpu.max": "50000 100000"}, 0.5),
        ("", {}, None),
        ("0::/\n", {"cpu.max": "rubbish"}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
    ],
)
def test_the_smallest_limit_on_the_way_up_counts(tmp_path, own, files, expected):
    assert quota_of(tmp_path, own, files) == expected


def test_where_there_are_no_control_groups_there_is_no_quota(tmp_path):
    assert quota(tmp_path, tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("processors", "threads"), [(None, 1), (0.2, 1), (1.0, 1), (1.9, 1), (2.0, 2), (7.5, 7)]
)
def test_threads_are_the_whole_processors_of_the_quota(processors, threads):
    assert sizes(processors) == Sizes(threads, 2)
