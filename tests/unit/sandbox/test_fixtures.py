"""Tests that CI does not run are at least complete: nothing that they ask for is missing."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]


def test_the_fault_tier_finds_all_its_fixtures() -> None:
    """It borrows the cluster of another tier, and only fails when somebody has an hour for it."""
    asked = [sys.executable, "-m", "pytest", "--setup-plan", "-q", "-p", "no:cacheprovider"]

    planned = subprocess.run(
        [*asked, "tests/faults"], cwd=TOP, capture_output=True, text=True, check=False, timeout=120
    )

    assert planned.returncode == 0, planned.stdout[-2000:]
