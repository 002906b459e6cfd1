"""Insight: what the operator shows of its work, as metrics and as targets to scrape.

Told by the reconciler after each decision was carried out; nothing is read back from here.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import orjson
from aiohttp import web

from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.adapters.metrics import Metrics, Shown
from slipway_operator.engine import milestones
from slipway_operator.engine.actions import Decision
from slipway_operator.render import scrape_targets
from slipway_operator.shell.observe import Owner, Snapshot

Routers = tuple[tuple[str, str], ...]


class Insight:
    """Belongs to one event loop."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        pod: str,
        routers: Callable[[], Routers],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pod` is this process' own, `routers` gives the ready ones by name and address."""
        self._metrics = metrics
        self._pod = pod
        self._routers = routers
        self._now_s = now_s
        self._targets: dict[Owner, list[scrape_targets.Entry]] = {}
        self._abort_s: dict[Owner, float] = {}
        self._is_whole = False

    def complete(self) -> None:
        """Note that every ModelDeployment was looked at; targets may be told from now on."""
        self._is_whole = True

    def lowered(self, owner: Owner) -> None:
        """Note that a candidate's weight was taken back ahead of the decision that says so."""
        self._abort_s.setdefault(owner, self._now_s())

    def decided(self, snapshot: Snapshot, decision: Decision, now: datetime) -> None:
        """Show a decision that was carried out."""
        owner = snapshot.owner
        before, after = snapshot.observation.deployment.status, decision.status
        if after.rollout is not None:
            self._metrics.rollout_runs(owner, ends=milestones.ENDS)
        for rollout in milestones.ended(before, after):
            self._metrics.rollout_ended(owner, outcome=rollout.outcome, reason=rollout.reason)
        if milestones.is_taking_back(before, after):
            assert after.rollout is not None
            assert after.rollout.abort is not None
            age_s = max(0.0, (now - after.rollout.abort.at).total_seconds())
            self._abort_s.setdefault(owner, self._now_s() - age_s)
        if after.rollout is None and owner in self._abort_s:
            self._metrics.candidate_out(self._now_s() - self._abort_s.pop(owner))
        self._metrics.show(owner, _shown(snapshot, decision))
        self._targets[owner] = scrape_targets.models(owner, after, snapshot.observation.workloads)

    def forget(self, owner: Owner) -> None:
        """End what is shown of a ModelDeployment that is gone."""
        self._metrics.forget(owner)
        self._targets.pop(owner, None)
        self._abort_s.pop(owner, None)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Time one look."""
        begun_s = self._now_s()
        error: str | None = None
        try:
            yield
        except Exception as raised:
            error = raised.reason if isinstance(raised, ApiError) else type(raised).__name__
            raise
        finally:
            self._metrics.reconciled(self._now_s() - begun_s, error=error)

    def route(self) -> web.RouteDef:
        """Make the route of Prometheus' HTTP service discovery.

        Until everything was looked at it answers 503, which Prometheus takes as "no news".
        """

        async def answer(request: web.Request) -> web.Response:
            if not self._is_whole:
                return web.Response(status=503, text="not every ModelDeployment was looked at yet")
            own = request.transport.get_extra_info("sockname") if request.transport else None
            body = orjson.dumps(self.targets(own[0] if own else None))
            return web.Response(body=body, content_type="application/json")

        return web.get("/http_sd", answer)

    def targets(self, own_address: str | None) -> list[scrape_targets.Entry]:
        """List everything that has metrics; `own_address` is where this process was reached."""
        models = [entry for owner in sorted(self._targets) for entry in self._targets[owner]]
        own = scrape_targets.operator(own_address, self._pod) if own_address else []
        return [*own, *scrape_targets.routers(self._routers()), *models]


def _shown(snapshot: Snapshot, decision: Decision) -> Shown:
    status = decision.status
    verdicts = status.verdicts if status.rollout is not None else ()
    pods = status.replicas
    return Shown(
        phase=status.phase or "",
        weight_asked=status.weight.asked,
        weight_verified=status.weight.verified,
        verdicts=tuple((verdict.gate, verdict.verdict) for verdict in verdicts),
        pods=(
            ("stable", "desired", pods.stable),
            ("stable", "ready", pods.stable_ready),
            ("candidate", "desired", pods.candidate),
            ("candidate", "ready", pods.candidate_ready),
        ),
        revisions=tuple(
            (workload.revision, scrape_targets.role(status, workload.revision))
            for workload in snapshot.observation.workloads
            if workload.pods
        ),
    )
