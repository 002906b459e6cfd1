"""Which revisions an object puts at stake, so that the shell knows what to look at beforehand."""

from slipway_operator.engine import orders, plan
from tests import builders
from tests.unit.engine.worlds import World

OLD, NEW = builders.revision("1"), builders.revision("2")


def _asked(world: World) -> tuple[frozenset[str], bool]:
    deployment = world.observation().deployment
    return orders.names_at_stake(deployment), orders.is_begun(deployment)


def test_what_serves_and_is_asked_for_is_begun() -> None:
    assert (frozenset({OLD}), True) == _asked(World.serving())


def test_a_new_specification_is_not_begun_until_its_rollout_is() -> None:
    world = World.serving()
    world.ask("2")
    before = _asked(world)
    world.step()

    assert (frozenset({NEW}), False) == before
    assert (frozenset({NEW}), True) == _asked(world)


def test_a_restart_puts_the_revision_at_stake_that_it_will_make() -> None:
    world = World.serving()
    world.say("restart", of=OLD, nonce="7")
    made = plan.restarted_name(builders.NAME, OLD, "7")
    before = _asked(world)
    world.step()

    assert (frozenset({OLD, made}), False) == before
    assert (frozenset({made}), True) == _asked(world)
    assert made == world.status.candidate


def test_a_rejected_revision_is_looked_at_again_when_it_is_to_be_retried() -> None:
    world = World.rolling()
    world.say("abort", nonce="1")
    world.settle()
    rejected = _asked(world)
    world.say("retry", of=NEW, nonce="2")

    assert (frozenset({NEW}), True) == rejected
    assert (frozenset({NEW}), False) == _asked(world)
