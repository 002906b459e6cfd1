"""A cluster that is used as a guest, by its context: pods serve the models and send the load."""

from pathlib import Path
from typing import Final

import pytest

from bench import changes, guest_ground, ledger, models, stage
from bench.scene import SYSTEM_NAMESPACE, Scene, Target
from sandbox.progress import silent

pytestmark = pytest.mark.e2e

TARGET: Final = Target("e2e", changes.NAME)
RATE: Final = 20.0
SECONDS: Final = 5.0


def test_load_from_a_pod_reaches_the_models_that_a_pod_serves(
    scene: Scene, catalogue: models.Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, scene.ground.environment()[name])
    context = scene.kubectl("config", "current-context").strip()
    path = tmp_path / "ledger.jsonl"
    entered = guest_ground.entered(context, {}, models=catalogue.folder, keep=False, log=silent)

    with entered as ground, ground.serving(catalogue.folder) as base_url:
        was_installed = ground.has_slipway()
        wanted = changes.manifest(
            catalogue.release(models.TUMOUR, "1.0.0"), (changes.Step(50, 1),), base_url=base_url
        )
        wanted["metadata"]["namespace"] = TARGET.namespace
        scene.apply(wanted)
        scene.serves(TARGET)
        with ledger.Writer(path) as writer:
            on = stage.Stage(
                ground,
                stage.Target(TARGET.namespace, TARGET.name),
                writer=writer,
                ledger_path=path,
            )
            samples = catalogue.samples(models.TUMOUR)
            with on.load(samples=samples, model=models.TUMOUR, rate=RATE, seconds=SECONDS):
                scene.until(TARGET, lambda _: path.exists() and path.stat().st_size, what="load")
            screen = on.screen()
    scene.delete(TARGET)

    requests = [line for line in ledger.read(path) if isinstance(line, ledger.Request)]
    assert requests
    assert {(r.protocol, r.status) for r in requests} == {("rest", 200), ("grpc", "OK")}
    assert not any(r.wrong for r in requests)
    assert was_installed
    assert "Serving" in screen
    left = scene.read("pods,configmaps", "--selector=slipway.dev/demo", "-n", SYSTEM_NAMESPACE)
    assert left["items"] == []
    assert scene.run("helm", "status", "slipway", "-n", SYSTEM_NAMESPACE).returncode == 0
