"""Plays scenarios on a cluster: applies, breaks, waits, and writes down what was done and when.

One deployment serves for all plays, so that its stable pods start once. What comes of a play is
computed from its ledger by `bench.rollouts.rows`; nothing is judged here.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, assert_never

from bench import breakage, changes, ledger, operators
from bench.monitoring import Program
from bench.rollouts.rows import CANDIDATE
from bench.rollouts.scenarios import HELD, Break, Play
from bench.rollouts.strategies import Stop, Strategy, strategy
from bench.scene import STARTED_S, Scene, eventually
from bench.stage import Target
from bench.trial import FIRST, HEALTHY, Models, Trial, names_of
from slipway_api.conditions import Outcome, Phase
from slipway_api.status import ModelDeploymentStatus, Rollout

NAMESPACE: Final = "rollouts"
NAME: Final = "tumour"
GATE: Final = "business"
ANALYSIS: Final = {"metrics": [{"name": GATE, "query": GATE, "min": 0.9, "interval": "2s"}]}
# A server takes some 75 MiB. The limit is near, so that a candidate which asks for 1.6 GB is killed
# at once: with room to fill, four of them take both processors of a small machine for seconds, and
# what is measured is the machine.
RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "160Mi"},
}
ENDED_S: Final = 400.0
AFTERWARDS_S: Final = 3.0  # of load once a rollout is over
STEADY_S: Final = 2.0  # of load at a weight before something is broken
FLAPPING_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What all plays share: requests per second, and pods of the deployment."""

    rate: float
    replicas: int


class Player:
    """One cluster, one deployment, one ledger for each play."""

    def __init__(
        self, scene: Scene, source: Models, *, prometheus: Program, measured: Measured
    ) -> None:
        self._scene = scene
        self._source = source
        self._prometheus = prometheus
        self._measured = measured
        self._target = Target(NAMESPACE, NAME)
        self._serving = ""  # the version that serves
        self._turn = 0

    def play(self, play: Play, *, folder: Path) -> Path:
        """Play once; gives the ledger. AssertionError if the cluster does not come that far."""
        trial = Trial(self._scene, self._source, target=self._target, folder=folder)
        trial.await_whole()
        try:
            self._prepare(trial, play)
            with self._broken_before(trial, play) as faults, ledger.Writer(trial.ledger) as writer:
                rate = play.scenario.rate or self._measured.rate
                with trial.load(rate=rate, more=play.strategy.load):
                    trial.await_calm()
                    writer.write(
                        ledger.Run(
                            at=time.time(),
                            strategy=play.strategy.name,
                            scenario=play.name,
                            replicas=self._measured.replicas,
                            rate=rate,
                        )
                    )
                    for fault in faults:
                        writer.write(fault)
                    self._roll_out(trial, play, writer)
            self._clear(trial)
        except AssertionError:
            trial.dump()
            raise
        return trial.ledger

    def _prepare(self, trial: Trial, play: Play) -> None:
        """Let a good version serve; before an undo another one, by the strategy that is asked."""
        if not self._serving:
            self._apply(trial, FIRST, play)
            self._scene.serves(self._target)
            self._serving = FIRST
        if play.scenario.breaks is Break.PERSON_UNDOES:
            self._turn += 1
            last = _last(trial.status())
            self._apply(trial, self._other(), play, by=strategy("direct"))
            _await_end(trial, last)
            self._serving = self._other()
            self._apply(trial, self._serving, play)
        eventually(
            lambda: len(self._scene.pods(self._target)) == self._measured.replicas,
            what="no pods of earlier revisions are left",
            timeout_s=STARTED_S,
        )

    def _other(self) -> str:
        return HEALTHY if self._serving == FIRST else FIRST

    def _apply(self, trial: Trial, version: str, play: Play, *, by: Strategy | None = None) -> None:
        """Apply a version; the turn in its environment makes it a revision of its own."""
        spec = play.stop.spec if play.stop and by is None else (by or play.strategy).spec
        more: dict[str, Any] = {"analysis": ANALYSIS} if play.scenario.breaks in _ASKING else {}
        more |= play.strategy.more
        wanted = trial.wanted(
            version,
            replicas=self._measured.replicas,
            compute={"resources": RESOURCES},
            strategy=spec,
            env=[{"name": "BENCH_TURN", "value": str(self._turn)}],
            **more,
        )
        self._scene.apply(wanted)

    @contextmanager
    def _broken_before(self, trial: Trial, play: Play) -> Iterator[list[ledger.Fault]]:
        """Break what is to be broken before the change, for the length of the play."""
        match play.scenario.breaks:
            case Break.STABLE_POD:
                stable = trial.status().stable
                pod = trial.pods(stable)[0]
                left = self._measured.replicas - 1
                with breakage.refusing(self._scene, pod):
                    at = time.time()
                    eventually(lambda: trial.ready_count(stable) == left, what="one pod is out")
                    yield [ledger.Fault(at, "stable", play.scenario.breaks)]
            case Break.PROMETHEUS_DIES:
                self._prometheus.start()
                try:
                    yield []
                finally:
                    self._prometheus.stop()
            case Break.PROMETHEUS_DEAD:
                yield [ledger.Fault(time.time(), "prometheus", play.scenario.breaks)]
            case _:
                yield []

    def _roll_out(self, trial: Trial, play: Play, writer: ledger.Writer) -> None:
        """Change the version, break what is to be broken, and follow it to the end."""
        self._turn += 1
        before = trial.status()
        last = _last(before)
        is_good = play.scenario.version in (FIRST, HEALTHY)
        version = self._other() if is_good else play.scenario.version
        view = operators.router_view(self._scene, before)
        shown = view.shown()
        promise = ledger.Promise(play.scenario.outcome)
        writer.write(ledger.RolloutBegin(time.time(), play.name, version, promise))
        if play.scenario.breaks is Break.PERSON_UNDOES:
            self._undo()
        else:
            self._apply(trial, version, play)
        if play.scenario.breaks is Break.OPERATOR:
            view.await_news(shown, timeout_s=STARTED_S)
        with self._broken_meanwhile(trial, play, writer):
            if play.strategy.is_approved and play.stop is None:
                self._approve(trial)
            if play.scenario.outcome == HELD:
                end = _watched(trial, play.scenario.watched_s)
            else:
                end = _end(_await_end(trial, last))
        trial.pass_time(AFTERWARDS_S)
        writer.write(replace(end, name=play.name))
        if end.outcome == Outcome.PROMOTED:
            self._serving = version

    def _approve(self, trial: Trial) -> None:
        """Say yes where the rollout asks a person."""
        self._scene.until(
            self._target,
            lambda status: status.phase == Phase.PAUSED,
            what="a person is asked",
            timeout_s=ENDED_S,
        )
        trial.pass_time(STEADY_S)
        self._scene.command(self._target, "approve")

    def _undo(self) -> None:
        done = self._scene.run(
            "kubectl", "slipway", "undo", NAME, f"--namespace={NAMESPACE}", "--timeout=30s"
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def _broken_meanwhile(self, trial: Trial, play: Play, writer: ledger.Writer) -> Iterator[None]:
        """Break what is to be broken while the rollout is under way."""
        breaks = play.scenario.breaks

        def tell(part: str, at: float | None = None) -> None:
            writer.write(ledger.Fault(at or time.time(), part, breaks))

        match breaks:
            case Break.NOTHING | Break.PERSON_UNDOES | Break.STABLE_POD | Break.PROMETHEUS_DEAD:
                if play.scenario.outcome == HELD:
                    _await_stop(trial, play.stop)
                yield
            case Break.OPERATOR:
                tell("operator")
                operators.kill(self._scene)
                yield
            case Break.PERSON_ABORTS:
                _await_stop(trial, play.stop)
                tell(CANDIDATE)
                self._scene.command(self._target, "abort")
                yield
            case Break.PROMETHEUS_DIES:
                _await_stop(trial, play.stop)
                self._scene.until(
                    self._target,
                    lambda status: any(v.gate == GATE and v.value for v in status.verdicts),
                    what="the query has given a number",
                )
                tell("prometheus")
                self._prometheus.stop()
                yield
            case Break.ONE_POD | Break.ALL_PODS:
                candidate = _await_stop(trial, play.stop)
                trial.pass_time(STEADY_S)
                pods = names_of(trial.pods(candidate))
                is_one = breaks is Break.ONE_POD
                with breakage.crashing(
                    pods[:1] if is_one else pods,
                    alive_s=0.0 if is_one else FLAPPING_S,
                    tell=lambda at: tell(CANDIDATE, at),
                ):
                    yield
            case _:
                assert_never(breaks)

    def _clear(self, trial: Trial) -> None:
        """Take back what still goes on, so that the next play begins from a deployment at rest."""
        status = trial.status()
        if status.rollout is None:
            return
        last = _last(status)
        self._scene.command(self._target, "abort")
        _await_end(trial, last)


_ASKING: Final = (Break.PROMETHEUS_DIES, Break.PROMETHEUS_DEAD)


def _last(status: ModelDeploymentStatus) -> Rollout | None:
    return status.history[0] if status.history else None


def _await_stop(trial: Trial, stop: Stop | None) -> str | None:
    """Wait until the candidate is where it is to be stopped, at every router; its name."""
    assert stop is not None

    def is_there(status: ModelDeploymentStatus) -> bool:
        is_shown = status.step is not None and status.step.started_at is not None
        is_far = status.candidate is not None and (status.weight.verified or 0) >= stop.weight
        return is_far and (is_shown or not stop.is_shown)

    return trial.scene.until(
        trial.target,
        is_there,
        what=f"the candidate has {stop.weight} %",
        timeout_s=STARTED_S,
    ).candidate


def _await_end(trial: Trial, last: Rollout | None) -> Rollout:
    """Wait until a rollout other than the last one is over."""
    before = changes.Before(0, None, last)
    status = trial.scene.until(
        trial.target,
        lambda status: changes.ended(status, before),
        what="the rollout is over",
        timeout_s=ENDED_S,
    )
    return status.history[0]


def _end(rollout: Rollout) -> ledger.RolloutEnd:
    return ledger.RolloutEnd(
        at=rollout.ended_at.timestamp(),
        name="",
        candidate=rollout.revision,
        outcome=rollout.outcome,
        reason=rollout.reason,
        problem=None,
    )


def _watched(trial: Trial, seconds: float) -> ledger.RolloutEnd:
    """Look at a rollout that should go on for so long, and say what became of it."""
    began = trial.status()
    trial.pass_time(seconds)
    status = trial.status()
    if status.rollout is None:
        return _end(status.history[0])
    return ledger.RolloutEnd(
        at=time.time(),
        name="",
        candidate=began.candidate,
        outcome=HELD,
        reason=status.waiting.reason if status.waiting else None,
        problem=None if status.candidate == began.candidate else "another candidate took over",
    )
