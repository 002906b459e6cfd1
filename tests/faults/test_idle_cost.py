"""What a hundred deployments cost that nobody changes. No fault, but it wants the same calm."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import pytest

from tests.e2e.scene import SYSTEM_NAMESPACE, Scene, Target, manifest
from tests.faults import operators
from tests.faults.trial import OPERATOR, Trial, names_of

pytestmark = pytest.mark.faults

DEPLOYMENT_COUNT: Final = 100
AT_ONCE: Final = 10  # starts of pods on a small machine
STARTED_S: Final = 300.0
SETTLED_S: Final = 60.0
WATCHED_S: Final = 300.0  # everything was looked at once
USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:slipway-operator"
MEMORY_MIB_MAX: Final = 256.0  # the limit that the chart sets
CPU_PERCENT_MAX: Final = 5.0
REQUESTS_PER_S_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the operators together: memory of the largest, share of one processor, requests."""

    memory_mib: float
    cpu_percent: float
    requests_per_s: float


def test_a_hundred_idle_deployments_cost_little(trial: Trial) -> None:
    names = [f"idle-{index:03}" for index in range(DEPLOYMENT_COUNT)]
    targets = [Target(trial.target.namespace, name) for name in names]
    empty = cost(trial)

    for first in range(0, DEPLOYMENT_COUNT, AT_ONCE):
        some = targets[first : first + AT_ONCE]
        trial.scene.apply(*(manifest(target) for target in some))
        for target in some:
            trial.scene.serves(target, timeout_s=STARTED_S)
    time.sleep(SETTLED_S)  # what starting them left to do is not idleness
    full = cost(trial)

    trial.note(
        memory_mib=full.memory_mib,
        memory_mib_empty=empty.memory_mib,
        cpu_percent=full.cpu_percent,
        cpu_percent_empty=empty.cpu_percent,
        requests_per_s=full.requests_per_s,
        requests_per_s_empty=empty.requests_per_s,
    )
    trial.scene.delete(*targets)
    assert full.memory_mib <= MEMORY_MIB_MAX
    assert full.cpu_percent <= CPU_PERCENT_MAX
    assert full.requests_per_s <= REQUESTS_PER_S_MAX


def cost(trial: Trial) -> Cost:
    """Watch the operators for a while."""
    found = [operators.pid(pod) for pod in names_of(trial.system_pods(OPERATOR))]
    asked = requests(trial.scene)
    spent_s = sum(processor_s(number) for number in found)
    began_s = time.monotonic()
    time.sleep(WATCHED_S)
    lasted_s = time.monotonic() - began_s
    return Cost(
        memory_mib=round(max(memory_mib(number) for number in found), 1),
        cpu_percent=round(
            100 * (sum(processor_s(number) for number in found) - spent_s) / lasted_s, 2
        ),
        requests_per_s=round(len(requests(trial.scene) - asked) / lasted_s, 2),
    )


def processor_s(number: int) -> float:
    """Read how long a process has computed (`proc_pid_stat(5)`, fields 14 and 15)."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(number: int) -> float:
    """Read a process's resident memory."""
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def requests(scene: Scene) -> set[str]:
    """List the requests of the operators that the API server has written down."""
    with scene.ground.cluster.layout.audit_log.open("rb") as lines:
        return {orjson.loads(line)["auditID"] for line in lines if USER.encode() in line}
