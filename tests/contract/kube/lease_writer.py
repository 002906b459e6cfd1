"""A process that writes as often as the Lease lets it: `lease_writer KUBECONFIG NAMESPACE POD`.

The parts are the operator's own; what it writes is a Service that says who wrote it.
"""

import asyncio
import sys
import time
from pathlib import Path

from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.adapters.kube_resources import SERVICES
from slipway_operator.adapters.kubeconfig import read_kubeconfig
from slipway_operator.adapters.lease import LeaseStore
from slipway_operator.engine import lease
from slipway_operator.shell.leadership import Leadership, LeadershipLostError

PAUSE_S = 0.01
LEASE_NAME = "writers"
WRITTEN_NAME = "written"


async def write(client: KubeClient, namespace: str, pod: str) -> None:
    """Write until cancelled, whether it may or not."""
    while True:
        metadata = {
            "name": WRITTEN_NAME,
            "namespace": namespace,
            "annotations": {"by": pod, "n": str(time.time_ns())},
        }
        body = {"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}]}}
        try:
            await client.apply(SERVICES, body)
        except ApiError as error:
            print(error, flush=True)
        await asyncio.sleep(PAUSE_S)


async def main(kubeconfig: str, namespace: str, pod: str) -> None:
    """Hold the Lease and write."""
    access = read_kubeconfig(Path(kubeconfig))
    store = LeaseStore(KubeClient(access), namespace=namespace, name=LEASE_NAME)
    leadership = Leadership(store, me=lease.identity(pod, nonce="1"))
    await leadership.win()
    print("won", flush=True)
    writing = asyncio.create_task(write(KubeClient(access, fence=leadership.fence), namespace, pod))
    try:
        await leadership.keep()
    except LeadershipLostError as error:
        print(f"lost: {error}", flush=True)
    await asyncio.sleep(1.0)  # it would write on, if it were let
    writing.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
