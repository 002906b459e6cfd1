"""Blue-green, shadow, A/B and flags on the cluster: who answers whom, and what comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench import ledger, models
from bench.scene import STARTED_S, Object, Scene, Target, eventually, manifest
from slipway_api.conditions import Outcome, Phase, Reason
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

BLUE: Final = Target("e2e", "blue")
FLAG: Final = Target("e2e", "flag")
ARMS: Final = Target("e2e", "arms")
SHADED: Final = Target("e2e", "shaded")
BROKEN_BLUE: Final = Target("e2e", "broken-blue")
BROKEN_SHADE: Final = Target("e2e", "broken-shade")
THRIFTY: Final = Target("e2e", "thrifty")

# Few requests are sent here: what lacks samples goes on after a second, recorded as unproven.
SOON: Final = {"insufficient": {"after": "1s", "then": "promote"}}
STRATEGIES: Final[dict[Target, Object]] = {
    BLUE: {"blueGreen": {"pause": True}, "probation": "1h"},
    FLAG: {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}},
    ARMS: {"abTest": {"weight": 50, "hold": "1h"}},
    SHADED: {"shadow": {"mirror": 100, "hold": "2s"}},
}
BUDGET: Final = 2  # so few that nothing can be proved by them
BROKEN: Final[dict[Target, Object]] = {
    BROKEN_BLUE: {"strategy": {"blueGreen": {}, "probation": "1h"}},
    BROKEN_SHADE: {"strategy": {"shadow": {"mirror": 100, "hold": "1h"}}},
    THRIFTY: {"steps": [{"weight": 20, "hold": "1h"}], "analysis": {"maxBadAnswers": BUDGET}},
}
CAUSES: Final = {
    BROKEN_BLUE: Reason.ERRORS,
    BROKEN_SHADE: Reason.ERRORS,
    THRIFTY: Reason.BUDGET_SPENT,
}
RATE: Final = 20.0


def wanted(target: Target, version: str) -> Object:
    more: dict[str, Any] = {"strategy": STRATEGIES[target], "analysis": SOON}
    if target == ARMS:
        more["traffic"] = {"sticky": {"header": "x-user-id"}}
    return manifest(target, version=version, **more)


@pytest.fixture(scope="module", autouse=True)
def before(scene: Scene) -> Iterator[dict[Target, ModelDeploymentStatus]]:
    """First revisions, and a second one on its way in each."""
    scene.apply(*(wanted(target, "1") for target in STRATEGIES))
    found = {target: scene.serves(target) for target in STRATEGIES}
    scene.apply(*(wanted(target, "2") for target in STRATEGIES))
    yield found
    scene.delete(*STRATEGIES)


def test_blue_green_is_seen_through_its_preview_before_and_undone_at_once_after_the_switch(
    scene: Scene, before: dict[Target, ModelDeploymentStatus]
) -> None:
    old = before[BLUE].stable
    preview = f"{BLUE.name}-preview.{BLUE.namespace}"
    paused = scene.until(
        BLUE, lambda s: s.phase == Phase.PAUSED, what="preview", timeout_s=STARTED_S
    )
    # Nodes learn of a Service's pods by themselves, some time after the pods are ready.
    eventually(lambda: scene.ask(preview).status == "200", what="the preview answers")
    shown = (scene.ask(BLUE.host), scene.ask(preview), scene.ask_rpc(preview))
    scene.command(BLUE, "approve")
    kept = scene.until(
        BLUE,
        lambda s: s.waiting is not None and s.waiting.reason == Reason.PROBATION,
        what="probation",
    )
    switched = scene.ask(BLUE.host)
    scene.command(BLUE, "abort")
    back = scene.until(BLUE, lambda s: s.phase == Phase.ROLLED_BACK, what="back")

    assert [old, paused.candidate, paused.candidate] == [answer.revision for answer in shown]
    assert (kept.stable, kept.weight.verified, kept.replicas.stable_ready) == (old, 100, 1)
    assert (paused.candidate, "200") == (switched.revision, switched.status)
    assert (old, 0) == (back.stable, back.weight.verified)
    eventually(lambda: scene.ask(preview).revision == old, what="the preview leads to stable again")


def test_a_flag_leads_only_marked_requests_to_the_candidate_until_it_is_approved(
    scene: Scene, before: dict[Target, ModelDeploymentStatus]
) -> None:
    paused = scene.until(FLAG, lambda s: s.phase == Phase.PAUSED, what="flag", timeout_s=STARTED_S)
    marked = [
        scene.ask(FLAG.host, headers={"x-beta": "yes"}),
        scene.ask_rpc(FLAG.host, headers={"x-beta": "yes"}),
    ]
    others = [
        scene.ask(FLAG.host),
        scene.ask(FLAG.host, headers={"x-beta": "no"}),
        scene.ask_rpc(FLAG.host),
    ]
    scene.command(FLAG, "approve")
    promoted = scene.until(
        FLAG, lambda s: s.stable == paused.candidate, what="promoted", timeout_s=STARTED_S
    )

    assert {paused.candidate} == {answer.revision for answer in marked}
    assert {before[FLAG].stable} == {answer.revision for answer in others}
    assert "approve" in promoted.history[0].message


def test_a_user_of_an_ab_test_meets_one_arm_only(scene: Scene) -> None:
    shared = scene.until(
        ARMS, lambda s: s.weight.verified == 50, what="two arms", timeout_s=STARTED_S
    )

    def arms() -> dict[str, str]:
        return {
            user: scene.ask(ARMS.host, headers={"x-user-id": user}).revision
            for user in map(str, range(16))
        }

    first, second = arms(), arms()

    assert first == second
    assert {shared.stable, shared.candidate} == set(first.values())


def test_a_shadow_answers_nobody_and_ends_without_blame(
    scene: Scene, before: dict[Target, ModelDeploymentStatus]
) -> None:
    ended = scene.until(SHADED, lambda s: s.history, what="the shadow's end", timeout_s=STARTED_S)

    assert (Outcome.SHADOWED, ()) == (ended.history[0].outcome, ended.rejected)
    assert (before[SHADED].stable, Phase.SERVING) == (ended.stable, ended.phase)
    eventually(lambda: len(scene.pods(SHADED)) == 1, what="the candidate's pods are gone")


@pytest.fixture(scope="module")
def broken(
    scene: Scene, catalogue: models.Catalogue, store: str, tmp_path_factory: Any
) -> Iterator[dict[Target, Path]]:
    """Deployments of a real model under load, which get a version that fails; the ledgers."""

    def release(target: Target, version: str) -> Object:
        found = catalogue.release(models.TUMOUR, version)
        model = {"name": found.model, "version": version, "digest": found.digest}
        uri = {"uri": f"{store}/{found.file}"}
        return manifest(target, model=model | uri, **BROKEN[target])

    folder: Path = tmp_path_factory.mktemp("broken")
    files = {target: folder / f"{target.name}.jsonl" for target in BROKEN}
    samples = catalogue.samples(models.TUMOUR)
    scene.apply(*(release(target, "1.0.0") for target in BROKEN))
    for target in BROKEN:
        scene.serves(target)
    for target, path in files.items():
        with scene.load(target, samples=samples, ledger=path, rate=RATE):
            eventually(lambda path=path: answers(path), what="clients are answered")
            scene.apply(release(target, "1.2.0"))
            scene.until(
                target,
                lambda s: s.phase == Phase.ROLLED_BACK,
                what="taken back",
                timeout_s=STARTED_S,
            )
    yield files
    scene.delete(*BROKEN)


def answers(path: Path) -> list[ledger.Request]:
    return [line for line in ledger.Tail(path).lines() if isinstance(line, ledger.Request)]


@pytest.mark.parametrize("target", BROKEN, ids=str)
def test_a_candidate_that_fails_is_taken_back_and_no_client_loses_anything(
    scene: Scene, broken: dict[Target, Path], target: Target
) -> None:
    status = scene.status(target)
    got = answers(broken[target])

    assert CAUSES[target] == status.history[0].reason
    assert {200, "OK"} == {line.status for line in got}
    assert not any(line.wrong for line in got)
    candidate = status.history[0].revision
    if target == BROKEN_SHADE:
        assert candidate not in {line.revision for line in got}
    assert status.stable == got[-1].revision


def test_a_budget_bounds_what_a_rollout_costs(scene: Scene, broken: dict[Target, Path]) -> None:
    got = answers(broken[THRIFTY])

    tried_again = sum((line.attempts or 1) - 1 for line in got)

    assert f"of at most {BUDGET}" in scene.status(THRIFTY).history[0].message
    # What arrives until every router has heard comes on top.
    assert BUDGET <= tried_again <= BUDGET + RATE / 2
