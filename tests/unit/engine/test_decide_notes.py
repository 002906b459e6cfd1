"""Events: one for each change of phase, in words that say what came of it."""

from tests import builders
from tests.unit.engine.worlds import World

ANSWER = "CommandAccepted"


def told(world: World, *, rounds: int = 40, seconds: float = 0.0) -> list[tuple[str, list[str]]]:
    """Live on, and list each new phase with what was told when it came."""
    phases = []
    for _ in range(rounds):
        before = world.status.phase
        decision = world.step()
        if before != decision.status.phase:
            reasons = [str(note.reason) for note in decision.notes if note.reason != ANSWER]
            phases.append((str(decision.status.phase), reasons))
        world.start_pods()
        world.confirm()
        world.wait(seconds)
    return phases


def test_a_first_revision_is_told_when_it_begins_and_when_it_serves() -> None:
    assert told(World()) == [("Pending", ["FirstRevision"]), ("Serving", ["Serving"])]


def test_a_promotion_is_told_once() -> None:
    world = World.serving()
    world.ask("2")

    phases = told(world, seconds=20)

    assert phases == [("RollingOut", ["RolloutStarted"]), ("Serving", ["Promoted"])]


def test_pausing_and_going_on_are_told_each_time() -> None:
    world = World.rolling()
    identities = []
    for number, verb in enumerate(("pause", "resume", "pause", "resume")):
        world.say(verb, nonce=str(number))
        decision = world.step()
        (note,) = [each for each in decision.notes if each.reason != ANSWER]
        identities.append(note.identity)
        assert note.reason == decision.status.phase

    assert len(set(identities)) == 4


def test_an_abort_is_told_with_its_cause_and_with_its_end() -> None:
    world = World.rolling()
    world.say("abort")

    assert told(world) == [("Aborting", ["AbortedByUser"]), ("RolledBack", ["RolledBack"])]


def test_what_cannot_begin_is_told_as_a_warning() -> None:
    world = World.serving(builders.spec("1"))
    world.ask("2", pool="nowhere")
    world.pool = None

    decision = world.step()

    assert [("UnknownPool", "Warning")] == [(note.reason, note.type) for note in decision.notes]
