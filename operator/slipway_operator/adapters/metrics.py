"""The operator's metrics in Prometheus' format, on a registry of their own.

Takes what it is told and judges nothing. What is about a ModelDeployment is kept by owner and
written out at each scrape, so that its series end with the object.
"""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slipway_api import metrics as contract
from slipway_api.conditions import VerdictState

Owner = tuple[str, str]

# An abort is meant to take less than 2 s; from there on an operator's outage may be in it.
SAFE_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RECONCILE_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OWNER: Final = (contract.NAMESPACE, contract.NAME)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of one ModelDeployment.

    Weights are percent of its traffic. `verdicts` are (gate, state) of the running rollout, `pods`
    (role, state, count), `revisions` (revision, role).
    """

    phase: str
    weight_asked: int
    weight_verified: int
    verdicts: tuple[tuple[str, str], ...]
    pods: tuple[tuple[str, str, int], ...]
    revisions: tuple[tuple[str, str], ...]


class Metrics:
    """Counts and gauges of one operator process; used from one event loop."""

    def __init__(self, *, version: str) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._deployments = _Deployments()
        self._registry.register(self._deployments)
        self._safe = Histogram(
            contract.TIME_TO_SAFE,
            "From the decision to abort a candidate that had traffic until every ready router was"
            " seen to give it none.",
            buckets=SAFE_BUCKETS_S,
            registry=self._registry,
        )
        self._reconcile = Histogram(
            contract.RECONCILE,
            "Time that one look at a ModelDeployment takes, with everything that follows from it.",
            buckets=RECONCILE_BUCKETS_S,
            registry=self._registry,
        )
        self._errors = Counter(
            contract.RECONCILE_ERRORS,
            "Looks that ended with an error and are repeated, by kind of error.",
            ("error",),
            registry=self._registry,
        )
        self._requests = Counter(
            contract.KUBE_REQUESTS,
            "Requests to the API server by verb and status code; code 0: no answer. Watches of the"
            " event source are not among them.",
            ("verb", "code"),
            registry=self._registry,
        )
        build = Gauge(
            contract.BUILD_INFO, "Always 1.", ("version", "component"), registry=self._registry
        )
        build.labels(version=version, component="operator").set(1)

    def rollout_runs(self, owner: Owner, *, ends: Iterable[tuple[str, str]]) -> None:
        """Count from 0 what a rollout may come to, by (outcome, reason)."""
        tally = self._deployments.ended[owner]
        for end in ends:
            tally.setdefault(end, 0)

    def rollout_ended(self, owner: Owner, *, outcome: str, reason: str) -> None:
        """Count a rollout."""
        self._deployments.ended[owner][outcome, reason] += 1

    def candidate_out(self, seconds: float) -> None:
        """Note how long it took from the decision to abort to weight 0 at every router."""
        self._safe.observe(seconds)

    def show(self, owner: Owner, shown: Shown) -> None:
        """Show where a ModelDeployment stands."""
        self._deployments.shown[owner] = shown

    def forget(self, owner: Owner) -> None:
        """End the series of a ModelDeployment that is gone, or that another process looks after."""
        self._deployments.shown.pop(owner, None)
        self._deployments.ended.pop(owner, None)

    def reconciled(self, seconds: float, *, error: str | None) -> None:
        """Note one look; `error` is the class of what it ended with, None: it ended well."""
        self._reconcile.observe(seconds)
        if error is not None:
            self._errors.labels(error=error).inc()

    def kube_answered(self, verb: str, code: int) -> None:
        """Count one request to the API server."""
        self._requests.labels(verb=verb, code=str(code)).inc()

    def watch(self, name: str, *, help_text: str, read: Callable[[], float]) -> None:
        """Export a gauge that is read when it is scraped."""
        Gauge(name, help_text, registry=self._registry).set_function(read)

    def watch_states(
        self, name: str, *, help_text: str, reads: Iterable[tuple[str, Callable[[], float]]]
    ) -> None:
        """Export one gauge for each (state, how to read it)."""
        gauge = Gauge(name, help_text, ("state",), registry=self._registry)
        for state, read in reads:
            gauge.labels(state=state).set_function(read)

    def text(self) -> bytes:
        """Write everything out as it is now."""
        return generate_latest(self._registry)

    def route(self) -> web.RouteDef:
        """Make the route that Prometheus scrapes."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        return web.get("/metrics", answer)


class _Deployments(Collector):
    """What is shown of each ModelDeployment, made into series when asked."""

    def __init__(self) -> None:
        self.shown: dict[Owner, Shown] = {}
        self.ended: dict[Owner, Tally[tuple[str, str]]] = defaultdict(Tally)

    def collect(self) -> Iterator[Metric]:
        """Give the families in a fixed order."""
        yield self._rollouts()
        phase = _gauge(contract.PHASE, "1 for the phase that the status tells.", "phase")
        weight = _gauge(
            contract.WEIGHT,
            "The candidate's share of traffic in percent: asked of the routers, and verified, which"
            " every ready router was seen to give.",
            "kind",
        )
        verdict = _gauge(
            contract.GATE_VERDICT,
            "1 for what a gate of the running rollout says, 0 for what it does not say.",
            *("gate", "verdict"),
        )
        pods = _gauge(
            contract.PODS, "Pods of stable and candidate: desired, and ready.", *("role", "state")
        )
        revision = _gauge(
            contract.REVISION_INFO, "1 for each revision with pods.", *("revision", "role")
        )
        for owner, shown in self.shown.items():
            phase.add_metric((*owner, shown.phase), 1)
            weight.add_metric((*owner, "asked"), shown.weight_asked)
            weight.add_metric((*owner, "verified"), shown.weight_verified)
            for gate, said in shown.verdicts:
                for word in VerdictState:
                    verdict.add_metric((*owner, gate, word.value), float(said == word.value))
            for role, state, count in shown.pods:
                pods.add_metric((*owner, role, state), count)
            for name, role in shown.revisions:
                revision.add_metric((*owner, name, role), 1)
        yield from (phase, weight, verdict, pods, revision)

    def _rollouts(self) -> Metric:
        family = CounterMetricFamily(
            contract.ROLLOUTS,
            "Rollouts that ended while this process decided, by outcome and cause.",
            labels=(*_OWNER, "outcome", "reason"),
        )
        for owner, tally in self.ended.items():
            for (outcome, reason), count in tally.items():
                family.add_metric((*owner, outcome, reason), count)
        return family


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=(*_OWNER, *labels))
