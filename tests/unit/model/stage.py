"""The stage: the cluster and the user's object in it, as the API server has them.

It stands in for the API server (one object with a resourceVersion), Kubernetes' controllers and
kubelets (pods), Envoys (what a router does), the guard (what its gates say) and Prometheus. Nothing
here decides anything about a rollout; what happens next is chosen by whoever plays.
"""

import copy
import json
from enum import StrEnum
from functools import cache
from typing import Final

from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import Phase, Reason, VerdictState
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import plan, sources
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.alerts import AlertsSeen, FiringAlert
from slipway_operator.engine.budget import Budget
from slipway_operator.engine.facts import Front, Observation
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.podevents import EXIT_MODEL_REJECTED, Terminated
from slipway_operator.engine.queries import Answer
from slipway_operator.engine.verdicts import GuardView, Verdict
from tests import builders
from tests.unit.engine.worlds import Router, World
from tests.unit.model.specifications import ALERT, QUERY, Wish

GATES: Final = {
    Reason.ERRORS: "errors",
    Reason.REFUSALS: "refusals",
    Reason.LATENCY: "latency-p99",
    Reason.LIMIT_EXCEEDED: "error-rate-max",
}
LABELS: Final = {"namespace": builders.NAMESPACE, "modeldeployment": builders.NAME}


class Doom(StrEnum):
    """Why the pods of a revision never get ready."""

    MODEL = "model"  # its server will not load it
    CRASH = "crash"
    IMAGE = "image"
    PULL = "pull"  # a registry hiccups
    CONFIG = "config"  # a Secret is missing
    SILENCE = "silence"  # it starts for ever


class ConflictError(Exception):
    """The object changed since it was read."""


class Stage(World):
    """One name in one namespace: the object may go and come back."""

    def __init__(self, wish: Wish) -> None:
        self._parsed: tuple[str, ModelDeploymentStatus] = ("", ModelDeploymentStatus())
        super().__init__(wish.specification())
        self.wish = wish
        self.resource_version = 1
        self.life = 1  # which object of this name
        self.is_there = True
        self.has_leftovers = False  # of an earlier object, not collected yet
        self.is_readable = True
        self.has_ports = True  # for those that have none yet
        self.strangers: frozenset[str] = frozenset()  # kinds that have an object of a name of ours
        self.gates: tuple[VerdictState, ...] = (VerdictState.PASS,)  # what they say when they speak
        self.verdicts = ()
        self.conviction: Verdict | None = None
        self.budget = Budget(None)
        self.doomed: dict[str, Doom] = {}  # revisions whose pods never serve
        self.value: float | None = 0.95  # what a query gives
        self.firing: str = "nothing"  # an alert: nothing, always, since, away

    def fork(self) -> "Stage":
        """Copy the stage, to see what would become of it."""
        other = super().fork()
        assert isinstance(other, Stage)
        other.doomed = dict(self.doomed)
        other.budget = copy.copy(self.budget)
        return other

    @property
    def status(self) -> ModelDeploymentStatus:
        """The status as it was written, through its JSON."""
        if self._parsed[0] != self.status_text:
            self._parsed = (self.status_text, super().status)
        return self._parsed[1]

    # The user's object.

    def edit(self, wish: Wish) -> None:
        """Apply a manifest; the same one changes nothing at all."""
        self.wish = wish
        before, self.spec = self.spec, wish.specification()
        if self.spec != before:
            self.generation += 1
            self.resource_version += 1

    def name_of(self, wish: Wish) -> str:
        """Name the revision that a manifest asks for by itself."""
        return _name(wish)

    def annotate(self, command: str) -> None:
        """Put a command on the object."""
        self.command = command
        self.resource_version += 1

    def write(self, status: ModelDeploymentStatus, *, resource_version: int) -> None:
        """Apply a status, fenced; raises `ConflictError`."""
        if not self.is_there or resource_version != self.resource_version:
            raise ConflictError
        self.status_text = json.dumps(status.to_wire())
        self.resource_version += 1

    def delete(self) -> None:
        """Delete the object; what it owns goes later."""
        self.is_there, self.has_leftovers = False, True

    def collect(self) -> None:
        """Let Kubernetes collect what a deleted object owned."""
        self.revisions, self.records = {}, {}
        self.identities, self.digests = {}, {}
        self.published, self.front, self.preview = (), None, None
        self.has_leftovers = False

    def create(self, wish: Wish) -> None:
        """Create an object of the same name again."""
        self.life += 1
        self.is_there, self.is_readable, self.command = True, True, None
        self.wish, self.spec = wish, wish.specification()
        self.generation, self.resource_version = 1, self.resource_version + 1
        self.status_text = json.dumps({"observedGeneration": -1})
        self.doomed = {}

    def observation(self) -> Observation:
        """Look; an object of a name that we want is a stranger's unless we made one."""
        names = {
            "Service": builders.NAME if self.front is None else None,
            "Deployment": None if self.target in self.revisions else self.target,
            "Preview": f"{builders.NAME}-preview" if self._lacks_preview() else None,
        }
        has_port = self.has_ports or self.published or self.applied is not None
        self.port = builders.PORT if has_port else None
        taken = [(kind, names[kind]) for kind in sorted(self.strangers) if names[kind]]
        self.conflicts = tuple(f"{kind} {builders.NAMESPACE}/{name}" for kind, name in taken)
        return super().observation()

    def _lacks_preview(self) -> bool:
        return self.spec.strategy.blue_green is not None and self.preview is None

    # The guard: a conviction is final; it and bad answers survive the process in the evidence.

    def guard(self) -> GuardView | None:
        if self.watch is None:
            return None
        found = self.conviction
        said = (*self.verdicts, *self.budget.verdicts(is_source_alive=True))
        said = said if found is None else (found, *said)
        view = builders.guard(
            self.watch.rollout,
            *said,
            is_shedding=self.is_shedding,
            stable_latency_s_p999=self.latency_s,
            evidence=json.dumps(
                {"convicted": None if found is None else found.reason, "spent": self.budget.dump()}
            ),
        )
        return sources.join(view, self.source.view() if self.source else None)

    def post(self, watch: Watch | None) -> None:
        """Let the guard judge; one that is new knows what the evidence says and nothing else."""
        before = self.watch
        if watch is None:
            self.conviction = None
        elif before is None or before.rollout != watch.rollout or watch.is_anew:
            self.verdicts = ()
            self._restore_guard(watch, watch.evidence)
        elif before.analysis != watch.analysis:
            known = self.guard()
            assert known is not None
            self._restore_guard(watch, known.evidence)
        super().post(watch)

    def _restore_guard(self, watch: Watch, evidence: str | None) -> None:
        known = json.loads(evidence or "{}")
        reason = known.get("convicted")
        self.conviction = None if reason is None else _conviction(Reason(reason))
        self.budget = Budget(watch.analysis.max_bad_answers)
        if "spent" in known:
            self.budget.load(known["spent"])

    def convict(self, reason: Reason) -> None:
        """Let a gate convict the candidate."""
        if self.watch is not None and self.conviction is None:
            self.conviction = _conviction(reason)

    def answer_badly(self, count: int) -> None:
        """Let the candidate fail so many requests, if routers send it any."""
        watch, does = self.watch, [router.does for router in self.routers_with_clients()]
        if watch is not None and any(each and each[1] == watch.candidate for each in does):
            self.budget.add(Counts(count, count, 0, 0), Counts(count, 0, 0, 0))

    def speak(self) -> bool:
        """Let the gates and Prometheus say what they have to say; True if that is news."""
        before = self.guard()
        if self.watch is not None:
            self.verdicts = tuple(
                builders.verdict(f"gate-{index}", state) for index, state in enumerate(self.gates)
            )
        if self.source is not None:
            self.source.take_answer(
                QUERY, Answer(self.now, self.value, "" if self.value else "away")
            )
            self.source.take_alerts(self._alerts())
        return _states(self.guard()) != _states(before)

    def _alerts(self) -> AlertsSeen:
        began = {"always": builders.START, "since": self.now}.get(self.firing)
        if self.firing == "away":
            return AlertsSeen(self.now, None, "away")
        firing = () if began is None else (FiringAlert(ALERT, LABELS, began),)
        return AlertsSeen(self.now, firing)

    # Pods and routers, as they go if nobody interferes.

    def live(self) -> bool:
        """Let kubelets, controllers and routers do their work; True if something changed."""
        before = [(name, dict(mine.pods)) for name, mine in sorted(self.revisions.items())]
        shown = [router.does for router in self.routers.values()]
        for name, mine in self.revisions.items():
            for pod in list(mine.pods.values()):
                if pod.pod_reason or pod.is_terminating or not pod.is_node_ready:
                    self._replace(name, pod.name)
                elif name in self.doomed and not pod.is_ready:
                    self._fail(name, pod.name, self.doomed[name])
        for name in self.revisions.keys() - self.doomed.keys():
            self.start_pods(name)
        if self.has_leftovers:
            self.collect()
        self.confirm()
        self._lead()
        after = [(name, dict(mine.pods)) for name, mine in sorted(self.revisions.items())]
        return before != after or shown != [router.does for router in self.routers.values()]

    def _lead(self) -> None:
        """Kubernetes makes slices for a Service that selects pods."""
        if self.front is not None and self.front.selected is not None:
            self.front = Front(self.front.selected, self.front.slices, has_ready_pods=True)

    def _replace(self, revision: str, name: str) -> None:
        """Let the Deployment replace a pod that was taken away."""
        mine = self.revisions[revision]
        del mine.pods[name]
        mine.made_count += 1
        made = f"{revision}-{mine.made_count}"
        mine.pods[made] = builders.pod(
            made,
            is_ready=False,
            revision=revision,
            host=f"10.{self.records.get(revision, 0)}.0.{mine.made_count}",
            created_at_s=self.now.timestamp(),
        )

    def _fail(self, revision: str, name: str, doom: Doom) -> None:
        """Let a pod fail on its way up."""
        pod, now_s = self.revisions[revision].pods[name], self.now.timestamp()
        match doom:
            case Doom.MODEL if pod.terminated is None:
                end = Terminated(EXIT_MODEL_REJECTED, "Error", "no such file", now_s)
                self.change_pod(revision, name, terminated=end, restarts=1)
            case Doom.CRASH if pod.terminated is None:
                end = Terminated(1, "Error", "", now_s)
                self.change_pod(revision, name, terminated=end, restarts=2)
            case Doom.IMAGE:
                self.change_pod(revision, name, waiting_reason="InvalidImageName")
            case Doom.PULL:
                self.change_pod(revision, name, waiting_reason="ErrImagePull")
            case Doom.CONFIG:
                self.change_pod(revision, name, waiting_reason="CreateContainerConfigError")

    def heal(self) -> None:
        """Make the surroundings fair: routers answer, links carry, gates and Prometheus speak."""
        for router in self.routers.values():
            router.is_ready, router.is_stuck, router.is_lost = True, False, False
        self.silent = frozenset()
        self.is_shedding = False
        self.value, self.firing = 0.95, "nothing"
        self.gates = (VerdictState.PASS,)

    def surround(self) -> None:
        """Give the object what it needs of the cluster: pool, nodes, names, a port."""
        self.pool, self.nodes = ComputePool(), None
        self.has_ports, self.is_detaching, self.strangers = True, False, frozenset()

    @property
    def phase(self) -> Phase | None:
        """The phase as the object tells it; None: nobody has looked at it, or it is gone."""
        told = self.status.phase if self.is_there else None
        return None if told is None else Phase(told)

    def weights_at_routers(self, rollout: str) -> list[int]:
        """List the candidate's weights that ready routers give in a rollout."""
        ready = [one.does for one in self.routers.values() if one.is_ready]
        return [one[2] for one in ready if one is not None and one[3][-1] == rollout]

    def routers_with_clients(self) -> list[Router]:
        """List the routers that requests go through now."""
        return [one for one in self.routers.values() if one.address in self.published]


@cache
def _name(wish: Wish) -> str:
    return plan.revision_name(builders.NAME, wish.specification())


def _conviction(reason: Reason) -> Verdict:
    return builders.verdict(GATES[reason], VerdictState.FAIL, reason=reason)


def _states(view: GuardView | None) -> object:
    """What the guard's waker compares: a verdict that changed, not a number."""
    return view and (view.is_shedding, tuple((v.gate, v.state) for v in view.verdicts))
