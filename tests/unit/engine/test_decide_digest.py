"""A specification without a digest: the first pod tells what it loaded, the others must agree."""

from slipway_operator.engine.actions import EnsureWorkload, RecordDigest, RecordRevision
from tests import builders
from tests.unit.engine.worlds import World

OPEN = {"model": {"digest": None}}
FIRST = builders.revision("1", **OPEN)


def ensured(world: World) -> list[EnsureWorkload]:
    assert world.last is not None
    return [action for action in world.last.actions if isinstance(action, EnsureWorkload)]


def test_the_first_pod_comes_alone_where_no_digest_is_given() -> None:
    decision = World(builders.spec(replicas=3, **OPEN)).step()

    assert (RecordRevision(FIRST, 1, FIRST), EnsureWorkload(FIRST, 1)) == decision.actions


def test_what_the_first_pod_loaded_is_recorded_and_then_the_others_come() -> None:
    world = World(builders.spec(replicas=3, **OPEN))
    world.step()
    world.start_pods()

    told = world.step()
    assert RecordDigest(FIRST, builders.DIGEST) in told.actions
    assert ensured(world) == []

    world.step()
    assert ensured(world) == [EnsureWorkload(FIRST, 3)]


def test_a_server_that_does_not_tell_its_digest_is_not_waited_for() -> None:
    world = World(builders.spec(replicas=3, **OPEN))
    world.told_digest = ""
    world.step()
    world.start_pods()
    world.step()

    assert ensured(world) == [EnsureWorkload(FIRST, 3)]
    assert world.digests[FIRST] is None


def test_pods_that_already_serve_are_never_fewer_for_want_of_a_digest() -> None:
    world = World.serving(builders.spec(replicas=3, **OPEN))
    world.digests[FIRST] = None
    world.told_digest = ""
    world.lose_readiness(FIRST, count=3)
    world.step()

    assert all(action.replicas == 3 for action in ensured(world))
