"""The process that runs before Slipway is uninstalled: it asks the operator to lead every client
past the routers, and ends when that is done.

It moves nobody itself: only the operator knows where clients may be led. Killed at any point, it
may simply be started again.
"""

import asyncio
import logging
import os
import sys
import time
from typing import Final

from slipway_api import names
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters import kubeconfig
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, NotFound

PATIENCE_S: Final = 200.0  # the job's own deadline and Helm's five minutes come after it
POLL_S: Final = 1.0
SHOWN: Final = 10  # deployments named in a message
SELECTOR: Final = f"{names.LABEL_MANAGED_BY}={names.MANAGER},{names.LABEL_DEPLOYMENT}"

_log = logging.getLogger(__name__)


class DetachError(Exception):
    """Not every client could be led past the routers; the message names deployments."""


async def detach(client: KubeClient, namespace: str, *, patience_s: float = PATIENCE_S) -> None:
    """Ask for it, and wait until no client-facing Service leads to a router any more."""
    mark = {"metadata": {"annotations": {names.ANNOTATION_DETACH: "true"}}}
    try:
        await client.patch(
            kinds.DEPLOYMENTS, names.OPERATOR_DEPLOYMENT, namespace=namespace, body=mark
        )
    except NotFound:
        _log.warning("there is no operator in %s, so nobody can be led anywhere", namespace)
        return
    deadline_s = time.monotonic() + patience_s
    while left := await _at_routers(client):
        if time.monotonic() > deadline_s:
            raise DetachError(
                f"clients of {_shown(left)} still need the routers after {patience_s:.0f} s."
                " Either the operator does not run, or no pod of their stable revision is ready:"
                " see its log and `kubectl get md -A`. Uninstalling without this step"
                " (`helm uninstall --no-hooks`) cuts these clients off"
            )
        _log.info("clients of %s still need the routers", _shown(left))
        await asyncio.sleep(POLL_S)
    _log.info("no client needs a router any more")


async def _at_routers(client: KubeClient) -> list[str]:
    """Name the deployments whose clients are led to routers; an API server that is away: all."""
    try:
        found = await client.list(kinds.ENDPOINT_SLICES, label_selector=SELECTOR)
    except ApiError as error:
        _log.warning("cannot see how far it is: %s", error)
        return ["every deployment"]
    return sorted(
        f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in found.items
        if item["metadata"]["labels"].get("endpointslice.kubernetes.io/managed-by") == names.GROUP
    )


def _shown(left: list[str]) -> str:
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return ", ".join(left[:SHOWN]) + more


async def _run(access: kubeconfig.ClusterAccess, namespace: str) -> None:
    async with KubeClient(access) as client:
        await detach(client, namespace)


def main() -> int:
    """Run; 1 if somebody would be cut off, 78 (EX_CONFIG) if it cannot even begin."""
    logging.basicConfig(level="INFO", format="%(message)s")
    namespace = os.environ.get("SLIPWAY_OPERATOR_NAMESPACE", "")
    if not namespace:
        print("slipway detach: SLIPWAY_OPERATOR_NAMESPACE is not set", file=sys.stderr)
        return 78
    try:
        asyncio.run(_run(kubeconfig.load(os.environ), namespace))
    except kubeconfig.KubeconfigError as error:
        print(f"slipway detach: {error}", file=sys.stderr)
        return 78
    except (DetachError, ApiError) as error:
        print(f"slipway detach: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
