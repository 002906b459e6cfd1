"""The quota of a real control group, seen by a process in it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.server.conftest import DEADLINE_S, ROOT

pytestmark = pytest.mark.contract

TREE = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


@contextmanager
def group(quota_us: int) -> Iterator[Path]:
    """Make a group with this quota, of whichever version the machine has; skip without rights."""
    is_v2 = (TREE / "cgroup.controllers").exists()
    made = (TREE if is_v2 else TREE / "cpu") / f"slipway-quota-{os.getpid()}"
    try:
        if is_v2:
            (TREE / "cgroup.subtree_control").write_text("+cpu")
        made.mkdir()
        if is_v2:
            (made / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        else:
            (made / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (made / "cpu.cfs_quota_us").write_text(str(quota_us))
    except OSError as err:
        with contextlib.suppress(OSError):
            made.rmdir()
        pytest.skip(f"no control group can be made here: {err}")
    try:
        yield made
    finally:
        made.rmdir()


@pytest.mark.parametrize(("quota_us", "expected"), [(250_000, "2.5 2"), (50_000, "0.5 1")])
def test_a_process_sizes_its_threads_by_the_quota_of_its_group(quota_us, expected) -> None:
    script = (
        "from slipway_server import processors as p; q = p.quota(); print(q, p.sizes(q).threads)"
    )
    path = os.pathsep.join(str(ROOT / folder) for folder in ("crds", "server"))
    with group(quota_us) as made:
        done = subprocess.run(
            ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', made, sys.executable, "-c",
             script],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE_S,
        )  # fmt: skip

    assert done.stdout.strip() == expected
