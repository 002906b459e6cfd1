"""What a rollout does with what Prometheus says, and while it says nothing."""

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.actions import Decision
from slipway_operator.engine.alerts import AlertsSeen, FiringAlert
from slipway_operator.engine.queries import Answer
from tests import builders
from tests.unit.engine.worlds import World

QUERY = {"metrics": [{"name": "business", "query": "value", "min": 0.9}]}
ALERT = {"alerts": [{"name": "Broken"}]}
LABELS = {"namespace": builders.NAMESPACE, "modeldeployment": builders.NAME}


def rolling(analysis: dict[str, object]) -> World:
    """A world in which a candidate has the weight of its first step, 5 % for 60 s."""
    world = World.serving(builders.spec(analysis=analysis))
    world.ask("2")
    world.step()
    if "alerts" in analysis:
        look(world)
    world.settle()
    return world


def answer(world: World, value: float | None) -> Decision:
    """Let Prometheus answer now, None: it is away."""
    assert world.source is not None
    world.source.take_answer("business", Answer(world.now, value, "" if value else "away"))
    return world.step()


def look(world: World, *, began_s: float | None = None) -> None:
    """Let the alert be looked at; `began_s` says since when it fires."""
    assert world.source is not None
    firing = () if began_s is None else (FiringAlert("Broken", LABELS, builders.at(began_s)),)
    world.source.take_alerts(AlertsSeen(world.now, firing))


def reason(decision: Decision) -> str:
    waiting = decision.status.waiting
    return waiting.reason if waiting else ""


def test_a_step_is_left_once_the_query_has_passed_in_it() -> None:
    world = rolling(QUERY)
    world.wait(60)

    held = world.step()
    left = answer(world, 0.95)

    assert "InsufficientData" == reason(held)
    assert left.status.rollout is not None
    assert (1, False) == (left.status.rollout.step_index, left.status.rollout.unproven)
    shown = next(one for one in held.status.verdicts if one.gate == "business")
    assert (0, 1, "min 0.9") == (shown.have, shown.need, shown.limit)


def test_two_bad_numbers_take_the_candidate_back() -> None:
    world = rolling(QUERY)
    world.wait(10)
    first = answer(world, 0.5)
    world.wait(10)
    second = answer(world, 0.5)

    assert (5, 0) == (first.status.weight.asked, second.status.weight.asked)
    assert second.status.rollout is not None
    assert second.status.rollout.abort is not None
    assert "LimitExceeded" == second.status.rollout.abort.reason


def test_the_steps_end_moves_by_as_much_as_the_source_was_away() -> None:
    world = rolling(QUERY)
    for _ in range(2):
        world.wait(10)
        answer(world, 0.95)
    before = world.status.step
    world.wait(10)
    away = answer(world, None)
    world.wait(50)
    answer(world, None)
    back = answer(world, 0.95)

    assert before is not None
    assert before.ends_at == builders.at(60)
    assert away.status.step is not None
    assert away.status.step.ends_at is None
    assert "MeasurementUnavailable" == reason(away)
    assert back.status.step is not None
    # The last number came at 20 s and the next one at 80 s.
    assert builders.at(120) == back.status.step.ends_at
    assert "Holding" == reason(back)


def test_a_restart_forgets_neither_the_clock_nor_what_stopped_it() -> None:
    world = rolling(QUERY)
    world.wait(10)
    answer(world, 0.95)
    world.wait(10)
    answer(world, None)
    world.restart_operator()
    world.wait(30)
    world.settle()

    stopped = world.step()
    ended = answer(world, 0.95)

    assert stopped.status.rollout is not None
    assert ended.status.step is not None
    assert builders.at(60 + 40) == ended.status.step.ends_at


def test_nobody_is_promoted_or_aborted_while_the_source_is_away() -> None:
    world = rolling(QUERY)
    world.wait(10)
    answer(world, None)
    for _ in range(100):
        world.wait(60)
        decision = world.settle()

    assert (5, "MeasurementUnavailable") == (decision.status.weight.asked, reason(decision))


def test_a_person_promotes_whatever_is_away() -> None:
    world = rolling(QUERY)
    world.wait(10)
    answer(world, None)
    world.say("promote")
    decision = world.settle()

    assert builders.revision("2", analysis=QUERY) == decision.status.stable
    assert decision.status.history[0].unproven


def test_an_alert_that_fires_already_holds_the_start_and_aborts_nothing() -> None:
    world = World.serving(builders.spec(analysis=ALERT))
    world.ask("2")
    world.step()
    look(world, began_s=-60)
    held = world.settle()
    look(world)
    started = world.settle()

    assert (0, "AlertFiring") == (held.status.weight.asked, reason(held))
    assert 5 == started.status.weight.asked


def test_nothing_starts_before_somebody_looked_at_the_alerts() -> None:
    world = World.serving(builders.spec(analysis=ALERT))
    world.ask("2")
    held = world.settle()

    assert (0, "MeasurementUnavailable") == (held.status.weight.asked, reason(held))


def test_an_alert_that_begins_with_the_candidate_takes_it_back() -> None:
    world = rolling(ALERT)
    world.wait(10)
    look(world, began_s=9)
    decision = world.step()

    assert 0 == decision.status.weight.asked
    assert decision.status.rollout is not None
    assert decision.status.rollout.abort is not None
    assert Reason.ALERT_FIRING == decision.status.rollout.abort.reason


def test_an_alert_that_began_before_holds_a_step_and_stops_its_clock() -> None:
    world = rolling(ALERT)
    world.wait(10)
    look(world, began_s=-9)
    held = world.step()
    world.wait(30)
    look(world)
    ended = world.step()

    assert "AlertFiring" == reason(held)
    assert VerdictState.UNAVAILABLE == held.status.verdicts[-1].verdict
    assert ended.status.step is not None
    assert ended.status.step.ends_at == builders.at(60 + 40)
