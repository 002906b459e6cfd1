"""The first revision has no steps and no gates: it serves as soon as it can."""

import pytest

from slipway_operator.engine.actions import EnsureWorkload, PublishAddress, RecordRevision
from slipway_operator.engine.podevents import START_DEADLINE_S, Terminated
from tests import builders
from tests.unit.engine.worlds import World

FIRST = builders.revision("1")


def test_the_first_look_asks_for_a_record_and_all_pods() -> None:
    decision = World(builders.spec(replicas=3)).step()

    assert (RecordRevision(FIRST, 1, FIRST), EnsureWorkload(FIRST, 3)) == decision.actions
    assert "Pending" == decision.status.phase
    assert FIRST == decision.status.candidate
    assert decision.watch is None


def test_the_first_revision_serves_without_steps() -> None:
    world = World.serving()

    status = world.status

    assert "Serving" == status.phase
    assert (FIRST, None) == (status.stable, status.candidate)
    assert () == status.history
    assert 0 == status.weight.asked
    assert status.address is not None
    assert "http://churn.ml" == status.address.url
    assert "churn.ml:80" == status.address.grpc


def test_the_first_revision_serves_with_its_first_ready_pod() -> None:
    world = World(builders.spec(replicas=3))
    world.step()
    pods = list(world.revisions[FIRST].pods)
    world.change_pod(FIRST, pods[0], is_ready=True)
    for _ in range(3):
        world.step()
        world.confirm()

    status = world.status
    conditions = {c.type: (c.status, c.reason) for c in status.conditions}

    assert FIRST == status.stable
    assert ("True", "Serving") == conditions["Available"]
    assert ("False", "WaitingForPods") == conditions["Ready"]


def test_clients_are_sent_to_routers_only_when_every_router_knows_the_deployment() -> None:
    world = World()
    world.step()
    world.start_pods()
    first = world.step()
    world.routers["router-b"].is_stuck = True
    world.confirm()
    second = world.step()
    world.routers["router-b"].is_stuck = False
    world.confirm()
    third = world.step()

    assert () == tuple(a for a in (*first.actions, *second.actions) if _is_publication(a))
    assert second.status.waiting is not None
    assert "WaitingForRouters" == second.status.waiting.reason
    assert (PublishAddress(builders.PORT, ("10.1.0.1", "10.1.0.2")),) == third.actions


def test_a_broken_first_revision_says_so_and_what_to_do() -> None:
    world = World()
    world.step()
    for name in world.revisions[FIRST].pods:
        end = Terminated(78, "Error", "churn.onnx is not an ONNX file", world.now.timestamp())
        world.change_pod(FIRST, name, terminated=end)

    status = world.step().status

    assert "Failed" == status.phase
    (stalled,) = (c for c in status.conditions if c.type == "Stalled")
    assert "ModelRejected" == stalled.reason
    assert "churn.onnx is not an ONNX file" in stalled.message
    assert "correct the specification" in stalled.message


def test_a_corrected_first_revision_serves_without_steps() -> None:
    world = World()
    world.step()
    world.crash_pod(FIRST, code=78)
    world.step()
    world.ask("2")

    corrected = world.step()
    world.settle()

    assert EnsureWorkload(FIRST, 0) in corrected.actions
    assert builders.revision("2") == world.status.stable
    assert "Serving" == world.status.phase
    assert () == world.status.rejected


def test_what_clients_are_led_to_is_followed_by_a_rollout_whatever_the_status_says() -> None:
    """The write of the status that says so was lost, and the next look finds another version."""
    world = World()
    world.step()
    world.start_pods()
    world.step()
    world.confirm()
    world.published = ("10.1.0.1", "10.1.0.2")
    world.restart_operator()
    world.ask("2")

    found = world.step()

    assert (FIRST, builders.revision("2")) == (found.status.stable, found.status.candidate)
    assert EnsureWorkload(FIRST, 0) not in found.actions
    assert found.status.rollout is not None


def test_a_first_revision_without_a_pod_is_replaced_though_clients_are_led_to_it() -> None:
    world = World()
    world.step()
    world.published = ("10.1.0.1", "10.1.0.2")
    world.ask("2")

    found = world.step()

    assert (None, builders.revision("2")) == (found.status.stable, found.status.candidate)


def test_a_correction_that_cannot_begin_is_what_is_told() -> None:
    """Not that the revision before it is broken, which the user knows already."""
    world = World()
    world.step()
    world.crash_pod(FIRST, code=78)
    world.ask("2", pool="gpu")
    world.pool = None

    status = world.step().status

    (stalled,) = (c for c in status.conditions if c.type == "Stalled")
    assert "UnknownPool" == stalled.reason


def test_a_first_revision_that_recovers_serves() -> None:
    world = World()
    world.step()
    world.crash_pod(FIRST, code=78)
    world.step()
    world.settle()

    assert FIRST == world.status.stable


@pytest.mark.parametrize("verb", ["promote", "pause", "resume", "abort"])
def test_there_is_nothing_to_command_before_anything_serves(verb: str) -> None:
    world = World()
    world.step()
    world.say(verb)

    status = world.step().status

    assert status.command is not None
    assert "Refused" == status.command.result
    assert f"nothing to {verb}" in status.command.message


def test_pods_that_never_become_ready_fail_the_first_revision() -> None:
    world = World()
    world.step()
    world.wait(START_DEADLINE_S)

    status = world.step().status

    assert "Failed" == status.phase
    assert {"StartDeadlineExceeded"} == {c.reason for c in status.conditions}


def _is_publication(action: object) -> bool:
    return isinstance(action, PublishAddress)
