"""Every manifest of docs/strategies.md on the cluster: applied as it stands, then with new bytes.

What differs from the file: the namespace, what a pod asks of its node, a digest that nobody can
have bytes for, and the number of pods where the rollout gets to the same with one.
"""

import copy
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from bench.bucket import Bucket
from bench.monitoring import Program
from bench.scene import (
    POLL_S,
    STARTED_S,
    SYSTEM_NAMESPACE,
    Object,
    Scene,
    Target,
    eventually,
)
from sandbox import places
from slipway_api import names
from slipway_api.conditions import Outcome
from slipway_api.status import ModelDeploymentStatus
from slipway_plugin.plan import compile_manifest
from slipway_plugin.strategy import Match, Step, is_measured

pytestmark = pytest.mark.e2e

NAMESPACE: Final = "e2e-samples"
CHECKOUT: Final = places.checkout()
IDENTITY: Final = CHECKOUT / "server" / "slipway_server" / "share" / "identity.onnx"
DIGEST: Final = f"sha256:{hashlib.sha256(IDENTITY.read_bytes()).hexdigest()}"
STORE: Final = "s3://models/"
SECRET: Final = "models-bucket"
SMALL: Final = {"requests": {"cpu": "20m", "memory": "96Mi"}}
LISTENER_GONE_S: Final = 40.0
REFUSED: Final = 7  # of curl: no connection
ROUTER: Final = "--selector=app.kubernetes.io/component=router"
KINDS: Final = (
    "modeldeployments,deployments,services,endpointslices,controllerrevisions,poddisruptionbudgets"
)


def samples() -> dict[str, Object]:
    """Read every sample that names a strategy, by the file's name."""
    files: list[Path] = sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))
    read = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    return {name: found for name, found in read.items() if "strategy" in found["spec"]}


def first_step(sample: Object) -> Step | None:
    """Tell where a rollout first stays, or else first opens something; None: it does neither."""
    steps = compile_manifest(sample, rate=None).steps
    opened = next((step for step in steps if is_measured(step)), None)
    return next((step for step in steps if stays(step)), opened)


def stays(step: Step) -> bool:
    return bool(step.hold_s or step.asks_person)


def opening(step: Step | None) -> tuple[int, int, tuple[Match, ...]] | None:
    return None if step is None else (step.weight_percent, step.mirror_percent, step.match)


def adapted(sample: Object) -> Object:
    """Let a sample run here: see the head of this file."""
    made = copy.deepcopy(sample)
    made["metadata"]["namespace"] = NAMESPACE
    model, compute = made["spec"]["model"], made["spec"]["compute"]
    model |= {"digest": DIGEST} if "digest" in model else {}
    compute |= {"resources": SMALL, "replicas": 1}
    if opening(first_step(made)) != opening(first_step(sample)):
        compute["replicas"] = sample["spec"]["compute"]["replicas"]
    return made


def following(made: Object) -> Object:
    """Write the next version, as a user edits the file: version and address."""
    model = made["spec"]["model"]
    version = f"{model['version']}-next"
    uri = model["uri"].replace(model["version"], version)
    return made | {"spec": made["spec"] | {"model": model | {"version": version, "uri": uri}}}


SAMPLES: Final = {name: adapted(sample) for name, sample in samples().items()}


def target(name: str) -> Target:
    return Target(NAMESPACE, SAMPLES[name]["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Begun:
    """A sample's second version: its status where it began, None: it did not, and the last one."""

    stable: str | None
    seen: ModelDeploymentStatus | None
    last: ModelDeploymentStatus


def has_begun(found: Begun, step: Step | None) -> bool:
    """Whether a rollout is where its plan says that it begins, as every router was seen to do."""
    now = found.last
    if step is None:
        return now.stable != found.stable and bool(now.history)
    if now.candidate is None or now.step is None:
        return False
    is_shown = now.step.started_at is not None or not stays(step)
    weight, mirror = now.weight.verified, now.weight.mirror
    return is_shown and (weight, mirror) == (step.weight_percent, step.mirror_percent)


@pytest.fixture(scope="module")
def begun(scene: Scene, models_bucket: Bucket, prometheus: Program) -> Iterator[dict[str, Begun]]:
    """All samples at once: first versions that serve, then second ones where they begin."""
    scene.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    scene.make_namespace(NAMESPACE)
    scene.apply(models_bucket.secret(SECRET, namespace=NAMESPACE))
    seconds = {name: following(made) for name, made in SAMPLES.items()}
    for made in (*SAMPLES.values(), *seconds.values()):
        address = made["spec"]["model"]["uri"].removeprefix(STORE)
        models_bucket.put(address, IDENTITY.read_bytes())
    prometheus.start()  # a sample asks it, and is told that the shop counts nothing yet
    scene.apply(*SAMPLES.values())
    firsts = {name: scene.serves(target(name)) for name in SAMPLES}
    scene.apply(*seconds.values())
    yield watched(scene, {name: Begun(first.stable, None, first) for name, first in firsts.items()})
    prometheus.stop()
    scene.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def watched(scene: Scene, found: dict[str, Begun]) -> dict[str, Begun]:
    """Look at all until each has begun, or the time is over."""
    deadline_s = time.monotonic() + STARTED_S
    steps = {name: first_step(made) for name, made in SAMPLES.items()}
    while time.monotonic() < deadline_s and any(one.seen is None for one in found.values()):
        statuses = scene.statuses(NAMESPACE)
        for name, one in found.items():
            if one.seen is None:
                now = replace(one, last=statuses[target(name).name])
                found[name] = replace(now, seen=now.last) if has_begun(now, steps[name]) else now
        time.sleep(POLL_S)
    return found


def ask(scene: Scene, name: str, **more: Any) -> tuple[str, str]:
    """Ask a sample's address; the status and the revision that answered."""
    where = more.pop("service", SAMPLES[name]["metadata"]["name"])
    model = SAMPLES[name]["spec"]["model"]["name"]
    answer = scene.ask(f"{where}.{NAMESPACE}", model=model, **more)
    return answer.status, answer.revision


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_serves_and_its_next_version_begins_as_its_plan_says(
    scene: Scene, begun: dict[str, Begun], name: str
) -> None:
    one, step = begun[name], first_step(SAMPLES[name])

    assert one.seen is not None, one.last.model_dump_json(exclude={"rollout"})
    if step is None:
        assert Outcome.PROMOTED == one.seen.history[0].outcome
        assert ("200", one.seen.stable) == ask(scene, name)
        return
    assert one.stable == one.seen.stable
    assert one.seen.replicas.candidate_ready >= step.pods
    status, revision = ask(scene, name)
    assert "200" == status
    assert revision == one.stable or step.weight_percent


def test_marked_requests_reach_the_candidate_of_a_flag(
    scene: Scene, begun: dict[str, Begun]
) -> None:
    name = "feature_flag"
    seen, step = begun[name].last, first_step(SAMPLES[name])
    assert step is not None
    marks = {
        "header": lambda match: {match.name: match.value},
        "cookie": lambda match: {"cookie": f"{match.name}={match.value}"},
    }

    answers = [ask(scene, name, headers=marks[match.kind](match)) for match in step.match]

    assert [("200", seen.candidate)] * 2 == answers
    assert ("200", seen.stable) == ask(scene, name)


def test_the_preview_of_a_sample_leads_to_its_candidate(
    scene: Scene, begun: dict[str, Begun]
) -> None:
    name = "blue_green"
    service = f"{SAMPLES[name]['metadata']['name']}{names.PREVIEW_SUFFIX}"

    # Nodes learn of a Service's pods by themselves, some time after the pods are ready.
    eventually(
        lambda: ask(scene, name, service=service) == ("200", begun[name].last.candidate),
        what="the preview leads to the candidate",
    )


def left(scene: Scene, kinds: str) -> list[Object]:
    found: list[Object] = scene.read(kinds, f"--namespace={NAMESPACE}")["items"]
    return found


@pytest.mark.rows("namespace")
def test_a_deleted_namespace_takes_all_rollouts_with_it(
    scene: Scene, begun: dict[str, Begun]
) -> None:
    """The last one here: nothing is left to look at."""
    router = scene.read("pods", ROUTER, f"--namespace={SYSTEM_NAMESPACE}")["items"][0]
    host = router["status"]["podIP"]
    ports = {one.last.address.router_port for one in begun.values() if one.last.address}
    urls = [f"http://{host}:{port}/.slipway/config" for port in ports]
    found = left(scene, "modeldeployments")
    assert len(SAMPLES) == len(found) == len(ports)
    assert not any(one["metadata"].get("finalizers") for one in found)

    scene.kubectl("delete", "namespace", NAMESPACE, "--wait=false")

    eventually(lambda: not left(scene, "pods"), what="pods are gone", timeout_s=STARTED_S)
    # Kubernetes looks again after half of the pods' grace, or soon after an edit of the namespace.
    scene.kubectl("label", "namespace", NAMESPACE, "looked-at=again")
    eventually(lambda: not left(scene, KINDS), what="nothing is left", timeout_s=STARTED_S)
    for url in urls:
        eventually(
            lambda url=url: scene.client("curl", "--silent", url).returncode == REFUSED,
            what=f"{url} is closed",
            timeout_s=LISTENER_GONE_S,
        )
