"""When every revision is down, clients get the answer that was written for this; then models again.

Down are stable and candidate both, in the middle of a rollout.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from bench import breakage
from bench.scene import STARTED_S, Answer, Scene, Target, eventually, manifest
from slipway_api.status import ModelDeploymentStatus

pytestmark = pytest.mark.e2e

TARGET: Final = Target("e2e", "fallen")
BODY: Final = '{"outputs": [], "note": "ask again later"}'
WRITTEN: Final[dict[str, Any]] = {
    "steps": [{"weight": 50, "pause": True}],
    "traffic": {"staticAnswer": {"body": BODY, "status": 203}},
}


@pytest.fixture
def halfway(scene: Scene) -> Iterator[ModelDeploymentStatus]:
    """A deployment with a static answer, whose candidate has half of the requests."""
    scene.apply(manifest(TARGET, **WRITTEN))
    scene.serves(TARGET)
    scene.apply(manifest(TARGET, version="2", **WRITTEN))
    yield scene.until(TARGET, lambda s: s.weight.verified == 50, what="half", timeout_s=STARTED_S)
    scene.delete(TARGET)


def test_clients_get_the_static_answer_while_every_revision_is_down_and_no_longer(
    scene: Scene, halfway: ModelDeploymentStatus
) -> None:
    revisions = {halfway.stable, halfway.candidate}
    before = [scene.ask(TARGET.host), scene.ask_rpc(TARGET.host)]

    with breakage.refusing(scene, *scene.pods(TARGET)):
        down = [scene.ask(TARGET.host) for _ in range(4)]
        down_rpc = scene.ask_rpc(TARGET.host)
    eventually(
        lambda: scene.ask(TARGET.host).status == "200", what="models again", timeout_s=STARTED_S
    )
    after = scene.ask(TARGET.host)

    assert revisions >= {answer.revision for answer in before}
    assert [Answer("203", "", BODY, is_static=True)] * 4 == down
    assert ("UNAVAILABLE", True) == (down_rpc.status, down_rpc.is_static)
    assert (after.revision in revisions, after.is_static) == (True, False)
