"""The release while models serve: an upgrade in the middle of a rollout, an uninstall, and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench import ledger, models, report
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
from slipway_api.conditions import Outcome
from tests.e2e.conftest import install

pytestmark = pytest.mark.e2e

TUMOUR: Final = Target("e2e", "released")
RATE: Final = 10.0
HALF: Final = 50
MORE_S: Final = 4.0  # of load after each change, so that every kind of connection was used
DEFINITIONS: Final = ["computepools.slipway.dev", "modeldeployments.slipway.dev"]
# What applies to the next revision only.
VALUES: Final = {
    "pools": {"cpu": {"resources": {"requests": {"cpu": "33m", "memory": "111Mi"}}}},
    "server": {"image": {"tag": "another"}},
}


@pytest.fixture(scope="module")
def clients(
    scene: Scene, catalogue: models.Catalogue, store: str, tmp_path_factory: Any
) -> Iterator[Path]:
    """A real model under load over REST and gRPC; its clients' ledger."""
    file: Path = tmp_path_factory.mktemp("release") / "ledger.jsonl"
    scene.apply(wanted(catalogue, store, version="1.0.0"))
    scene.serves(TUMOUR)
    samples = catalogue.samples(models.TUMOUR)
    with scene.load(TUMOUR, samples=samples, ledger=file, rate=RATE):
        eventually(lambda: len(answers(file)) > RATE, what="clients are answered")
        yield file
    scene.delete(TUMOUR)


def wanted(catalogue: models.Catalogue, store: str, *, version: str) -> Object:
    """Write a deployment of one release, with a candidate that stays at half until told."""
    release = catalogue.release(models.TUMOUR, version)
    model = {"name": release.model, "version": version, "digest": release.digest}
    uri = {"uri": f"{store}/{release.file}"}
    steps = [{"weight": HALF, "hold": "5s", "pause": True}]
    return manifest(TUMOUR, model=model | uri, steps=steps)


def answers(path: Path) -> list[ledger.Request]:
    """Read what the clients got so far."""
    return [line for line in ledger.Tail(path).lines() if isinstance(line, ledger.Request)]


def assert_nothing_is_lost(path: Path) -> None:
    """Wait until requests of both protocols that were sent from now on are answered; judge all."""
    before = len(answers(path))
    eventually(lambda: len(answers(path)) > before + RATE * MORE_S, what="more answers")
    found = answers(path)
    assert {"rest", "grpc"} == {one.protocol for one in found[before:]}
    assert [one for one in found if not report.is_good(one.status) or one.wrong] == []


def pod_uids(scene: Scene) -> set[str]:
    return {pod["metadata"]["uid"] for pod in scene.pods(TUMOUR)}


def templates(scene: Scene) -> list[Object]:
    found = scene.read("deployments", f"--namespace={TUMOUR.namespace}", selector())
    return [item["spec"]["template"] for item in found["items"]]


def slices(scene: Scene) -> list[tuple[str, str]]:
    """List who made the endpoints of the client-facing Service, and their names."""
    label = f"--selector=kubernetes.io/service-name={TUMOUR.name}"
    found = scene.read("endpointslices", f"--namespace={TUMOUR.namespace}", label)["items"]
    manager = "endpointslice.kubernetes.io/managed-by"
    return [(item["metadata"]["labels"][manager], item["metadata"]["name"]) for item in found]


def selector() -> str:
    return f"--selector={names.LABEL_DEPLOYMENT}={TUMOUR.name}"


def helm(scene: Scene, *arguments: str) -> tuple[int, str]:
    done = scene.run("helm", *arguments, f"--namespace={SYSTEM_NAMESPACE}")
    return done.returncode, done.stdout + done.stderr


def test_an_upgrade_in_the_middle_of_a_rollout_touches_no_pod_and_the_rollout_goes_on(
    scene: Scene, catalogue: models.Catalogue, store: str, clients: Path
) -> None:
    scene.apply(wanted(catalogue, store, version="1.1.0"))
    scene.until(
        TUMOUR,
        lambda s: s.weight.verified == HALF,
        what="at half",
        timeout_s=STARTED_S,
    )
    pods, kept = pod_uids(scene), templates(scene)
    assert len(kept) == 2

    install(scene, VALUES)

    assert scene.read("computepool", "cpu")["spec"]["resources"]["requests"]["cpu"] == "33m"
    status = scene.status(TUMOUR)
    assert (status.weight.verified, status.candidate is not None) == (HALF, True)
    assert (pod_uids(scene), templates(scene)) == (pods, kept)
    assert_nothing_is_lost(clients)
    scene.command(TUMOUR, "promote")
    status = scene.until(TUMOUR, lambda s: s.history, what="promoted", timeout_s=STARTED_S)
    assert status.history[0].outcome == Outcome.PROMOTED
    assert pods >= {
        pod["metadata"]["uid"]
        for pod in scene.pods(TUMOUR)
        if pod["metadata"]["labels"][names.LABEL_REVISION] == status.stable
    }
    assert_nothing_is_lost(clients)


def test_an_uninstall_leads_clients_to_pods_and_an_install_leads_them_back(
    scene: Scene, clients: Path
) -> None:
    scene.until(TUMOUR, lambda s: not s.drain, what="drained")
    eventually(lambda: len(pod_uids(scene)) == 1, what="old pods are gone", timeout_s=STARTED_S)
    pods, before = pod_uids(scene), scene.status(TUMOUR).stable

    code, said = helm(scene, "uninstall", "slipway", "--wait")

    assert code == 0, said
    kept = scene.kubectl("get", "crd", "--output=name").split()
    assert [name.rpartition("/")[2] for name in kept] == DEFINITIONS
    assert (
        json.loads(
            scene.kubectl("get", "deployments", f"--namespace={SYSTEM_NAMESPACE}", "--output=json")
        )["items"]
        == []
    )
    assert {maker for maker, _ in slices(scene)} == {"endpointslice-controller.k8s.io"}
    assert_nothing_is_lost(clients)

    install(scene)

    scene.until(TUMOUR, lambda s: s.address, what="led to routers again")
    eventually(lambda: slices(scene) == [(names.GROUP, TUMOUR.name)], what="only our endpoints")
    service = scene.read("service", TUMOUR.name, f"--namespace={TUMOUR.namespace}")
    assert "selector" not in service["spec"]
    assert_nothing_is_lost(clients)
    assert (pod_uids(scene), scene.status(TUMOUR).stable) == (pods, before)
