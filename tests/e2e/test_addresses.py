"""However a client writes the address of a deployment, its own revision answers."""

from collections.abc import Iterator

import pytest

from bench.scene import STARTED_S, Answer, Scene, Target, eventually, manifest

pytestmark = pytest.mark.e2e

EAST = Target("e2e-east", "twin")
WEST = Target("e2e-west", "twin")
FORMS = ("short", "with namespace", "full", "full with dot", "cluster IP")


@pytest.fixture(scope="module")
def revisions(scene: Scene) -> Iterator[dict[Target, str]]:
    """Two deployments of one name; versions differ so that their revisions do."""
    twins = (EAST, WEST)
    scene.apply(manifest(EAST, version="east"), manifest(WEST, version="west"))
    found = {twin: scene.serves(twin).stable or "" for twin in twins}
    for twin in twins:
        eventually(
            lambda t=twin: scene.ask(t.host).status == "200",
            what=f"{twin} answers",
            timeout_s=STARTED_S,
        )
    yield found
    scene.delete(*twins)


def address(scene: Scene, target: Target, form: str) -> str:
    """Write the address of a deployment in one of FORMS."""
    full = f"{target.host}.svc.cluster.local"
    if form == "cluster IP":
        service = scene.read("service", target.name, f"--namespace={target.namespace}")
        return str(service["spec"]["clusterIP"])
    written = {"short": target.name, "with namespace": target.host, "full": full}
    return written.get(form, f"{full}.")


@pytest.mark.parametrize("target", [EAST, WEST], ids=lambda target: target.namespace)
@pytest.mark.parametrize("form", FORMS)
def test_rest_reaches_the_deployment_of_that_namespace(
    scene: Scene, revisions: dict[Target, str], target: Target, form: str
) -> None:
    answer = scene.ask(address(scene, target, form), namespace=target.namespace)

    assert (answer.status, answer.revision) == ("200", revisions[target]), answer


@pytest.mark.parametrize("target", [EAST, WEST], ids=lambda target: target.namespace)
@pytest.mark.parametrize("form", FORMS)
def test_grpc_reaches_the_deployment_of_that_namespace(
    scene: Scene, revisions: dict[Target, str], target: Target, form: str
) -> None:
    answer = scene.ask_rpc(address(scene, target, form), namespace=target.namespace)

    assert (answer.status, answer.revision) == ("OK", revisions[target]), answer


@pytest.mark.parametrize("host", ["models.example.com", f"{WEST.host}:80", "10.0.0.1:8443"])
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_foreign_host_changes_nothing(
    scene: Scene, revisions: dict[Target, str], host: str, protocol: str
) -> None:
    answer: Answer
    if protocol == "rest":
        answer = scene.ask(EAST.host, headers={"Host": host})
    else:
        answer = scene.ask_rpc(EAST.host, authority=host)

    assert answer.status in ("200", "OK")
    assert answer.revision == revisions[EAST]
