"""Room: only what could never fit is refused, and the refusal has the numbers."""

from typing import Any

import pytest

from slipway_api.compute_pool import ComputePool, Resources, Toleration
from slipway_operator.engine.room import Needs, Node, Taint, amount, lack
from tests import builders
from tests.unit.engine.worlds import World

GPU = "nvidia.com/gpu"
DEDICATED = Taint(GPU, "", "NoSchedule")
POOL = ComputePool.model_validate(
    {
        "spec": {
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": GPU, "operator": "Exists"}],
            "resources": {"limits": {GPU: 1}},
        }
    }
)
OLD, NEW = builders.revision("1"), builders.revision("2")


def _node(name: str = "a", *, taints: tuple[Taint, ...] = (), **allocatable: str) -> Node:
    offers = {"cpu": "4", "memory": "8Gi", **allocatable}
    return Node(name, {"pool": "gpu", "zone": name}, taints, offers)


def _needs(**fields: Any) -> Needs:
    values: dict[str, Any] = {
        "selector": {"pool": "gpu"},
        "tolerations": (),
        "resources": Resources(requests={"cpu": "500m"}),
    }
    return Needs(**(values | fields))


def test_a_node_that_has_everything_is_room() -> None:
    assert lack(_needs(), [_node()]) is None


@pytest.mark.parametrize(
    ("needs", "nodes", "said"),
    [
        (_needs(), [], "the cluster has no nodes"),
        (_needs(selector={"pool": "tpu"}), [_node()], "none of 1 nodes has the labels pool=tpu"),
        (
            _needs(),
            [_node(taints=(Taint("a", "", "NoSchedule"), Taint("b", "c", "NoExecute")))],
            "all of its 1 nodes have taints that it does not tolerate: a:NoSchedule, b=c:NoExecute",
        ),
        (
            _needs(resources=Resources(limits={GPU: 2})),
            [_node(), _node("b", **{GPU: "1"})],
            "a pod asks for nvidia.com/gpu 2, the most that one of its 2 nodes has is 1 (b)",
        ),
        (
            _needs(resources=Resources(requests={"memory": "9000Mi"})),
            [_node()],
            "a pod asks for memory 9000Mi, the most that one of its 1 nodes has is 8Gi (a)",
        ),
        (
            _needs(resources=Resources(requests={"cpu": 6, "memory": "6Gi"})),
            [_node(cpu="8", memory="4Gi"), _node("b")],
            "a pod asks for cpu 6, memory 6Gi, and none of its 2 nodes has all of that",
        ),
    ],
)
def test_what_could_never_fit_is_said_with_numbers(
    needs: Needs, nodes: list[Node], said: str
) -> None:
    assert said == lack(needs, nodes)


@pytest.mark.parametrize(
    "taint",
    [
        Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),
        Taint("node.kubernetes.io/not-ready", "", "NoExecute"),
        Taint("node.cloudprovider.kubernetes.io/uninitialized", "true", "NoSchedule"),
        Taint("slow", "", "PreferNoSchedule"),
    ],
)
def test_what_passes_or_only_advises_is_no_barrier(taint: Taint) -> None:
    assert lack(_needs(), [_node(taints=(taint,))]) is None


@pytest.mark.parametrize(
    ("toleration", "is_room"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="team", operator="Exists"), True),
        (Toleration(key="team", value="risk"), True),
        (Toleration(key="team", value="growth"), False),
        (Toleration(key="team", value="risk", effect="NoExecute"), False),
        (Toleration(key=GPU, operator="Exists"), False),
    ],
)
def test_tolerations_match_as_the_scheduler_does(toleration: Toleration, is_room: bool) -> None:
    node = _node(taints=(Taint("team", "risk", "NoSchedule"),))

    assert is_room == (lack(_needs(tolerations=(toleration,)), [node]) is None)


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("999m", 1),
        ("1000k", "1Mi"),
        ("1023Ki", "1Mi"),
        ("1.5Gi", "2G"),
        ("1e3", "1001"),
        ("9n", "1u"),
    ],
)
def test_quantities_are_compared_exactly(smaller: str | int, larger: str | int) -> None:
    assert amount(smaller) < amount(larger)


def _asked(*nodes: Node, pool: ComputePool = POOL) -> World:
    world = World.serving()
    world.pool, world.nodes = pool, nodes
    world.ask("2")
    world.settle()
    return world


def test_nothing_is_made_where_no_node_could_take_it_and_stable_serves_on() -> None:
    world = _asked(_node())

    (stalled,) = [c for c in world.status.conditions if c.type == "Stalled"]
    assert ("NoRoom", "Stalled") == (stalled.reason, world.status.phase)
    assert "a pod asks for nvidia.com/gpu 1, the most" in stalled.message
    assert {OLD} == set(world.revisions) == set(world.records)
    assert OLD == world.status.stable


def test_the_rollout_begins_by_itself_once_a_node_has_come() -> None:
    world = _asked(_node())
    world.nodes = (_node(), _node("b", taints=(DEDICATED,), **{GPU: "1"}))
    world.settle(seconds_max=10)

    assert NEW == world.status.candidate


def test_a_pool_that_grows_on_demand_is_not_asked() -> None:
    elastic = ComputePool(spec=POOL.spec.model_copy(update={"elastic": True}))

    assert NEW == _asked(pool=elastic).status.candidate


def test_a_first_revision_without_room_fails_before_anything_is_made() -> None:
    world = World()
    world.pool, world.nodes = POOL, (_node(),)
    world.settle()

    assert "Failed" == world.status.phase
    assert not world.revisions
    assert not world.records
