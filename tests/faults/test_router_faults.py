"""Routers that end, die or are cut off: clients lose what such a router had, and nothing else.

A healthy candidate is on its way meanwhile; it is neither taken back nor promoted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import breakage
from bench.scene import SYSTEM_NAMESPACE, Object, eventually
from bench.trial import ROUTER, WATCHFUL, Trial, names_of
from slipway_api import names

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
    trial.serve()
    operator = node_of(trial.leader())
    node = next(n.name for n in trial.scene.ground.cluster.nodes if n.name != operator)

    assert cut_off_under_load(trial, node) <= TROUBLE_S


def test_the_leaders_node_that_is_cut_off_costs_no_more_than_another_one(trial: Trial) -> None:
    """Nobody can take the routers of that node from the address before another operator leads."""
    trial.serve()

    assert cut_off_under_load(trial, node_of(trial.leader())) <= TROUBLE_S


def cut_off_under_load(trial: Trial, node: str) -> float:
    """Cut a node with pods of both revisions off; nothing else is lost. The seconds of trouble.

    Clients call the address, not the name: the cluster's DNS loses a server of its own.
    """
    routers = [pod for pod in trial.system_pods(ROUTER) if node_of(pod) == node]
    service = trial.scene.read("service", trial.target.name, f"-n={trial.target.namespace}")
    assert routers, f"no router on {node}"

    with trial.load(host=service["spec"]["clusterIP"], more=WATCHFUL):
        candidate = trial.held_at(75)
        assert {node_of(pod) for pod in trial.pods(candidate)} > {node}
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
    return found.seconds_of_trouble


def test_a_node_that_is_cut_off_with_the_whole_candidate_on_it_is_not_its_fault(
    trial: Trial,
) -> None:
    """Stable is whole on the other node, where the operator leads: the candidate alone fails."""
    near = node_of(trial.leader())
    far = next(n.name for n in trial.scene.ground.cluster.nodes if n.name != near)
    with pools(trial, near, far):
        trial.serve(compute={"pool": near})
        routers = [pod for pod in trial.system_pods(ROUTER) if node_of(pod) == far]
        service = trial.scene.read("service", trial.target.name, f"-n={trial.target.namespace}")

        with trial.load(host=service["spec"]["clusterIP"], more=WATCHFUL):
            candidate = trial.held_at(50, compute={"pool": far})
            assert {node_of(pod) for pod in trial.pods(candidate)} == {far}
            cut_at = time.time()
            with breakage.cut_off(trial.scene, far):
                held = trial.scene.until(
                    trial.target, lambda s: s.weight.asked == 0, what="it gets nothing"
                )
                trial.note(seconds_to_zero=round(time.time() - cut_at, 1))
                trial.note(said=held.waiting.message if held.waiting else "")
                trial.pass_time(30.0)
                assert trial.goes_on(candidate), trial.status()
            trial.await_whole()
            trial.at_weight(50)
            trial.pass_time(3.0)
            assert trial.goes_on(candidate), trial.status()

        found = trial.toll(fault_at=cut_at, dead=names_of(routers))
        trial.scene.delete(trial.target)
    harm = (found.lost_at_living, found.client_errors, found.wrong_answers)
    assert harm == (0, 0, 0), found
    assert found.seconds_of_trouble <= TROUBLE_S, found
    assert trial.figures["seconds_to_zero"] <= TROUBLE_S


@contextmanager
def pools(trial: Trial, *nodes: str) -> Iterator[None]:
    """A pool for each node alone, of its name, for the length of a block."""
    trial.scene.apply(
        *(
            {
                "apiVersion": names.API_VERSION,
                "kind": "ComputePool",
                "metadata": {"name": node},
                "spec": {"nodeSelector": {"kubernetes.io/hostname": node}},
            }
            for node in nodes
        )
    )
    try:
        yield
    finally:
        trial.scene.kubectl("delete", "computepool", *nodes)


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
