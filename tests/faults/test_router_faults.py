"""Routers that end, die or are cut off: clients lose what such a router had, and nothing else.

A healthy candidate is on its way meanwhile; it is neither taken back nor promoted.
"""

import time

import pytest

from tests.e2e.scene import SYSTEM_NAMESPACE, Object, eventually
from tests.faults import breakage, operators
from tests.faults.trial import ROUTER, WATCHFUL, Trial, names_of

pytestmark = pytest.mark.faults

TROUBLE_S = 10.0  # after a fault, for clients of a router that died
ZERO_S = 2.0  # from an abort until no router that can be reached gives the candidate anything
DRAINED_S = 150.0
STATUS_S = 30.0


def address_of(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def is_gone(trial: Trial, router: str) -> bool:
    system = f"--namespace={SYSTEM_NAMESPACE}"
    found = trial.scene.run("kubectl", "get", "pod", router, system, "--output=name")
    return not found.stdout and "not found" in found.stderr


def test_a_deleted_router_pod_loses_no_request(trial: Trial) -> None:
    trial.serve()
    router = names_of(trial.system_pods(ROUTER))[0]
    system = f"--namespace={SYSTEM_NAMESPACE}"

    with trial.load():
        candidate = trial.held_at(50)
        deleted_at = time.time()
        trial.scene.kubectl("delete", "pod", router, system, "--wait=false")
        eventually(lambda: is_gone(trial, router), what=f"{router} drained", timeout_s=DRAINED_S)
        trial.note(seconds_of_drain=round(time.time() - deleted_at, 1))
        trial.pass_time(3.0)
        assert trial.goes_on(candidate), trial.status()

    found = trial.toll(fault_at=deleted_at)
    assert found.is_nothing, found


def test_a_killed_envoy_loses_only_what_it_had(trial: Trial) -> None:
    trial.serve()
    router = names_of(trial.system_pods(ROUTER))[0]

    with trial.load():
        candidate = trial.held_at(50)
        killed_at = time.time()
        breakage.kill_envoy(router)
        trial.pass_time(20.0)
        assert trial.goes_on(candidate), trial.status()

    found = trial.toll(fault_at=killed_at, dead=[router])
    harm = (found.lost_at_living, found.client_errors, found.wrong_answers)
    assert harm == (0, 0, 0), found
    assert found.seconds_of_trouble <= TROUBLE_S, found


def test_a_node_that_is_cut_off_costs_only_what_its_routers_had(trial: Trial) -> None:
    """Clients call the address, not the name: the cluster's DNS loses a server of its own."""
    trial.serve()
    operator = node_of(trial.leader())
    node = next(n.name for n in trial.scene.ground.cluster.nodes if n.name != operator)
    routers = [pod for pod in trial.system_pods(ROUTER) if node_of(pod) == node]
    service = trial.scene.read("service", trial.target.name, f"-n={trial.target.namespace}")
    assert routers, f"no router on {node}"

    with trial.load(host=service["spec"]["clusterIP"], more=WATCHFUL):
        candidate = trial.held_at(75)
        assert {node_of(pod) for pod in trial.pods(candidate)} == {node, operator}
        cut_at = time.time()
        with breakage.cut_off(trial.scene, node):
            eventually(
                lambda: not {address_of(pod) for pod in routers} & set(trial.published()),
                what=f"the routers of {node} lost their clients",
            )
            trial.note(seconds_to_leave=round(time.time() - cut_at, 1))
            trial.pass_time(30.0)
        trial.await_whole()
        trial.pass_time(3.0)
        assert trial.goes_on(candidate), trial.status()

    found = trial.toll(fault_at=cut_at, dead=names_of(routers))
    harm = (found.lost_at_living, found.client_errors, found.wrong_answers)
    assert harm == (0, 0, 0), found
    assert found.seconds_of_trouble <= TROUBLE_S, found


def test_a_node_that_is_cut_off_with_the_whole_candidate_on_it_is_not_its_fault(
    trial: Trial,
) -> None:
    """A fifth of the load is one pod's; the operator that leads is to be on another node."""
    trial.serve()
    service = trial.scene.read("service", trial.target.name, f"-n={trial.target.namespace}")

    with trial.load(host=service["spec"]["clusterIP"], more=WATCHFUL):
        candidate = trial.held_at(20)
        (alone,) = trial.pods(candidate)
        node = node_of(alone)
        if node == node_of(trial.leader()):
            hand_over(trial)
        routers = [pod for pod in trial.system_pods(ROUTER) if node_of(pod) == node]
        cut_at = time.time()
        with breakage.cut_off(trial.scene, node):
            trial.pass_time(30.0)
            held = trial.status()
            trial.note(said=held.waiting.message if held.waiting else "")
            assert trial.goes_on(candidate), held
            assert 0 == held.weight.asked, held
        trial.await_whole()
        trial.at_weight(20)
        trial.pass_time(3.0)
        assert trial.goes_on(candidate), trial.status()

    found = trial.toll(fault_at=cut_at, dead=names_of(routers))
    harm = (found.lost_at_living, found.client_errors, found.wrong_answers)
    assert harm == (0, 0, 0), found
    assert found.seconds_of_trouble <= TROUBLE_S, found


def hand_over(trial: Trial) -> None:
    """Let the other operator lead."""
    system = f"--namespace={SYSTEM_NAMESPACE}"
    before = names_of([trial.leader()])[0]
    trial.scene.kubectl("delete", "pod", before, system)
    operators.taken_over(trial.scene, before=before, timeout_s=60.0)
    trial.await_whole()
    trial.await_calm()


def test_a_router_that_does_not_hear_of_an_abort_loses_its_clients(trial: Trial) -> None:
    trial.serve()
    deaf = trial.system_pods(ROUTER)[0]
    name = names_of([deaf])[0]

    with trial.load():
        candidate = trial.held_at(50)
        with breakage.without_operator(trial.scene, deaf):
            trial.pass_time(6.0)
            assert trial.goes_on(candidate), "a router that is not heard takes nothing back"
            asked_at = time.time()
            trial.scene.command(trial.target, "abort")
            eventually(
                lambda: address_of(deaf) not in trial.published(),
                what=f"{name} lost its clients",
            )
            trial.note(seconds_to_leave=round(time.time() - asked_at, 1))
            status, rollout = trial.ended()
            trial.pass_time(5.0)
        eventually(
            lambda: address_of(deaf) in trial.published(),
            what="it has them again",
            timeout_s=STATUS_S,
        )

    found = trial.toll(fault_at=asked_at)
    assert found.is_nothing, found
    assert (rollout.outcome, status.weight.verified) == ("Aborted", 0)
    by_candidate = [r for r in trial.requests() if r.revision == candidate and r.sent > asked_at]
    reachable = [r.sent - asked_at for r in by_candidate if r.router != name]
    trial.note(
        seconds_to_zero_at_reachable=round(max(reachable, default=0.0), 2),
        seconds_to_zero_at_deaf=round(max((r.sent - asked_at for r in by_candidate), default=0), 2),
    )
    assert max(reachable, default=0.0) <= ZERO_S
