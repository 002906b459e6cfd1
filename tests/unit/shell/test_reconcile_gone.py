"""What becomes of the port of a ModelDeployment that is gone."""

from typing import Any

from slipway_operator.shell.ports import PortBook
from slipway_operator.shell.reconcile import LISTENER_LIFE_S, Reconciler, Rooms

CHURN, HEIR = ("ml", "churn"), ("ml", "heir")
PORT = 10_007


class Part:
    """Stands for every part that is not looked at: it finds nothing and takes what it gets."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    async def look(self, owner: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._answers.get(name)


async def _after_its_end(*, is_held: bool) -> tuple[PortBook, list[float]]:
    """Look once after the end; the ports then, and when the next looks are due."""
    ports, wakes = PortBook(), list[float]()
    ports.record(CHURN, PORT)
    parts: dict[str, Any] = {name: Part() for name in Rooms.__slots__}
    rooms = Rooms(**parts | {"table": Part(is_held=is_held), "ports": ports})
    await Reconciler(rooms, wake_in=lambda _, seconds: wakes.append(seconds)).run(CHURN)
    return ports, wakes


async def test_a_port_that_no_router_listens_on_is_free_at_once() -> None:
    ports, wakes = await _after_its_end(is_held=False)

    ports.record(HEIR, PORT)
    assert ports.port(HEIR) == PORT
    assert wakes == []


async def test_a_port_that_routers_have_from_another_process_is_kept_for_as_long_as_ours() -> None:
    ports, (next_s,) = await _after_its_end(is_held=True)

    ports.record(HEIR, PORT)
    assert ports.port(HEIR) != PORT
    assert next_s > LISTENER_LIFE_S
