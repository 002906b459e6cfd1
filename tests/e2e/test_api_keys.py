"""API keys of a Secret: asked for by the model's pods, over both protocols, through the routers."""

import hashlib
import secrets
from collections.abc import Iterator

import pytest

from bench.scene import STARTED_S, Answer, Object, Scene, Target, eventually, manifest
from slipway_api import names
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

GUARDED = Target("e2e", "guarded")
SECRET = "guarded-keys"


def secret_of(key: str) -> Object:
    """Write the Secret that lets one key in."""
    line = f"shop {hashlib.sha256(key.encode()).hexdigest()}\n"
    metadata = {"name": SECRET, "namespace": GUARDED.namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {"keys": line},
    }


@pytest.fixture(scope="module")
def waiting(scene: Scene) -> Iterator[ModelDeploymentStatus]:
    """A deployment whose Secret does not exist yet, as its status tells."""
    scene.apply(manifest(GUARDED, runtime={"authKeysSecret": SECRET}))
    yield scene.until(
        GUARDED,
        lambda status: any(SECRET in condition.message for condition in status.conditions),
        what="does not name the Secret that it lacks",
    )
    scene.delete(GUARDED)
    scene.kubectl("delete", "secret", SECRET, f"--namespace={GUARDED.namespace}")


@pytest.fixture(scope="module")
def key(scene: Scene, waiting: ModelDeploymentStatus) -> str:
    """The key of a deployment that serves, now that the Secret is there."""
    made = secrets.token_hex(32)
    scene.apply(secret_of(made))
    scene.serves(GUARDED)
    eventually(
        lambda: scene.ask(GUARDED.host, headers=bearer(made)).status == "200",
        what="the deployment answers",
        timeout_s=STARTED_S,
    )
    return made


def bearer(key: str) -> dict[str, str]:
    """Write the header, or metadata, that a client sends."""
    return {"authorization": f"Bearer {key}"}


def ask(scene: Scene, protocol: str, headers: dict[str, str]) -> Answer:
    """Infer once over `rest` or `grpc`."""
    return (scene.ask if protocol == "rest" else scene.ask_rpc)(GUARDED.host, headers=headers)


def test_a_deployment_whose_secret_is_missing_says_so(waiting: ModelDeploymentStatus) -> None:
    messages = [condition.message for condition in waiting.conditions]

    assert any(f"the Secret '{SECRET}' with the key 'keys'" in one for one in messages), messages


@pytest.mark.parametrize(
    ("protocol", "refused", "taken"), [("rest", "401", "200"), ("grpc", "UNAUTHENTICATED", "OK")]
)
def test_who_has_no_key_gets_no_inference(
    scene: Scene, key: str, protocol: str, refused: str, taken: str
) -> None:
    assert ask(scene, protocol, {}).status == refused
    assert ask(scene, protocol, bearer("another")).status == refused
    assert ask(scene, protocol, bearer(key)).status == taken


def test_scrapes_and_the_operator_need_no_key(scene: Scene, key: str) -> None:
    """The operator has asked for the digest, which the specification does not say."""
    (pod,) = scene.pods(GUARDED)
    url = f"http://{pod['status']['podIP']}:{names.PORT_HTTP}"
    opened = ("/metrics", "/v2/models/identity", "/v2/health/ready")
    found = [
        scene.client("curl", "--silent", "--fail", "--max-time", "20", url + path).returncode
        for path in opened
    ]
    revision = scene.read("controllerrevision", revision_of(pod), f"-n={GUARDED.namespace}")

    assert found == [0, 0, 0]
    assert revision["metadata"]["annotations"][names.ANNOTATION_DIGEST].startswith("sha256:")


def test_a_changed_secret_is_taken_without_a_restart(scene: Scene, key: str) -> None:
    (before,) = scene.pods(GUARDED)
    other = secrets.token_hex(32)

    scene.apply(secret_of(other))
    # The kubelet looks at mounted Secrets once a minute, and whenever their pod changes.
    scene.kubectl(
        *("annotate", "pod", before["metadata"]["name"], f"--namespace={GUARDED.namespace}"),
        "example.com/keys=changed",
    )

    eventually(
        lambda: scene.ask(GUARDED.host, headers=bearer(other)).status == "200",
        what="the new key is taken",
        timeout_s=STARTED_S,
    )
    assert scene.ask(GUARDED.host, headers=bearer(key)).status == "401"
    (after,) = scene.pods(GUARDED)
    (container,) = after["status"]["containerStatuses"]
    assert (after["metadata"]["uid"], container["restartCount"]) == (before["metadata"]["uid"], 0)


def revision_of(pod: Object) -> str:
    """The name of the revision that a pod belongs to."""
    return str(pod["metadata"]["labels"][names.LABEL_REVISION])
