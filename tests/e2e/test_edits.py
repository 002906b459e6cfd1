"""Rows of docs/edits.md on the cluster, one after the other on one deployment under load.

A candidate that one test left on its way is where the next begins, if that will do: each says what
it needs, and pods are what takes time.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from bench import ledger, models
from bench.scene import (
    STARTED_S,
    SYSTEM_NAMESPACE,
    Object,
    Scene,
    Target,
    eventually,
    manifest,
)
from slipway_api import names
from slipway_api.conditions import Outcome, Phase
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

EDITED: Final = Target("e2e", "edited")
SPACE: Final = f"--namespace={EDITED.namespace}"
OPERATORS_SPACE: Final = f"--namespace={SYSTEM_NAMESPACE}"
STEPS: Final = [{"weight": 20}, {"weight": 50, "pause": True}]
CANARY: Final = {"canary": {"steps": STEPS}}
BLUE_GREEN: Final = {"blueGreen": {"pause": True}, "probation": "1h"}
SHADOW: Final = {"shadow": {"mirror": 50, "hold": "1h"}}
FLAG: Final = {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}}
SOON: Final = {"insufficient": {"after": "1s", "then": "promote"}}
POOL: Final = "edited"
OTHER_POOL: Final = "edited-too"
MEMORY: Final = {POOL: "1000Mi", OTHER_POOL: "1100Mi"}
MORE_MEMORY: Final = "1200Mi"
MOST_MEMORY: Final = "1300Mi"
TWO_HOURS: Final = timedelta(hours=2)
OPERATOR: Final = "app.kubernetes.io/component=operator"
RATE: Final = 10.0


def pool(name: str, memory: str) -> Object:
    """Write a pool whose pods may use so much memory."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.COMPUTE_POOL_KIND,
        "metadata": {"name": name},
        "spec": {"resources": {"limits": {"memory": memory}}},
    }


def steps_of(*steps: Object) -> Object:
    return {"canary": {"steps": list(steps)}}


class Edited:
    """The deployment, whose candidates are new revisions each time."""

    def __init__(self, scene: Scene, source: Object, ledger_file: Path) -> None:
        self.scene, self._ledger_file = scene, ledger_file
        self._source = source
        self._numbers = count(1)
        self.number = 0
        self.asked: Object = {}
        self.numbers: dict[str | None, int] = {}  # by revision

    def ask(self, *, new: bool = False, **more: Any) -> Object:
        """Apply another specification; `new` asks for another revision."""
        if new:
            self.number = next(self._numbers)
        env = [{"name": "TRY", "value": str(self.number)}]
        compute = {"pool": POOL} | more.pop("compute", {})
        sections = {"analysis": SOON, "strategy": CANARY, "compute": compute} | more
        self.asked = manifest(EDITED, model=self._source, runtime={"env": env}, **sections)
        self.scene.apply(self.asked)
        return self.asked

    def ask_for(self, revision: str | None, **more: Any) -> None:
        """Apply the specification of a revision again."""
        self.number = self.numbers[revision]
        self.ask(**more)

    def until(self, is_reached: Any, what: str) -> ModelDeploymentStatus:
        status = self.scene.until(EDITED, is_reached, what=what, timeout_s=STARTED_S)
        self.numbers.setdefault(status.candidate or status.stable, self.number)
        return status

    def until_as_before(self) -> ModelDeploymentStatus:
        return self.until(lambda s: s.phase == Phase.SERVING and not s.candidate, "as before")

    def paused(self, **more: Any) -> ModelDeploymentStatus:
        """Bring a candidate to where a person is asked: a new one, if none is on its way."""
        before = self.status
        is_on_its_way = before.rollout is not None and not before.rollout.paused
        is_other = self.number != self.numbers[before.stable]
        self.ask(new=not (is_on_its_way and is_other), **more)
        return self.until(lambda s: s.phase == Phase.PAUSED, "a person is asked")

    def memory(self, revision: str | None) -> set[str]:
        """What the pods of a revision may use of it."""
        return {
            pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
            for pod in self.scene.pods(EDITED)
            if pod["metadata"]["labels"][names.LABEL_REVISION] == revision
        }

    def answers(self) -> list[ledger.Request]:
        lines = ledger.Tail(self._ledger_file).lines()
        return [line for line in lines if isinstance(line, ledger.Request)]

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.scene.status(EDITED)


@pytest.fixture(scope="module")
def edited(
    scene: Scene, catalogue: models.Catalogue, store: str, tmp_path_factory: Any
) -> Iterator[Edited]:
    """A deployment under load, and pools for it."""
    found = catalogue.release(models.TUMOUR, "1.0.0")
    source = {"name": found.model, "version": "1.0.0", "digest": found.digest}
    path: Path = tmp_path_factory.mktemp("edited") / "edited.jsonl"
    made = Edited(scene, source | {"uri": f"{store}/{found.file}"}, path)
    scene.apply(*(pool(name, memory) for name, memory in MEMORY.items()))
    made.ask(new=True)
    made.until_as_before()
    samples = catalogue.samples(models.TUMOUR)
    with scene.load(EDITED, samples=samples, ledger=path, rate=RATE):
        yield made
    scene.delete(EDITED)
    scene.kubectl("delete", "computepools", *MEMORY)


@pytest.fixture
def stable(edited: Edited) -> str:
    """Whoever serves."""
    found = edited.status.stable
    assert found is not None
    return found


def superseded(edited: Edited, candidate: str | None) -> ModelDeploymentStatus:
    """Wait until another candidate follows one that was not blamed."""
    status = edited.until(
        lambda s: s.candidate not in (None, candidate) and s.history, "another candidate"
    )
    assert (candidate, Outcome.SUPERSEDED) == (
        status.history[0].revision,
        status.history[0].outcome,
    )
    assert candidate not in {entry.revision for entry in status.rejected}
    return status


@pytest.mark.rows("v3-over-v2")
def test_a_third_version_is_compared_with_the_first(edited: Edited, stable: str) -> None:
    second = edited.paused()
    edited.ask(new=True)

    third = superseded(edited, second.candidate)

    assert stable == third.stable


@pytest.mark.rows("v3-in-preview")
def test_a_third_version_takes_the_preview_over(edited: Edited, stable: str) -> None:
    def shown() -> str:
        service = f"{EDITED.name}{names.PREVIEW_SUFFIX}"
        label = names.LABEL_REVISION.replace(".", r"\.")
        told = f"--output=jsonpath={{.spec.selector.{label}}}"
        return edited.scene.kubectl("get", "service", service, SPACE, "--ignore-not-found", told)

    second = edited.paused(strategy=BLUE_GREEN)
    eventually(lambda: shown() == second.candidate, what="the preview leads to the second")
    edited.ask(new=True, strategy=BLUE_GREEN)

    third = superseded(edited, second.candidate)

    eventually(lambda: shown() == third.candidate, what="the preview leads to the third")
    assert (stable, 0) == (third.stable, third.weight.verified)


@pytest.mark.rows("v3-in-probation")
def test_a_third_version_in_a_probation_leads_back_to_the_first(
    edited: Edited, stable: str
) -> None:
    edited.ask(new=True, strategy={"direct": {}, "probation": "1h"})
    second = edited.until(lambda s: s.weight.verified == 100, "everything for the second")
    edited.ask(new=True, strategy=CANARY)

    third = superseded(edited, second.candidate)

    assert stable == second.stable == third.stable


@pytest.mark.rows("v3-in-shadow")
def test_a_third_version_ends_a_shadow(edited: Edited, stable: str) -> None:
    edited.ask(new=True, strategy=SHADOW)
    second = edited.until(
        lambda s: s.weight.mirror == 50 and s.step is not None and s.step.started_at, "copies"
    )
    edited.ask(new=True, strategy=SHADOW)

    assert stable == superseded(edited, second.candidate).stable


def by_apply(edited: Edited, stable: str) -> None:
    edited.ask_for(stable)


def by_undo(edited: Edited, stable: str) -> None:
    edited.scene.kubectl("slipway", "undo", EDITED.name, SPACE)
    edited.number = edited.numbers[stable]


@pytest.mark.rows("revert", "undo")
@pytest.mark.parametrize("go_back", [by_apply, by_undo])
def test_going_back_ends_the_rollout_and_blames_nobody(
    edited: Edited, stable: str, go_back: Callable[[Edited, str], None]
) -> None:
    second = edited.paused()
    go_back(edited, stable)

    after = edited.until_as_before()

    assert (stable, second.candidate) == (after.stable, after.history[0].revision)
    assert Outcome.SUPERSEDED == after.history[0].outcome


@pytest.mark.rows("hold")
def test_a_hold_that_is_edited_counts_from_where_its_step_began(edited: Edited) -> None:
    def hold(time: str) -> Object:
        return steps_of({"weight": 20, "hold": time}, {"weight": 50, "pause": True})

    def held(status: ModelDeploymentStatus) -> timedelta:
        step = status.step
        is_timed = step is not None and step.started_at and step.ends_at
        return step.ends_at - step.started_at if is_timed else timedelta()

    edited.ask(new=True, strategy=hold("1h"))
    begun = edited.until(held, "20 % is held").step
    edited.ask(strategy=hold("2h"))
    longer = edited.until(lambda s: held(s) >= TWO_HOURS, "it is held longer").step
    edited.ask(strategy=hold("1s"))
    edited.until(lambda s: s.phase == Phase.PAUSED and s.weight.verified == 50, "it is over")

    assert begun is not None
    assert longer is not None
    assert begun.started_at == longer.started_at
    assert begun.ends_at < longer.ends_at


@pytest.mark.rows("reapply")
def test_the_same_manifest_again_changes_nothing(edited: Edited) -> None:
    before = edited.paused()

    def version() -> tuple[int, str]:
        read = edited.scene.read("md", EDITED.name, SPACE)["metadata"]
        return read["generation"], read["resourceVersion"]

    def is_nothing_written() -> bool:
        """Look around an apply; between the looks the operator may have written what it counts."""
        found = version()
        edited.scene.apply(edited.asked)
        return found == version()

    eventually(is_nothing_written, what="an apply without a write")
    after = edited.status
    assert (before.candidate, before.step) == (after.candidate, after.step)
    assert before.observed_generation == after.observed_generation


@pytest.mark.rows("insert")
def test_steps_edited_around_the_running_one_leave_it_where_it_is(edited: Edited) -> None:
    second = edited.paused()
    more = [{"weight": 10}, {"weight": 30}, {"weight": 50, "pause": True}, {"weight": 70}]
    edited.ask(strategy=steps_of(*more))

    after = edited.until(lambda s: s.step is not None and s.step.count == 4, "four steps")

    assert (second.candidate, 50) == (after.candidate, after.weight.verified)


@pytest.mark.rows("weights")
def test_other_weights_lead_to_the_first_above_what_was_passed(edited: Edited) -> None:
    second = edited.paused()
    edited.ask(strategy=steps_of({"weight": 15}, {"weight": 30, "pause": True}, {"weight": 70}))

    after = edited.until(lambda s: s.phase == Phase.PAUSED and s.weight.verified == 30, "30 %")

    assert after.step is not None
    assert (second.candidate, 2, 3) == (after.candidate, after.step.index, after.step.count)


@pytest.mark.rows("to-blue-green", "to-shadow")
@pytest.mark.parametrize(
    ("strategy", "weight", "mirror"),
    [(BLUE_GREEN, 0, 0), (SHADOW, 0, 50), (FLAG, 0, 0)],
    ids=["to-blue-green", "to-shadow", "to-flag"],
)
def test_a_strategy_that_shows_something_first_begins_anew(
    edited: Edited, stable: str, strategy: Object, weight: int, mirror: int
) -> None:
    second = edited.paused()
    edited.ask(strategy=strategy)

    after = edited.until(
        lambda s: (
            (s.weight.verified, s.weight.mirror) == (weight, mirror)
            and s.step is not None
            and s.step.started_at
        ),
        "begins anew",
    )

    assert (second.candidate, stable) == (after.candidate, after.stable)


@pytest.mark.rows("thresholds")
def test_new_limits_are_judged_from_then_on(edited: Edited) -> None:
    second = edited.paused()
    edited.ask(analysis=SOON | {"metrics": [{"name": "error-rate", "max": "5%"}]})

    after = edited.until(lambda s: "error-rate-max" in {one.gate for one in s.verdicts}, "its gate")

    assert (second.candidate, 50) == (after.candidate, after.weight.verified)


@pytest.mark.rows("scale-up", "scale-down", "pool-object")
def test_pods_added_mid_way_are_like_those_before_and_get_no_share_until_they_are_ready(
    edited: Edited, stable: str
) -> None:
    second = edited.paused()
    before = edited.memory(stable), edited.memory(second.candidate)
    edited.scene.apply(pool(POOL, MORE_MEMORY))
    edited.ask(compute={"replicas": 3})

    grown = edited.until(
        lambda s: (
            (s.weight.verified, s.replicas.stable_ready, s.replicas.candidate_ready) == (50, 3, 2)
        ),
        "half again",
    )
    after = edited.memory(stable), edited.memory(second.candidate)
    edited.ask(compute={"replicas": 1})
    shrunk = edited.until(
        lambda s: (s.replicas.stable, s.replicas.candidate) == (1, 1), "one pod each"
    )

    assert before == after
    assert second.candidate == grown.candidate == shrunk.candidate
    assert 50 == shrunk.weight.verified
    eventually(
        lambda: any("-w33-" in (line.config or "") for line in edited.answers()),
        what="what one pod of three carries was given meanwhile",
    )


@pytest.mark.rows("restart")
def test_a_restart_is_refused_while_a_candidate_is_on_its_way(edited: Edited, stable: str) -> None:
    second = edited.paused()
    edited.scene.command(EDITED, "restart", revision=stable)

    after = edited.until(lambda s: s.command and s.command.result == "Refused", "an answer")

    assert after.command is not None
    assert after.command.value.startswith(f"restart@{stable}#")
    assert "wait for its end, or abort it" in after.command.message
    assert (second.candidate, 50) == (after.candidate, after.weight.verified)


@pytest.mark.rows("pool-name")
def test_another_pool_is_another_revision(edited: Edited) -> None:
    second = edited.paused()
    edited.ask(compute={"pool": OTHER_POOL})

    third = superseded(edited, second.candidate)

    eventually(
        lambda: edited.memory(third.candidate) == {MEMORY[OTHER_POOL]}, what="pods of that pool"
    )


@pytest.mark.rows("pool-object")
def test_a_restart_takes_the_pool_as_it_was_edited(edited: Edited, stable: str) -> None:
    edited.ask_for(stable)
    edited.until_as_before()
    before = edited.memory(stable)
    edited.scene.apply(pool(POOL, MOST_MEMORY))
    edited.scene.command(EDITED, "restart", revision=stable)

    begun = edited.until(lambda s: s.weight.verified == 20, "the restart begins")

    assert {MOST_MEMORY} == edited.memory(begun.candidate)
    assert before == edited.memory(stable) != {MOST_MEMORY}


@pytest.mark.rows("paused-edit", "paused-v3")
def test_a_pause_outlives_an_edit_and_ends_with_its_candidate(edited: Edited) -> None:
    second = edited.paused()
    edited.scene.command(EDITED, "pause")
    edited.until(lambda s: s.rollout is not None and s.rollout.paused, "paused by a person")
    edited.ask(strategy=steps_of({"weight": 20}, {"weight": 50, "hold": "1s"}))
    still = edited.until(lambda s: s.phase == Phase.PAUSED, "still paused")
    edited.ask(new=True)

    third = superseded(edited, second.candidate)

    assert (second.candidate, 50) == (still.candidate, still.weight.verified)
    assert third.rollout is not None
    assert not third.rollout.paused


@pytest.mark.rows("rejected", "back-to-rejected", "retry")
def test_what_was_rejected_stays_so_until_retry_whatever_else_is_done(
    edited: Edited, stable: str
) -> None:
    second = edited.paused().candidate
    edited.scene.command(EDITED, "abort")
    edited.until(lambda s: s.phase == Phase.ROLLED_BACK, "taken back")

    edited.scene.kubectl("delete", "pod", f"--selector={OPERATOR}", OPERATORS_SPACE)
    edited.ask(strategy={"direct": {}}, traffic={"timeout": "20s"})
    after = edited.until(lambda s: s.phase == Phase.ROLLED_BACK, "still taken back")
    edited.ask_for(stable)
    edited.until_as_before()
    edited.ask_for(second)
    again = edited.until(lambda s: s.phase == Phase.ROLLED_BACK, "taken back as before")
    for status in (after, again):
        assert (stable, None) == (status.stable, status.candidate)
        assert second in {entry.revision for entry in status.rejected}

    edited.scene.command(EDITED, "retry", revision=second)
    begun = edited.until(lambda s: s.step, "a rollout")
    half = edited.paused()

    assert begun.step is not None
    assert (1, second, second) == (begun.step.index, begun.candidate, half.candidate)
    assert second not in {entry.revision for entry in half.rejected}


@pytest.mark.rows("from-shadow", "to-direct", "scale-down", "end-probation")
def test_a_shadow_becomes_a_canary_then_a_probation_and_ends(edited: Edited, stable: str) -> None:
    kept = {"direct": {}, "probation": "1h"}
    edited.ask(new=True, strategy=SHADOW)
    second = edited.until(lambda s: s.weight.mirror == 50, "copies")
    edited.ask(strategy=CANARY)
    halfway = edited.until(lambda s: s.weight.verified == 50, "50 %")
    edited.ask(strategy=kept, compute={"replicas": 2})
    whole = edited.until(
        lambda s: (s.weight.verified, s.replicas.stable_ready) == (100, 2), "everything"
    )
    edited.ask(strategy=kept)
    fewer = edited.until(lambda s: s.replicas.stable == s.replicas.candidate == 1, "one pod each")
    edited.ask(strategy={"direct": {}})
    after = edited.until(lambda s: s.stable == second.candidate, "promoted")

    assert 0 == halfway.weight.mirror
    assert stable == whole.stable == fewer.stable
    assert 100 == fewer.weight.verified
    assert (Outcome.PROMOTED, True) == (after.history[0].outcome, after.history[0].unproven)
    assert stable in {entry.revision for entry in after.drain}


def test_no_client_noticed_anything(edited: Edited) -> None:
    lines = edited.answers()

    assert len(lines) > 100
    assert {200, "OK"} == {line.status for line in lines}
    assert not any(line.wrong for line in lines)
