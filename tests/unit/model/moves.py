"""Moves: what users, pods, routers, gates, the cluster and chance can do, one by one, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from slipway_api.conditions import Reason, VerdictState
from tests import builders
from tests.unit.model.process import Fate, Loss, Process
from tests.unit.model.specifications import BUDGETS, MEASUREMENTS, SCARCITY, STATICS, STRATEGIES
from tests.unit.model.stage import GATES, Doom, Stage
from tests.unit.model.witness import Ledger

VERSIONS: Final = tuple("123456")
REPLICAS: Final = (1, 2, 3, 4)
MOMENTS_S: Final = (0.2, 1.0, 2.0, 3.5, 10.0, 61.0, 200.0)
HOLD_S: Final = 125.0  # longer than any step holds


class Pick(Protocol):
    """Chance: one of several values."""

    def __call__(self, values: Sequence[Any]) -> Any: ...


@dataclass
class Play:
    """A stage, the process at work on it, and whoever chooses."""

    stage: Stage
    process: Process
    pick: Pick
    nonce: int = 0

    def fork(self, ledger: Ledger, pick: Pick) -> "Play":
        """Copy everything, to go on with other chances."""
        stage = self.stage.fork()
        return Play(stage, self.process.fork(stage, ledger), pick, self.nonce)

    @property
    def candidate(self) -> str | None:
        """The candidate, as far as it has pods."""
        name = self.stage.status.candidate
        return name if name in self.stage.revisions else None

    @property
    def stable(self) -> str | None:
        name = self.stage.status.stable
        return name if name in self.stage.revisions else None

    def look(self) -> None:
        """Let the operator have its turn."""
        self.process.run()

    def live(self) -> None:
        """Let everybody but the operator do what they should."""
        self.stage.live()
        self.stage.speak()

    def work(self, rounds: int = 1) -> None:
        """Let everybody do what they should, for a moment or more."""
        for _ in range(rounds):
            self.live()
            self.look()
            self.stage.wait(0.2)

    def say(self, verb: str, revision: str | None) -> None:
        """Command something by annotation."""
        self.nonce += 1
        self.stage.annotate(f"{verb}@{revision or self.stage.target}#{self.nonce}")


# The user's manifest.


def _ask_new(play: Play) -> None:
    """Ask for a revision that is neither in service nor rejected."""
    status, stage = play.stage.status, play.stage
    known = {status.stable, status.candidate, *(entry.revision for entry in status.rejected)}
    wishes = [stage.wish.but(version=version) for version in VERSIONS]
    new = [wish for wish in wishes if stage.name_of(wish) not in known]
    if new:
        stage.edit(play.pick(new))


def _ask_rejected(play: Play) -> None:
    rejected = {entry.revision for entry in play.stage.status.rejected}
    _ask_one_of(play, rejected)


def _ask_stable(play: Play) -> None:
    _ask_one_of(play, {play.stage.status.stable})


def _ask_one_of(play: Play, revisions: set[str | None] | set[str]) -> None:
    wishes = [play.stage.wish.but(version=version) for version in VERSIONS]
    known = [wish for wish in wishes if play.stage.name_of(wish) in revisions]
    if known:
        play.stage.edit(play.pick(known))


def _edit(field: str, values: Sequence[Any]) -> Callable[[Play], None]:
    def edit(play: Play) -> None:
        play.stage.edit(play.stage.wish.but(**{field: play.pick(values)}))

    return edit


def _set(**fields: Any) -> Callable[[Play], None]:
    def set_(play: Play) -> None:
        play.stage.edit(play.stage.wish.but(**fields))

    return set_


def _break_manifest(play: Play) -> None:
    play.stage.is_readable = False
    play.stage.generation += 1
    play.stage.resource_version += 1


def _mend_manifest(play: Play) -> None:
    if not play.stage.is_readable:
        play.stage.is_readable = True
        play.stage.generation += 1
        play.stage.resource_version += 1


def _delete(play: Play) -> None:
    if play.stage.is_there:
        play.stage.delete()


def _create(play: Play) -> None:
    if not play.stage.is_there:
        play.stage.create(play.stage.wish)
        play.process.witness.created()


def _steer(verb: str) -> Callable[[Play], None]:
    return lambda play: play.say(verb, play.stage.status.candidate)


def _retry(play: Play) -> None:
    rejected = [entry.revision for entry in play.stage.status.rejected]
    play.say("retry", play.stage.target if play.stage.target in rejected else None)


def _restart(play: Play) -> None:
    play.say("restart", play.stage.status.stable)


def _undo(play: Play) -> None:
    play.say("undo", play.pick([*play.stage.records, None]))


# Pods.


def _doom(doom: Doom) -> Callable[[Play], None]:
    """What is asked for will never serve again; only what served everything may be relied on."""

    def condemn(play: Play) -> None:
        stage = play.stage
        mine = stage.revisions.get(stage.target)
        pods = () if mine is None else mine.pods.values()
        is_first = stage.status.stable is None  # nothing takes it back
        if stage.target != stage.status.stable and not any(
            pod.was_ready if is_first else pod.is_ready for pod in pods
        ):
            stage.doomed[stage.target] = doom

    return condemn


def _start_candidate(play: Play) -> None:
    name = play.candidate
    if name is not None and name not in play.stage.doomed:
        play.stage.start_pods(name)


def _of(side: str, change: Callable[[Stage, str], None]) -> Callable[[Play], None]:
    def trouble(play: Play) -> None:
        name = play.candidate if side == "candidate" else play.stable
        if name is not None:
            change(play.stage, name)

    return trouble


def _crash(stage: Stage, name: str) -> None:
    stage.crash_pod(name)


def _unready(stage: Stage, name: str) -> None:
    stage.lose_readiness(name, count=9)


def _flap(stage: Stage, name: str) -> None:
    """Let pods be ready for a moment, and then not any more."""
    stage.start_pods(name)
    stage.lose_readiness(name, count=9)


def _unready_one(stage: Stage, name: str) -> None:
    stage.lose_readiness(name)


def _evict(stage: Stage, name: str) -> None:
    for pod in list(stage.revisions[name].pods)[:1]:
        stage.change_pod(name, pod, is_ready=False, ready_since_s=None, pod_reason="Evicted")


def _lose_node(stage: Stage, name: str) -> None:
    for pod in list(stage.revisions[name].pods):
        stage.change_pod(name, pod, is_ready=False, ready_since_s=None, is_node_ready=False)


def _remove(stage: Stage, name: str) -> None:
    del stage.revisions[name]


def _cut_off(stage: Stage, name: str) -> None:
    stage.cut_off(name, count=9)


# Gates, routers, the cluster.


def _gates(*states: VerdictState) -> Callable[[Play], None]:
    def say(play: Play) -> None:
        play.stage.gates = states
        play.stage.speak()

    return say


def _convict(reason: Reason) -> Callable[[Play], None]:
    return lambda play: play.stage.convict(reason)


def _on_stage(**fields: Any) -> Callable[[Play], None]:
    def change(play: Play) -> None:
        for name, value in fields.items():
            setattr(play.stage, name, value)
        play.stage.speak()

    return change


def _router(**fields: bool) -> Callable[[Play], None]:
    def change(play: Play) -> None:
        router = play.stage.routers[play.pick(sorted(play.stage.routers))]
        router.is_ready, router.is_stuck, router.is_lost = True, False, False
        for name, value in fields.items():
            setattr(router, name, value)
        if not router.is_ready:
            router.does = None

    return change


def _stick_all(play: Play) -> None:
    for router in play.stage.routers.values():
        router.is_stuck = True


# Time and the operator.


def _pass(seconds: float) -> Callable[[Play], None]:
    return lambda play: play.stage.wait(seconds)


def _pass_any(play: Play) -> None:
    play.stage.wait(play.pick(MOMENTS_S))


def _until_due(play: Play) -> None:
    """Let time pass until the operator wants to look again."""
    due = play.process.due
    if play.stage.now < due < play.stage.now + timedelta(hours=2):
        play.stage.now = due


def _look_and_fail(play: Play) -> None:
    """Let a run lose its way: a write refused, an answer lost, or the process ended."""
    fate = Fate(
        status_at=play.pick((0, 1, 3)),
        ends_after=play.pick((None, 0, 1, 2, 3, 4, 5)),
        loss=play.pick(tuple(Loss)),
        lost_at=play.pick((0, 1)),
    )
    play.process.run(fate)


def _end(play: Play) -> None:
    play.process.end()


def _edit_meanwhile(play: Play) -> None:
    """Change the object between the operator's look and its writes."""
    change = MOVES[play.pick(("ask new", "ask stable", "abort", "pause", "edit replicas"))]
    play.process.run(meanwhile=lambda: change(play))


def _convict_meanwhile(play: Play) -> None:
    play.process.run(meanwhile=lambda: play.stage.convict(Reason.ERRORS))


def _convict_during_look(play: Play) -> None:
    """Convict it, and lower it at once, when the look has read the guard already."""

    def convict() -> None:
        play.stage.convict(Reason.ERRORS)
        play.process.lower()

    play.process.run(during=convict)


def _heal(play: Play) -> None:
    play.stage.heal()


def _surround(play: Play) -> None:
    play.stage.surround()


PASS, FAIL = VerdictState.PASS, VerdictState.FAIL
SCARCE, UNKNOWN = VerdictState.INSUFFICIENT, VerdictState.UNAVAILABLE

MOVES: Final[dict[str, Callable[[Play], None]]] = {
    "ask new": _ask_new,
    "ask rejected": _ask_rejected,
    "ask stable": _ask_stable,
    "apply again": _set(),
    "edit strategy": _edit("strategy", tuple(STRATEGIES)),
    "edit scarcity": _edit("scarcity", tuple(SCARCITY)),
    "edit measurement": _edit("measurement", tuple(MEASUREMENTS)),
    "edit budget": _edit("budget", tuple(BUDGETS)),
    "edit static answer": _edit("static", tuple(STATICS)),
    "edit replicas": _edit("replicas", REPLICAS),
    "edit pool": _edit("pool", ("cpu", "other")),
    "edit pin": _edit("is_pinned", (True, False)),
    **{f"use {name}": _set(strategy=name) for name in STRATEGIES},
    **{f"then {name}": _set(scarcity=name) for name in SCARCITY},
    **{f"measure {name}": _set(measurement=name) for name in MEASUREMENTS},
    **{f"allow {name}": _set(budget=name) for name in BUDGETS},
    **{f"say {name}": _set(static=name) for name in STATICS},
    "break manifest": _break_manifest,
    "mend manifest": _mend_manifest,
    "delete": _delete,
    "create": _create,
    **{
        verb: _steer(verb)
        for verb in ("promote", "pause", "resume", "approve", "abort", "nonsense")
    },
    "retry": _retry,
    "restart": _restart,
    "undo": _undo,
    "undo nothing": lambda play: play.say("undo", f"{builders.NAME}-0000000000"),
    **{f"doom {doom}": _doom(doom) for doom in Doom},
    "start candidate": _start_candidate,
    **{
        f"{name} {side}": _of(side, change)
        for side in ("candidate", "stable")
        for name, change in (
            ("crash", _crash),
            ("unready", _unready),
            ("flap", _flap),
            ("unready one of", _unready_one),
            ("evict", _evict),
            ("lose node of", _lose_node),
            ("remove", _remove),
            ("cut off", _cut_off),
        )
    },
    "gates pass": _gates(PASS),
    "gates lack": _gates(PASS, SCARCE),
    "gates unknown": _gates(UNKNOWN, PASS),
    "gates silent": _gates(),
    **{f"convict {reason}": _convict(reason) for reason in GATES},
    "bad answer": lambda play: play.stage.answer_badly(1),
    "bad answers": lambda play: play.stage.answer_badly(3),
    "shed": _on_stage(is_shedding=True),
    "shed no more": _on_stage(is_shedding=False),
    "value good": _on_stage(value=0.95),
    "value bad": _on_stage(value=0.5),
    "value away": _on_stage(value=None),
    **{f"alert {when}": _on_stage(firing=when) for when in ("nothing", "always", "since", "away")},
    "latency": _on_stage(latency_s=0.01),
    "router stuck": _router(is_stuck=True),
    "router lost": _router(is_lost=True),
    "router gone": _router(is_ready=False),
    "router well": _router(),
    "routers stuck": _stick_all,
    "pool gone": _on_stage(pool=None),
    "nodes gone": _on_stage(nodes=()),
    "service taken": _on_stage(strangers=frozenset({"Service"})),
    "preview taken": _on_stage(strangers=frozenset({"Preview"})),
    "deployment taken": _on_stage(strangers=frozenset({"Deployment"})),
    "ports taken": _on_stage(has_ports=False),
    "detach": _on_stage(is_detaching=True),
    "attach": _on_stage(is_detaching=False),
    "surround": _surround,
    "heal": _heal,
    "look": lambda play: play.look(),
    "lower": lambda play: play.process.lower(),
    "look and fail": _look_and_fail,
    "edit meanwhile": _edit_meanwhile,
    "convict meanwhile": _convict_meanwhile,
    "convict during the look": _convict_during_look,
    "end": _end,
    "routers confirm": lambda play: play.stage.confirm(),
    "live": lambda play: play.live(),
    "work": lambda play: play.work(),
    "work on": lambda play: play.work(3),
    "pass a moment": _pass(0.3),
    "pass the confirmation": _pass(2.1),
    "pass the gap": _pass(3.1),
    "pass the hold": _pass(HOLD_S),
    "pass a minute": _pass(60.0),
    "pass the start": _pass(700.0),
    "pass": _pass_any,
    "until due": _until_due,
}
