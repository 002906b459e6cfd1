"""The gauges that are read where they are true, at the moment of a scrape."""

from collections.abc import Callable, Hashable
from typing import TypeVar

from slipway_api import metrics as contract
from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.metrics import Metrics
from slipway_operator.shell.routing import RoutingTable
from slipway_operator.shell.vitals import Vitals
from slipway_operator.shell.work_queue import WorkQueue

K = TypeVar("K", bound=Hashable)


def show(
    metrics: Metrics,
    *,
    queue: WorkQueue[K],
    vitals: Vitals,
    table: RoutingTable,
    ads: AdsServer,
    leads: Callable[[], bool],
) -> None:
    """Export the queue's depth and age, the event loop's lag, the routers, and who leads."""
    metrics.watch(
        contract.LEADER,
        help_text="1 for the operator that holds the Lease and acts, 0 for one that stands by.",
        read=lambda: float(leads()),
    )
    metrics.watch(
        contract.QUEUE_DEPTH,
        help_text="Keys that could run if a worker were free.",
        read=lambda: queue.waiting_count,
    )
    metrics.watch(
        contract.QUEUE_OLDEST,
        help_text="How long the key that waits longest has been waiting for its next run.",
        read=lambda: queue.oldest_s,
    )
    metrics.watch(
        contract.LOOP_LAG,
        help_text="The longest that the event loop kept something waiting in the last 30 seconds.",
        read=lambda: vitals.lag_s,
    )
    metrics.watch_states(
        contract.ROUTERS,
        help_text="Router pods: ready, and connected to this process.",
        reads=(
            ("ready", lambda: len(table.routers)),
            ("connected", lambda: len(ads.routers())),
        ),
    )
