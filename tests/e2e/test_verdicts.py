"""What a candidate answers under load decides: refusals take it back, shed load only holds it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from bench import ledger, models
from bench.scene import STARTED_S, Object, Scene, Target, eventually, manifest
from slipway_api.conditions import Outcome, Phase, Reason
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

REFUSING: Final = Target("e2e", "refusing")
SHEDDING: Final = Target("e2e", "shedding")
# An answer takes 0.3 s or so: at the step's weight more than twice as many are asked for as one
# inference at a time can give, and more than it can give on a machine that is twice as fast.
RATES: Final = {REFUSING: 20.0, SHEDDING: 8.0}
WEIGHT: Final = {REFUSING: 50, SHEDDING: 90}
# Stable is as slow as its candidate: attempts may then take three times what it takes here and now.
STABLE: Final = {REFUSING: "1.1.0", SHEDDING: "1.6.0"}
HELD_S: Final = 8.0
# One inference at a time: what comes meanwhile waits, and runs together.
ONE_AT_A_TIME: Final = {"name": "SLIPWAY_SERVER_CONCURRENCY", "value": "1"}
# One waits at most: the third at once is shed.
NO_QUEUE: Final = {"name": "SLIPWAY_SERVER_QUEUE_MAX", "value": "0"}


@pytest.fixture(scope="module")
def ledgers(
    scene: Scene, catalogue: models.Catalogue, store: str, tmp_path_factory: Any
) -> Iterator[dict[Target, Path]]:
    """Two deployments of a real model under load; their clients' ledgers."""
    folder: Path = tmp_path_factory.mktemp("verdicts")
    files = {target: folder / f"{target.name}.jsonl" for target in RATES}
    samples = catalogue.samples(models.TUMOUR)
    scene.apply(
        *(
            wanted(catalogue, store, target, version=STABLE[target], env=[ONE_AT_A_TIME])
            for target in RATES
        )
    )
    for target in RATES:
        scene.serves(target)
    with ExitStack() as loads:
        for target, rate in RATES.items():
            load = scene.load(target, samples=samples, ledger=files[target], rate=rate)
            loads.enter_context(load)
        yield files
    scene.delete(*RATES)


def wanted(
    catalogue: models.Catalogue, store: str, target: Target, *, version: str, env: list[Object]
) -> Object:
    """Write a deployment of one release, its server set by `env`."""
    release = catalogue.release(models.TUMOUR, version)
    model = {"name": release.model, "version": version, "digest": release.digest}
    uri = {"uri": f"{store}/{release.file}"}
    steps = [{"weight": WEIGHT[target], "hold": "2s"}]
    return manifest(target, model=model | uri, steps=steps, runtime={"env": env})


def answers(path: Path) -> list[ledger.Request]:
    """Read what the clients got so far."""
    return [line for line in ledger.Tail(path).lines() if isinstance(line, ledger.Request)]


def test_a_candidate_that_refuses_what_stable_accepts_is_taken_back(
    scene: Scene, catalogue: models.Catalogue, store: str, ledgers: dict[Target, Path]
) -> None:
    before = scene.status(REFUSING).stable
    eventually(lambda: answers(ledgers[REFUSING]), what="clients are answered")

    scene.apply(wanted(catalogue, store, REFUSING, version="1.5.0", env=[ONE_AT_A_TIME]))
    status = scene.until(
        REFUSING, lambda s: s.phase == Phase.ROLLED_BACK, what="taken back", timeout_s=STARTED_S
    )

    (rollout,) = status.history
    assert (rollout.outcome, rollout.reason) == (Outcome.ABORTED, Reason.REFUSALS)
    assert "refused" in rollout.message
    assert (status.stable, status.weight.verified) == (before, 0)
    assert (Reason.REFUSALS, True) in {
        (reason, "refused" in message) for reason, message in scene.warnings(REFUSING)
    }


def test_a_candidate_that_sheds_load_is_held_and_not_taken_back(
    scene: Scene, catalogue: models.Catalogue, store: str, ledgers: dict[Target, Path]
) -> None:
    stable = scene.status(SHEDDING).stable

    eventually(lambda: answers(ledgers[SHEDDING]), what="clients are answered")

    without_queue = wanted(
        catalogue, store, SHEDDING, version=STABLE[SHEDDING], env=[ONE_AT_A_TIME, NO_QUEUE]
    )
    scene.apply(without_queue)
    held = scene.until(SHEDDING, is_shedding, what="held", timeout_s=STARTED_S)
    assert (held.phase, held.weight.verified, held.stable) == (Phase.ROLLING_OUT, 90, stable)

    told = answers(ledgers[SHEDDING])[-1].sent
    eventually(
        lambda: answers(ledgers[SHEDDING])[-1].sent > told + HELD_S, what="clients go on asking"
    )
    later = scene.status(SHEDDING)
    assert later.history == ()
    assert (later.phase, later.candidate) == (Phase.ROLLING_OUT, held.candidate)
    # Clients do not hear of it: what the candidate sheds is tried again at stable.
    given = [line for line in answers(ledgers[SHEDDING]) if line.revision == held.candidate]
    assert {line.status for line in given} == {200, "OK"}


def is_shedding(status: ModelDeploymentStatus) -> bool:
    return status.waiting is not None and status.waiting.reason == Reason.SHEDDING
