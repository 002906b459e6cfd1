"""The demo as a user runs it: its own exit code, report and ledger are the test.

At half its own rate: there, cluster, clients and ledger take two processors to their limit, and a
test machine that has anything else to do would be what the test tells of.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import changes
from bench.scene import Scene, Target

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_S = 900
RATE = 100
PYTHONPATH = os.pathsep.join(str(CHECKOUT / part) for part in ("crds", "operator", "server", "."))


def test_the_demo_passes_and_its_ledger_proves_it(scene: Scene, tmp_path: Path) -> None:
    written, ledger = tmp_path / "report.json", tmp_path / "ledger.jsonl"
    environment = os.environ | {"PYTHONPATH": PYTHONPATH}

    # On the shared cluster, which is not the demo's to take down.
    name = scene.ground.cluster.name
    demo = subprocess.run(
        [
            *(sys.executable, "-m", "bench.demo", "--name", name, "--keep", f"--rate={RATE}"),
            *("--report", str(written), "--ledger", str(ledger)),
        ],
        env=environment,
        cwd=tmp_path,
        check=False,
        timeout=TIMEOUT_S,
    )
    again = subprocess.run(
        [sys.executable, "-m", "bench.report", str(ledger), "--report", f"{written}.again"],
        env=environment,
        cwd=tmp_path,
        check=False,
        timeout=120,
    )
    scene.delete(Target(changes.NAMESPACE, changes.NAME))

    assert (demo.returncode, again.returncode) == (0, 0)
    assert written.read_text() == Path(f"{written}.again").read_text()
    report = json.loads(written.read_text())
    assert [rollout["outcome"] for rollout in report["rollouts"]] == [
        "Promoted",
        "Aborted",
        "Aborted",
        "Aborted",
    ]
