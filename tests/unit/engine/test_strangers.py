"""Objects of names that we need and that somebody else made meanwhile: left alone, and said so."""

from slipway_api.conditions import Phase, Reason
from slipway_operator.engine import actions
from slipway_operator.engine.actions import Decision
from tests import builders
from tests.unit.engine.worlds import World

SERVICE = f"Service {builders.NAMESPACE}/{builders.NAME}"
PREVIEW = f"{SERVICE}-preview"
CANDIDATE = builders.revision("2")


def stalled(decision: Decision) -> str | None:
    return next((c.reason for c in decision.status.conditions if c.type == "Stalled"), None)


def test_a_service_that_came_after_the_first_pods_is_not_taken_over() -> None:
    world = World()
    world.step()
    world.start_pods()
    world.step()
    world.confirm()
    world.conflicts = (SERVICE,)

    decision = world.step()

    assert not any(isinstance(one, actions.PublishAddress) for one in decision.actions)
    assert stalled(decision) == Reason.NAME_CONFLICT


def test_the_first_revision_goes_on_when_the_stranger_is_gone() -> None:
    world = World()
    world.step()
    world.conflicts = (SERVICE,)
    world.step()
    assert world.status.phase == Phase.FAILED
    world.conflicts = ()

    world.settle()

    assert world.status.phase == Phase.SERVING


def test_a_preview_of_somebody_else_is_not_taken_over_by_an_edit_of_the_strategy() -> None:
    world = World.serving()
    world.ask(strategy={"blueGreen": {}})
    world.conflicts = (PREVIEW,)

    decision = world.step()

    assert not any(isinstance(one, actions.LeadPreview) for one in decision.actions)
    assert stalled(decision) == Reason.NAME_CONFLICT


def test_a_candidate_whose_deployment_is_somebody_elses_now_waits_and_says_so() -> None:
    world = World.serving()
    world.ask("2")
    world.step()
    del world.revisions[CANDIDATE]
    world.conflicts = (f"Deployment {builders.NAMESPACE}/{CANDIDATE}",)

    decision = world.step()

    assert not any(isinstance(one, actions.EnsureWorkload) for one in decision.actions)
    assert decision.status.waiting is not None
    assert decision.status.waiting.reason == Reason.NAME_CONFLICT
