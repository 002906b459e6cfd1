"""A small world around the engine: it carries out what is decided, as the cluster would.

Nothing in it decides. Pods, routers and the guard change only when a test says so, and everything
that the engine remembers goes through the JSON of its status.
"""

import copy
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import VerdictState
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import actions, plan, severance, sources
from slipway_operator.engine.actions import Decision, Watch
from slipway_operator.engine.decide import decide, told
from slipway_operator.engine.facts import Front, Observation, Routing, Workload
from slipway_operator.engine.podevents import PodSeen, Terminated
from slipway_operator.engine.room import Node
from slipway_operator.engine.sources import Sources
from slipway_operator.engine.traffic import SHUT, Opening, Traffic
from slipway_operator.engine.verdicts import GuardView, Verdict
from tests import builders

ROUNDS_MAX = 200


@dataclass
class Pods:
    """The Deployment and Service of a revision, and its pods by name."""

    replicas: int | None = None
    cluster_ip: str | None = None
    pods: dict[str, PodSeen] = field(default_factory=dict)
    made_count: int = 0


@dataclass
class Router:
    """A router pod. `does` is what it was last seen to do; stuck ones learn nothing new.

    A lost one is ready, as far as Kubernetes knows, and answers nobody.
    """

    address: str
    is_ready: bool = True
    is_stuck: bool = False
    is_lost: bool = False
    does: "Shown | None" = None


class World:
    """One ModelDeployment and its surroundings at `now`."""

    def __init__(self, wanted: ModelDeploymentSpec | None = None) -> None:
        self.now: datetime = builders.START
        self.spec = wanted or builders.spec()
        self.generation = 1
        self.command: str | None = None
        self.status_text = json.dumps({"observedGeneration": -1})
        self.pool: ComputePool | None = ComputePool()
        self.nodes: tuple[Node, ...] | None = None
        self.conflicts: tuple[str, ...] = ()
        self.records: dict[str, int] = {}
        self.identities: dict[str, str] = {}
        self.digests: dict[str, str | None] = {}
        self.told_digest = builders.DIGEST  # by ready pods; empty: a server that does not tell
        self.revisions: dict[str, Pods] = {}
        self.routers = {name: Router(address) for name, address in builders.ROUTERS}
        self.port: int | None = builders.PORT
        self.published: tuple[str, ...] = ()
        self.front: Front | None = None
        self.preview: str | None = None
        self.is_detaching = False
        self.applied: Traffic | None = None
        self.watch: Watch | None = None
        self.verdicts: tuple[Verdict, ...] = (builders.verdict("failures", VerdictState.PASS),)
        self.source: Sources | None = None  # what Prometheus says, if it is asked
        self.is_shedding = False
        self.latency_s: float | None = None
        self.silent: frozenset[str] = frozenset()  # hosts that take no connection
        self.known_silent: frozenset[str] = frozenset()  # as far as the operator found out
        self.last: Decision | None = None

    @classmethod
    def serving(cls, wanted: ModelDeploymentSpec | None = None) -> "World":
        """A world in which a first revision serves and nothing is to be done."""
        world = cls(wanted)
        world.settle()
        return world

    @classmethod
    def rolling(cls, version: str = "2", **fields: Any) -> "World":
        """A world in which a candidate has the weight of its first step."""
        world = cls.serving(builders.spec("1", **fields))
        world.ask(version)
        world.settle()
        return world

    @property
    def status(self) -> ModelDeploymentStatus:
        return ModelDeploymentStatus.model_validate_json(self.status_text)

    @property
    def target(self) -> str:
        return plan.wanted_revision(builders.NAME, self.spec, self.status.chosen)

    @property
    def strategy(self) -> str | dict[str, Any]:
        """The strategy as the user wrote it: its name alone if the world knows the rest."""
        written = self.spec.strategy.to_wire()
        (name, *more) = written
        is_known = not more and name in ("canary", "rolling", "direct")
        return name if is_known else written

    @property
    def steps(self) -> list[builders.Step]:
        """The steps of a canary; of any other strategy the usual ones, if it became one."""
        canary = self.spec.strategy.canary
        if canary is None:
            return list(builders.DEFAULT_STEPS)
        return [(step.weight, step.hold, step.pause) for step in canary.steps]

    def observation(self) -> Observation:
        """Look at everything."""
        guard = self.guard()
        seen = Observation(
            deployment=builders.deployment(
                self.spec, status=self.status, generation=self.generation, command=self.command
            ),
            pool=self.pool,
            records=tuple(
                builders.record(
                    name,
                    number,
                    identity=self.identities.get(name),
                    digest=self.digests.get(name, builders.DIGEST),
                )
                for name, number in sorted(self.records.items(), key=lambda item: item[1])
            ),
            workloads=self._reached(guard),
            conflicts=self.conflicts,
            routing=self.routing(),
            guard=guard,
            front=self._front(),
            preview=self.preview,
            is_detaching=self.is_detaching,
            nodes=self.nodes,
        )
        if self.applied is not None:
            return seen
        return replace(seen, routing=replace(seen.routing, found=self._found(seen)))

    def _reached(self, guard: GuardView | None) -> tuple[Workload, ...]:
        """Look at the pods, and try who takes connections where that matters."""
        workloads = tuple(self.workload(name) for name in sorted(self.revisions))
        pair = (self.status.candidate, self.status.stable)
        before = self.known_silent
        tried = severance.suspects(workloads, guard, pair=pair, before=before)
        self.known_silent = tried & self.silent
        return severance.sever(workloads, self.known_silent, pair=pair)

    def _found(self, seen: Observation) -> Opening | None:
        """Tell what another process left at the routers, if it is less than status asks for."""
        traffic = told(seen)
        if traffic is None or traffic.opening == SHUT:
            return None
        lower = [
            replace(
                traffic.opened(replace(traffic.opening, weight_percent=weight)),
                per_try_timeout_s=limit_s,
            )
            for weight in range(traffic.weight_percent)
            for limit_s in {traffic.per_try_timeout_s, None}
        ]
        alone = replace(traffic.opened(SHUT), salt="", per_try_timeout_s=None)
        shut = replace(alone, salt=traffic.salt)
        ready = [router.does for router in self.routers.values() if router.is_ready]
        found = (each.opening for each in (alone, shut, *lower) if routes(each) in ready)
        return next(found, None)

    def workload(self, revision: str) -> Workload:
        """Look at the pods of a revision."""
        mine = self.revisions[revision]
        found = builders.workload(
            revision,
            pods=mine.pods.values(),
            replicas=mine.replicas,
            cluster_ip=mine.cluster_ip,
        )
        is_asked = self.digests.get(revision, "") is None and found.endpoints
        return replace(found, digest=self.told_digest if is_asked else None)

    def routing(self) -> Routing:
        """Look at the routers."""
        ready = {name: router for name, router in self.routers.items() if router.is_ready}
        wanted = None if self.applied is None else routes(self.applied)
        unconfirmed = tuple(
            name
            for name, router in sorted(ready.items())
            if wanted is None or router.does != wanted
        )
        return Routing(
            port=self.port,
            applied=self.applied,
            is_verified=bool(ready) and not unconfirmed,
            unconfirmed=unconfirmed,
            routers=tuple((name, router.address) for name, router in sorted(ready.items())),
            published=self.published,
            lost=tuple(name for name, router in sorted(ready.items()) if router.is_lost),
        )

    def _front(self) -> Front | None:
        """Look at the Service that clients call."""
        if self.front is None or self.front.selected not in self.revisions:
            return self.front
        ready = self.workload(self.front.selected).endpoints
        return replace(self.front, has_ready_pods=self.front.has_ready_pods and bool(ready))

    def guard(self) -> GuardView | None:
        """Ask the guard, if one is on duty."""
        if self.watch is None:
            return None
        view = builders.guard(
            self.watch.rollout,
            *self.verdicts,
            is_shedding=self.is_shedding,
            stable_latency_s_p999=self.latency_s,
            evidence=self.watch.evidence or "{}",
        )
        return sources.join(view, self.source.view() if self.source else None)

    def fork(self) -> "World":
        """Copy the world, to see what would become of it."""
        other = copy.copy(self)
        other.source = copy.deepcopy(self.source)
        other.records, other.digests = dict(self.records), dict(self.digests)
        other.identities = dict(self.identities)
        other.routers = {name: replace(router) for name, router in self.routers.items()}
        other.revisions = {
            name: replace(mine, pods=dict(mine.pods)) for name, mine in self.revisions.items()
        }
        return other

    # What a test, or chance, does to the world.

    def ask(self, version: str | None = None, **fields: Any) -> None:
        """Change the specification: another model version, or `replicas`, `steps`, ...."""
        kept: dict[str, Any] = {
            "version": self.spec.model.version,
            "replicas": self.spec.compute.replicas,
            "pool": self.spec.compute.pool,
            "strategy": self.strategy,
            "steps": self.steps,
            "insufficient": self.spec.analysis.insufficient.model_dump(),
            "analysis": self.spec.analysis.model_dump(
                by_alias=True, exclude={"insufficient"}, exclude_none=True
            ),
        }
        wanted = kept | fields | ({} if version is None else {"version": version})
        before, self.spec = self.spec, builders.spec(**wanted)
        self.generation += self.spec != before

    def say(self, verb: str, *, of: str | None = None, nonce: str = "1") -> None:
        """Put a command on the object; `of` is the candidate if nothing else is said."""
        self.command = f"{verb}@{of or self.status.candidate or self.target}#{nonce}"

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def restart_operator(self) -> None:
        """Forget what only the operator's memory has."""
        self.applied = None
        self.watch = None
        self.source = None
        self.known_silent = frozenset()

    def start_pods(self, revision: str | None = None) -> None:
        """Let pods become ready, of one revision or of all."""
        for name, mine in self.revisions.items():
            for pod in mine.pods.values():
                if revision in (None, name) and not pod.is_ready and not pod.pod_reason:
                    self.change_pod(
                        name,
                        pod.name,
                        is_ready=True,
                        was_ready=True,
                        phase="Running",
                        ready_since_s=self.now.timestamp(),
                        terminated=None,
                        last_terminated=pod.terminated or pod.last_terminated,
                    )

    def change_pod(self, revision: str, name: str, **fields: Any) -> None:
        """Change what is seen of one pod."""
        mine = self.revisions[revision].pods
        mine[name] = replace(mine[name], **fields)

    def lose_readiness(self, revision: str, *, count: int = 1) -> None:
        """Let pods that serve fail their readiness probe."""
        ready = [pod for pod in self.revisions[revision].pods.values() if pod.is_ready]
        for pod in ready[:count]:
            self.change_pod(revision, pod.name, is_ready=False, ready_since_s=None)

    def crash_pod(self, revision: str, *, code: int = 139) -> None:
        """Let the container of a pod end by itself."""
        for pod in list(self.revisions[revision].pods.values())[:1]:
            end = Terminated(code, "Error", "", self.now.timestamp())
            self.change_pod(
                revision, pod.name, is_ready=False, ready_since_s=None, terminated=end,
                restarts=pod.restarts + 1,
            )  # fmt: skip

    def cut_off(self, revision: str, *, count: int = 1) -> None:
        """Let pods of a revision take no connection any more."""
        hosts = sorted(pod.host for pod in self.revisions[revision].pods.values())
        self.silent |= frozenset(hosts[:count])

    def confirm(self) -> None:
        """Let every router that is not stuck do what it was asked for."""
        if self.applied is None:
            return
        for router in self.routers.values():
            if not router.is_stuck and not router.is_lost:
                router.does = routes(self.applied)

    # What the shell does.

    def step(self) -> Decision:
        """Look, decide and carry everything out."""
        decision = decide(self.observation(), self.now)
        self.apply(decision)
        self.last = decision
        return decision

    def apply(self, decision: Decision, *, action_count: int | None = None) -> None:
        """Carry a decision out: routers, status, and the first so many actions."""
        self.status_text = json.dumps(decision.status.to_wire())
        if decision.traffic is not None:
            self.applied = decision.traffic
        self.post(decision.watch)
        for action in decision.actions[:action_count]:
            self.carry_out(action)

    def post(self, watch: Watch | None) -> None:
        """Let the guard judge a rollout, or no longer."""
        self.watch = watch
        if watch is not None and watch.is_anew:
            self.verdicts = ()
        self._follow_sources()

    def _follow_sources(self) -> None:
        """Let the gates that Prometheus answers follow the rollout."""
        if self.watch is None or not sources.are_asked(self.watch.analysis):
            self.source = None
        elif self.source is None or self.source.watch.rollout != self.watch.rollout:
            owner = (builders.NAMESPACE, builders.NAME)
            self.source = Sources(owner, self.watch, is_configured=True)
        else:
            self.source.follow(self.watch)

    def carry_out(self, action: actions.Action) -> None:
        """Do to the cluster what an action asks for."""
        match action:
            case actions.RecordRevision(revision, number, identity):
                self.records[revision] = number
                self.identities[revision] = identity
                self.digests[revision] = self.spec.model.digest
            case actions.RecordDigest(revision, digest):
                self.digests[revision] = digest
            case actions.EnsureWorkload(revision, replicas):
                self._scale(revision, replicas)
            case actions.RemoveRevision(revision):
                self.records.pop(revision, None)
                self.revisions.pop(revision, None)
            case actions.PublishAddress(_, addresses):
                self.published = addresses
                self.front = replace(self.front or Front(), selected=None)
            case actions.LeadToPods(revision):
                self.front = Front(revision, slices=("made-by-kubernetes",), has_ready_pods=True)
            case actions.LeadPreview(revision):
                assert revision in self.records, "its template tells the port"
                self.preview = revision
            case actions.RemovePreview():
                self.preview = None
            case actions.WithdrawAddress():
                self.published = ()
            case actions.SweepEndpoints(slices):
                assert self.front is not None
                assert self.front.selected is None, "Kubernetes would make them again"
                left = tuple(name for name in self.front.slices if name not in slices)
                self.front = replace(self.front, slices=left, has_ready_pods=bool(left))
            case _:
                assert_never(action)

    def _scale(self, revision: str, replicas: int) -> None:
        assert revision in self.records, "pods are made from a record"
        mine = self.revisions.setdefault(revision, Pods())
        mine.replicas = replicas
        if replicas and mine.cluster_ip is None:
            mine.cluster_ip = f"10.96.0.{self.records[revision]}"
        while len(mine.pods) < replicas:
            mine.made_count += 1
            name = f"{revision}-{mine.made_count}"
            mine.pods[name] = builders.pod(
                name,
                is_ready=False,
                revision=revision,
                host=f"10.{self.records[revision]}.0.{mine.made_count}",
                created_at_s=self.now.timestamp(),
            )
        for name in sorted(mine.pods, reverse=True)[: len(mine.pods) - replicas]:
            del mine.pods[name]

    def settle(self, *, seconds_max: float = 0.0) -> Decision:
        """Let pods start and routers obey until nothing changes, waiting up to `seconds_max`."""
        until = self.now + timedelta(seconds=seconds_max)
        for _ in range(ROUNDS_MAX):
            before = self.observation()
            decision = self.step()
            self.start_pods()
            self.confirm()
            if self.observation() != before:
                continue
            if decision.wake_at is None or decision.wake_at > until:
                return decision
            self.now = decision.wake_at
        raise AssertionError(f"no rest after {ROUNDS_MAX} looks: {self.status_text}")


# Stable, candidate, weight in percent, what else is in the routes (the rollout last), what opens it
# besides weight.
Shown = tuple[str | None, str | None, int, tuple[Any, ...], tuple[Any, ...]]


def routes(traffic: Traffic) -> Shown:
    """What a router shows the hash of: everything but endpoints and log switches."""
    candidate = traffic.candidate if traffic.opening != SHUT else None
    return (
        traffic.stable.revision if traffic.stable else None,
        candidate.revision if candidate else None,
        traffic.weight_percent,
        (traffic.timeout_s, traffic.per_try_timeout_s, traffic.retry, traffic.salt),
        (traffic.mirror_percent, traffic.match),
    )
