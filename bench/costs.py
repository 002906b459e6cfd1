"""What operators cost over a stretch of time: memory, processor, and requests by the audit log.

It watches; what is going on meanwhile is its caller's. The Lease is written whether anything
happens or not, so its requests are counted apart.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from bench import ledger, operators
from bench.scene import SYSTEM_NAMESPACE, Scene

USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:slipway-operator"
LEASES: Final = "leases"


def watch(scene: Scene, pods: Iterable[str], *, seconds: float) -> ledger.Cost:
    """Watch the operators of these pods for a while."""
    numbers = [operators.pid(pod) for pod in pods]
    spent_s = sum(processor_s(number) for number in numbers)
    began_at, began_s = time.time(), time.monotonic()
    time.sleep(seconds)
    lasted_s = time.monotonic() - began_s
    spent_s = sum(processor_s(number) for number in numbers) - spent_s
    counts = requests(scene, since=began_at, until=began_at + lasted_s)
    return ledger.Cost(
        at=began_at,
        seconds=round(lasted_s, 3),
        reads=counts["read"],
        writes=counts["write"],
        lease_requests=counts["lease"],
        memory_mib=round(max(memory_mib(number) for number in numbers), 1),
        processor_s=round(spent_s, 3),
    )


def processor_s(number: int) -> float:
    """Read how long a process has computed (`proc_pid_stat(5)`, fields 14 and 15)."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(number: int) -> float:
    """Read a process's resident memory."""
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def requests(scene: Scene, *, since: float, until: float) -> Counter[str]:
    """Count the operators' requests that arrived in a stretch of time, as the API server says."""
    with scene.ground.cluster.layout.audit_log.open("rb") as lines:
        mine = (orjson.loads(line) for line in lines if USER.encode() in line)
        seen = {event["auditID"]: event for event in mine}
    return Counter(
        kind(event)
        for event in seen.values()
        if since <= datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp() < until
    )


def kind(event: dict[str, Any]) -> str:
    """Tell reads, writes and what the Lease takes.

    >>> kind({"verb": "watch", "objectRef": {"resource": "pods"}})
    'read'
    >>> kind({"verb": "patch", "objectRef": {"resource": "leases"}})
    'lease'
    """
    if event.get("objectRef", {}).get("resource") == LEASES:
        return "lease"
    return "write" if event["verb"] in operators.WRITES else "read"
