"""Rows of docs/edits.md on the cluster, one after the other on one deployment under load."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from bench import ledger, models
from bench.scene import STARTED_S, Object, Scene, Target, eventually, manifest
from slipway_api.conditions import Outcome, Phase
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

EDITED: Final = Target("e2e", "edited")
STEPS: Final = [{"weight": 20}, {"weight": 50, "pause": True}]
CANARY: Final = {"canary": {"steps": STEPS}}
BLUE_GREEN: Final = {"blueGreen": {"pause": True}, "probation": "1h"}
SHADOW: Final = {"shadow": {"mirror": 50, "hold": "1h"}}
FLAG: Final = {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}}
SOON: Final = {"insufficient": {"after": "1s", "then": "promote"}}
RATE: Final = 10.0


class Edited:
    """The deployment, whose candidates are new revisions each time."""

    def __init__(self, scene: Scene, source: Object, ledger_file: Path) -> None:
        self.scene, self.ledger_file = scene, ledger_file
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
        sections = {"analysis": SOON, "strategy": CANARY} | more
        self.asked = manifest(EDITED, model=self._source, runtime={"env": env}, **sections)
        self.scene.apply(self.asked)
        return self.asked

    def until(self, is_reached: Any, what: str) -> ModelDeploymentStatus:
        status = self.scene.until(EDITED, is_reached, what=what, timeout_s=STARTED_S)
        self.numbers.setdefault(status.candidate or status.stable, self.number)
        return status

    def paused(self, **more: Any) -> ModelDeploymentStatus:
        """Bring a new candidate to where a person is asked."""
        self.ask(new=True, **more)
        return self.until(lambda s: s.phase == Phase.PAUSED, "a person is asked")

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.scene.status(EDITED)


@pytest.fixture(scope="module")
def edited(
    scene: Scene, catalogue: models.Catalogue, store: str, tmp_path_factory: Any
) -> Iterator[Edited]:
    """A deployment under load."""
    found = catalogue.release(models.TUMOUR, "1.0.0")
    source = {"name": found.model, "version": "1.0.0", "digest": found.digest}
    path: Path = tmp_path_factory.mktemp("edited") / "edited.jsonl"
    made = Edited(scene, source | {"uri": f"{store}/{found.file}"}, path)
    made.ask(new=True)
    made.until(lambda s: s.phase == Phase.SERVING, "the first serves")
    samples = catalogue.samples(models.TUMOUR)
    with scene.load(EDITED, samples=samples, ledger=path, rate=RATE):
        yield made
    scene.delete(EDITED)


@pytest.fixture(autouse=True)
def stable(edited: Edited) -> Iterator[str]:
    """Whoever serves; after the test nothing is on its way any more."""
    before = edited.status.stable
    assert before is not None
    yield before
    if edited.status.candidate is not None:
        edited.scene.command(EDITED, "abort")
    edited.until(lambda s: s.candidate is None, "the candidate goes")


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


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["v3-over-v2", "v3-in-preview"])
def test_a_third_version_is_compared_with_the_first(
    edited: Edited, stable: str, strategy: Object
) -> None:
    second = edited.paused(strategy=strategy)
    edited.ask(new=True, strategy=strategy)

    third = superseded(edited, second.candidate)

    assert stable == third.stable


def test_a_third_version_in_a_probation_leads_back_to_the_first(
    edited: Edited, stable: str
) -> None:
    edited.ask(new=True, strategy={"direct": {}, "probation": "1h"})
    second = edited.until(lambda s: s.weight.verified == 100, "everything for the second")
    edited.ask(new=True, strategy=CANARY)

    third = superseded(edited, second.candidate)

    assert stable == second.stable == third.stable


def test_a_third_version_ends_a_shadow(edited: Edited, stable: str) -> None:
    edited.ask(new=True, strategy=SHADOW)
    second = edited.until(
        lambda s: s.weight.mirror == 50 and s.step is not None and s.step.started_at, "copies"
    )
    edited.ask(new=True, strategy=SHADOW)

    assert stable == superseded(edited, second.candidate).stable


def test_going_back_ends_the_rollout_and_blames_nobody(edited: Edited, stable: str) -> None:
    second = edited.paused()
    edited.number = edited.numbers[stable]
    edited.ask()

    after = edited.until(lambda s: s.phase == Phase.SERVING and s.candidate is None, "as before")

    assert (stable, second.candidate) == (after.stable, after.history[0].revision)
    assert Outcome.SUPERSEDED == after.history[0].outcome


def test_the_same_manifest_again_changes_nothing(edited: Edited) -> None:
    before = edited.paused()

    def version() -> tuple[int, str]:
        space = f"--namespace={EDITED.namespace}"
        read = edited.scene.read("md", EDITED.name, space)["metadata"]
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


def test_steps_edited_around_the_running_one_leave_it_where_it_is(edited: Edited) -> None:
    second = edited.paused()
    more = [{"weight": 10}, {"weight": 30}, {"weight": 50, "pause": True}, {"weight": 70}]
    edited.ask(strategy={"canary": {"steps": more}})

    after = edited.until(lambda s: s.step is not None and s.step.count == 4, "four steps")

    assert (second.candidate, 50) == (after.candidate, after.weight.verified)


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


def test_a_shadow_becomes_a_canary_and_ends_directly(edited: Edited) -> None:
    edited.ask(new=True, strategy=SHADOW)
    second = edited.until(lambda s: s.weight.mirror == 50, "copies")
    edited.ask(strategy=CANARY)
    halfway = edited.until(lambda s: s.weight.verified == 50, "50 %")
    edited.ask(strategy={"direct": {}})
    after = edited.until(lambda s: s.stable == second.candidate, "promoted")

    assert 0 == halfway.weight.mirror
    assert Outcome.PROMOTED == after.history[0].outcome


def test_thresholds_timeouts_and_pods_make_no_new_revision(edited: Edited) -> None:
    second = edited.paused()
    metrics = {"metrics": [{"name": "error-rate", "max": "5%"}]}
    edited.ask(analysis=SOON | metrics, traffic={"timeout": "30s"}, compute={"replicas": 2})

    after = edited.until(
        lambda s: s.replicas.stable_ready == 2 and s.phase == Phase.PAUSED, "two pods"
    )
    edited.ask(compute={"replicas": 1})
    fewer = edited.until(lambda s: s.replicas.stable == 1, "one pod")

    assert second.candidate == after.candidate == fewer.candidate
    assert 50 == after.weight.verified


def test_a_pause_outlives_an_edit_and_ends_with_its_candidate(edited: Edited) -> None:
    second = edited.paused()
    edited.scene.command(EDITED, "pause")
    edited.until(lambda s: s.rollout is not None and s.rollout.paused, "paused by a person")
    edited.ask(strategy={"canary": {"steps": [{"weight": 20}, {"weight": 50, "hold": "1s"}]}})
    still = edited.until(lambda s: s.phase == Phase.PAUSED, "still paused")
    edited.ask(new=True)

    third = superseded(edited, second.candidate)

    assert (second.candidate, 50) == (still.candidate, still.weight.verified)
    assert third.rollout is not None
    assert not third.rollout.paused


def test_what_was_rejected_stays_so_whatever_else_is_edited(edited: Edited, stable: str) -> None:
    second = edited.paused()
    edited.scene.command(EDITED, "abort")
    edited.until(lambda s: s.phase == Phase.ROLLED_BACK, "taken back")
    edited.ask(strategy={"direct": {}}, traffic={"timeout": "20s"})
    after = edited.until(lambda s: s.phase == Phase.ROLLED_BACK, "still taken back")

    assert (stable, None) == (after.stable, after.candidate)
    assert second.candidate in {entry.revision for entry in after.rejected}


def test_no_client_noticed_anything(edited: Edited) -> None:
    lines = [
        line for line in ledger.Tail(edited.ledger_file).lines() if isinstance(line, ledger.Request)
    ]

    assert len(lines) > 100
    assert {200, "OK"} == {line.status for line in lines}
    assert not any(line.wrong for line in lines)


def test_what_is_deleted_mid_way_leaves_nothing(scene: Scene) -> None:
    gone = Target("e2e", "gone")
    scene.apply(manifest(gone, steps=STEPS))
    scene.serves(gone)
    scene.apply(manifest(gone, version="2", steps=STEPS))
    scene.until(gone, lambda s: s.weight.verified == 20, what="20 %", timeout_s=STARTED_S)
    scene.delete(gone)

    def left() -> list[str]:
        kinds = "deployments,services,endpointslices,controllerrevisions,poddisruptionbudgets"
        found = scene.read(
            kinds, "--namespace=e2e", f"--selector=slipway.dev/deployment={gone.name}"
        )
        return [item["metadata"]["name"] for item in found["items"]]

    eventually(lambda: not left(), what="everything is collected", timeout_s=STARTED_S)
