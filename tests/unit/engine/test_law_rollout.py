"""The laws of the engine in a world where anything may happen at any time."""

from typing import Final

import hypothesis
import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import Phase, Reason, VerdictState
from slipway_operator.engine.decide import decide
from slipway_operator.engine.facts import Front
from slipway_operator.engine.queries import Answer
from tests import builders
from tests.unit.engine import laws
from tests.unit.engine.worlds import World

VERSIONS: Final = ("1", "2", "3")
STRATEGIES: Final = ("canary", "canary", "rolling", "direct")
PLANS: Final[tuple[tuple[builders.Step, ...], ...]] = (
    ((5, "60s"), (50, "60s")),
    ((5, "0s"), (25, "2m"), (50, "0s", True)),
    ((25, "10s"),),
    ((50, "0s", True), (100, "60s")),
)
SCARCITY: Final = (
    {"then": "hold"},
    {"after": "90s", "then": "pause"},
    {"after": "90s", "then": "promote"},
)
QUERY: Final = {"name": "business", "query": "value", "min": 0.9}
SECONDS: Final = (0.2, 1.0, 2.0, 3.0, 10.0, 60.0, 200.0)
ROUNDS_MAX: Final = 4  # until what was decided has become what is seen
HEALING_ROUNDS_MAX: Final = 40

PASS, FAIL = VerdictState.PASS, VerdictState.FAIL
SCARCE, UNKNOWN = VerdictState.INSUFFICIENT, VerdictState.UNAVAILABLE
VERDICTS: Final = ((PASS, PASS), (PASS, PASS), (PASS, SCARCE), (UNKNOWN, PASS), (), (FAIL,))


class RolloutMachine(RuleBasedStateMachine):
    """Chance plays user, pods, routers, gates and the operator's end; the laws look on."""

    @initialize(
        plan=st.sampled_from(PLANS),
        strategy=st.sampled_from(STRATEGIES),
        rounds=st.integers(-1, 6),
    )
    def begin(self, plan: tuple[builders.Step, ...], strategy: str, rounds: int) -> None:
        """Begin with nothing, or with a rollout that has come some way."""
        self.nonce = 0
        self.world = World(builders.spec(steps=plan, strategy=strategy))
        if rounds >= 0:
            self.world.settle()
            self.world.ask("2")
        self.go_on(max(0, rounds), 30.0)

    # Time and the operator.

    def _look(self, world: World | None = None) -> None:
        """Look, decide, hold the laws, carry out."""
        world = world or self.world
        seen = world.observation()
        decision = decide(seen, world.now)
        assert decide(seen, world.now) == decision
        laws.check(seen, decision, world.now)
        world.apply(decision)

    @rule(seconds=st.sampled_from(SECONDS))
    def look_later(self, seconds: float) -> None:
        self.world.wait(seconds)
        self._look()

    @rule(count=st.integers(1, 6), seconds=st.sampled_from(SECONDS))
    def go_on(self, count: int, seconds: float) -> None:
        """Let everything work for a while."""
        for _ in range(count):
            self.world.start_pods()
            self.world.confirm()
            self._look()
            self.world.wait(seconds)

    @rule()
    def restart_operator(self) -> None:
        self.world.restart_operator()

    @rule(data=st.data())
    def end_operator_between_writes(self, data: st.DataObject) -> None:
        """Lose some of what was decided: the shell writes status and actions side by side."""
        world, before = self.world, self.world.status_text
        seen = world.observation()
        decision = decide(seen, world.now)
        laws.check(seen, decision, world.now)
        count = data.draw(st.integers(0, len(decision.actions)))
        world.apply(decision, action_count=count)
        if data.draw(st.booleans(), label="routers have heard"):
            world.confirm()
        elif data.draw(st.booleans(), label="status is lost"):
            world.status_text = before
        world.restart_operator()

    # The network.

    @rule(data=st.data())
    def cut_pods_off(self, data: st.DataObject) -> None:
        hosts = [pod.host for one in self.world.revisions.values() for pod in one.pods.values()]
        if hosts:
            self.world.silent = data.draw(st.frozensets(st.sampled_from(hosts)))

    # The user.

    @rule(version=st.sampled_from(VERSIONS))
    def change_model(self, version: str) -> None:
        self.world.ask(version)

    @rule(
        plan=st.sampled_from(PLANS),
        strategy=st.sampled_from(STRATEGIES),
        insufficient=st.sampled_from(SCARCITY),
        replicas=st.integers(1, 4),
    )
    def change_course(
        self,
        plan: tuple[builders.Step, ...],
        *,
        strategy: str,
        insufficient: dict[str, str],
        replicas: int,
    ) -> None:
        changes = {"insufficient": insufficient, "replicas": replicas}
        self.world.ask(steps=plan, strategy=strategy, **changes)

    @rule(data=st.data(), verb=st.sampled_from(["retry", "restart", "undo"]))
    def command_again(self, data: st.DataObject, verb: str) -> None:
        """Ask for something that was there before, mostly for what there is to ask for."""
        world = self.world
        status = world.status
        known = [status.stable, world.target, *(r.revision for r in status.rejected)]
        known += [*world.records, "churn-0000000000"]
        self.nonce += 1
        of = data.draw(st.sampled_from([name for name in known if name is not None]))
        world.say(verb, of=of, nonce=str(self.nonce))

    @rule(verb=st.sampled_from(["promote", "pause", "pause", "resume", "abort", "revert"]))
    def command(self, verb: str) -> None:
        self.nonce += 1
        self.world.say(verb, nonce=str(self.nonce))

    # Pods, routers, gates, surroundings.

    @precondition(lambda self: self.world.revisions)
    @rule(data=st.data(), trouble=st.sampled_from(["unready", "crash", "evict", "delete"]))
    def trouble_pods(self, data: st.DataObject, trouble: str) -> None:
        world = self.world
        name = data.draw(st.sampled_from(sorted(world.revisions)))
        match trouble:
            case "unready":
                world.lose_readiness(name, count=data.draw(st.integers(1, 3)))
            case "crash":
                world.crash_pod(name, code=data.draw(st.sampled_from([0, 78, 137])))
            case "evict":
                for pod in list(world.revisions[name].pods):
                    world.change_pod(name, pod, is_ready=False, pod_reason="Evicted")
            case _:
                del world.revisions[name]
                if data.draw(st.booleans(), label="with its record"):
                    del world.records[name]

    @rule(data=st.data(), state=st.sampled_from(["well", "stuck", "lost", "unready"]))
    def change_router(self, data: st.DataObject, state: str) -> None:
        router = self.world.routers[data.draw(st.sampled_from(sorted(self.world.routers)))]
        is_ready = router.is_ready = state != "unready"
        router.is_stuck, router.is_lost = state == "stuck", state == "lost"
        router.does = router.does if is_ready else None

    @rule(states=st.sampled_from(VERDICTS), is_shedding=st.sampled_from([False, False, True]))
    def judge(self, states: tuple[VerdictState, ...], is_shedding: bool) -> None:
        self.world.verdicts = tuple(
            builders.verdict(f"gate-{index}" if index else "errors", state)
            for index, state in enumerate(states)
        )
        self.world.is_shedding = is_shedding

    @rule(is_asked=st.booleans())
    def change_analysis(self, is_asked: bool) -> None:
        self.world.ask(analysis={"metrics": [QUERY]} if is_asked else {})

    @rule(value=st.sampled_from([0.95, 0.95, 0.5, None]))
    def answer_query(self, value: float | None) -> None:
        """Let Prometheus give a number, or be away."""
        _answer(self.world, value)

    @rule(
        latency_s=st.sampled_from([None, 0.01, 2.0]),
        has_pool=st.booleans(),
        has_room=st.booleans(),
        is_taken=st.sampled_from([False, False, False, True]),
    )
    def change_surroundings(
        self, latency_s: float | None, *, has_pool: bool, has_room: bool, is_taken: bool
    ) -> None:
        self.world.latency_s = latency_s
        self.world.pool = ComputePool() if has_pool else None
        self.world.nodes = None if has_room else ()
        self.world.conflicts = ("Service ml/churn",) if is_taken else ()

    @rule(is_detaching=st.booleans())
    def go_away_or_come_back(self, is_detaching: bool) -> None:
        self.world.is_detaching = is_detaching

    # Laws about more than one look.

    @rule()
    def deciding_on_its_own_result_changes_nothing(self) -> None:
        world = self.world.fork()
        for _ in range(2):  # after a restart, the second look is the first one with gates
            self._look(world)
        weight = world.status.weight.asked
        for _ in range(ROUNDS_MAX):
            seen = world.observation()
            decision = decide(seen, world.now)
            is_at_rest = (
                decision.status == seen.deployment.status
                and decision.traffic in (None, seen.routing.applied)
                and not decision.actions
                and not decision.notes
            )
            if is_at_rest:
                return
            self._look(world)
            assert world.status.weight.asked == weight
        raise AssertionError(f"no rest: {decision}")

    def teardown(self) -> None:
        """Whatever happened: once everything works again, the rollout comes to its end."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.verdicts, world.is_shedding = (builders.verdict("gate", VerdictState.PASS),), False
        world.pool, world.nodes, world.conflicts = ComputePool(), None, ()
        world.is_detaching, world.silent = False, frozenset()
        for router in world.routers.values():
            router.is_ready, router.is_stuck, router.is_lost = True, False, False
        if world.status.stable is not None and world.status.stable not in world.records:
            return  # what stable is made from is gone: only asking for it again makes it anew
        for index in range(HEALING_ROUNDS_MAX):
            _heal_pods(world)
            _answer(world, 0.95)
            world.confirm()
            self._look()
            if _is_over(world):
                break
            if world.status.phase == Phase.PAUSED:
                world.say("promote", nonce=f"heal-{index}")
            world.wait(61.0)
        status = world.status
        assert status.candidate is None, status
        assert status.weight.asked == 0
        assert status.stable == world.target or _is_rejected(world), status
        for name, mine in world.revisions.items():
            assert mine.replicas == (world.spec.compute.replicas if name == status.stable else 0)
        assert world.published == tuple(router.address for router in world.routers.values())
        assert world.front == Front()


def _answer(world: World, value: float | None) -> None:
    if world.source is not None:
        world.source.take_answer("business", Answer(world.now, value, "" if value else "away"))


def _heal_pods(world: World) -> None:
    """Replace every pod that is in trouble by one that serves."""
    for name, mine in world.revisions.items():
        for pod in list(mine.pods.values()):
            if not pod.is_ready or pod.restarts or pod.pod_reason:
                end = {"terminated": None, "last_terminated": None, "restarts": 0}
                world.change_pod(name, pod.name, was_ready=False, pod_reason="", **end)
    world.start_pods()


def _is_over(world: World) -> bool:
    """Nothing was left to do at the last look."""
    if world.status.candidate or world.status.drain or not world.routing().is_verified:
        return False
    return not decide(world.observation(), world.now).actions


def _is_rejected(world: World) -> bool:
    is_said = any(
        c.type == "Stalled" and c.reason == Reason.ROLLED_BACK for c in world.status.conditions
    )
    return is_said and any(entry.revision == world.target for entry in world.status.rejected)


# Shrinking a story of the whole world takes minutes; allow it by hand to find the shortest one.
RolloutMachine.TestCase.settings = hypothesis.settings(
    max_examples=50,
    stateful_step_count=15,
    deadline=None,
    database=None,
    phases=(hypothesis.Phase.generate,),
)
TestRolloutLaws = RolloutMachine.TestCase
