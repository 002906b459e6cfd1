"""Routers that end, die or are cut off: clients lose what such a router had, and nothing else."""

import time

import pytest

from slipway_api import names
from tests.e2e.scene import SYSTEM_NAMESPACE, eventually
from tests.faults.trial import ROUTER, Trial, names_of

pytestmark = pytest.mark.faults


def test_a_deleted_router_pod_loses_no_request(trial: Trial) -> None:
    trial.serve()
    router = names_of(trial.system_pods(ROUTER))[0]

    with trial.load():
        deleted_at = time.time()
        trial.scene.kubectl(
            "delete", "pod", router, f"--namespace={SYSTEM_NAMESPACE}", "--wait=false"
        )
        eventually(
            lambda: (
                not trial.scene.run(
                    "kubectl",
                    "get",
                    "pod",
                    router,
                    f"--namespace={SYSTEM_NAMESPACE}",
                    "--output=name",
                ).stdout
            ),
            what=f"{router} has drained",
            timeout_s=150.0,
        )
        trial.pass_time(3.0)

    found = trial.toll(fault_at=deleted_at)
    assert found.is_nothing, found
    carried = {line.router for line in trial.requests() if line.sent > deleted_at + 20}
    assert router not in carried, names.HEADER_ROUTER
