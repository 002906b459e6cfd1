"""A verdict of the guard that comes while a look is under way."""

from typing import Any

from slipway_api.conditions import VerdictState
from slipway_operator.engine.facts import Routing
from slipway_operator.engine.traffic import Traffic
from slipway_operator.engine.verdicts import GuardView
from slipway_operator.shell.observe import Snapshot
from slipway_operator.shell.reconcile import Reconciler, Rooms
from tests import builders
from tests.unit.engine.worlds import World

OWNER = (builders.NAMESPACE, builders.NAME)


class Part:
    """Stands for every part that is not looked at: it finds nothing and takes what it gets."""

    async def act(self, *_: object) -> None:
        return None

    async def write(self, *_: object, **__: object) -> None:
        return None

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class Parts(Part):
    """The world as the observer, the guards and the routing table show it; notes what is pushed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.pushed: list[int] = []
        self.is_convicted_meanwhile = False
        self.reconciler = Reconciler(
            Rooms(**dict.fromkeys(Rooms.__slots__, self)), wake_in=lambda *_: None
        )

    async def look(self, owner: tuple[str, str]) -> Snapshot:
        snapshot = Snapshot(self._world.observation(), {}, "1")
        if self.is_convicted_meanwhile:
            failed = builders.verdict("failures", VerdictState.FAIL)
            self._world.verdicts = (failed,)
            self.reconciler.lower(owner)  # as the guards have it done, whatever is under way
        return snapshot

    def refresh(self, _: Snapshot) -> tuple[Routing, GuardView | None]:
        return self._world.routing(), self._world.guard()

    def view(self, _: object) -> GuardView | None:
        return self._world.guard()

    def applied(self, _: object) -> Traffic | None:
        return self._world.applied

    def apply(self, traffic: Traffic) -> None:
        self._world.applied = traffic
        self.pushed.append(traffic.weight_percent)


async def test_a_look_that_a_conviction_outran_gives_the_candidate_nothing_again() -> None:
    world = World.rolling()
    world.verdicts = ()  # nothing is proven yet: the step holds
    parts = Parts(world)
    await parts.reconciler.run(OWNER)
    assert parts.pushed[-1] == 5

    parts.is_convicted_meanwhile = True
    await parts.reconciler.run(OWNER)

    assert parts.pushed[-1] == 0
