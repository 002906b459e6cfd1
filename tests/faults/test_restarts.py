"""Model pods restarted one after the other, as any roll-out of nodes does: nobody notices."""

import time

import pytest

from bench.scene import STARTED_S, eventually
from bench.trial import Trial, names_of

pytestmark = pytest.mark.faults

RESTARTS = 50
REQUESTS = 100_000
# A second, half of them REST on kept connections and fresh ones, half gRPC. While a pod starts, two
# cores have little left: at 300 pods stood still for two seconds once, and shed what came then.
RATE = 200.0
EVERY_S = REQUESTS / RATE / RESTARTS
LIMIT_S = 1200.0


def test_fifty_restarts_of_one_of_two_pods_lose_none_of_a_hundred_thousand_requests(
    trial: Trial,
) -> None:
    first = trial.serve()
    restarted: list[str] = []

    with trial.load(rate=max(trial.rate, RATE)):
        began_s = time.monotonic()
        while len(restarted) < RESTARTS and time.monotonic() - began_s < LIMIT_S:
            pods = sorted(trial.pods(first.stable), key=lambda pod: pod["status"]["startTime"])
            oldest = names_of(pods)[0]
            space = f"--namespace={trial.target.namespace}"
            trial.scene.kubectl("delete", "pod", oldest, space, "--wait=false")
            restarted.append(oldest)
            eventually(
                lambda gone=oldest: (
                    trial.ready_count(first.stable) == 2
                    and gone not in names_of(trial.pods(first.stable))
                ),
                what=f"{oldest} is replaced",
                timeout_s=STARTED_S,
            )
            trial.pass_time(max(0.0, len(restarted) * EVERY_S - (time.monotonic() - began_s)))
        trial.note(restarts=len(restarted), seconds=round(time.monotonic() - began_s))
        trial.pass_time(1.0)

    found = trial.toll()
    assert len(set(restarted)) == RESTARTS
    assert found.is_nothing, found
    by_protocol = {line.protocol: 0 for line in trial.requests()}
    for line in trial.requests():
        by_protocol[line.protocol] += 1
    trial.note(**{f"requests_{protocol}": count for protocol, count in by_protocol.items()})
    assert sum(by_protocol.values()) >= REQUESTS
