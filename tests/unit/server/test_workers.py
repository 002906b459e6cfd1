"""Threads run inferences; the queue is bounded and forgets who has gone."""

import asyncio
import threading

import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.workers import Workers

DEADLINE_S = 5.0


@pytest.fixture
async def workers():
    made = Workers(asyncio.get_running_loop(), thread_count=1, queue_max=2)
    yield made
    made.close()


async def until(claim) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not claim():
            await asyncio.sleep(0.001)


class Gate:
    """Work that blocks its thread until it is opened."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def work(self) -> str:
        assert self.event.wait(DEADLINE_S)
        return "through"


async def test_results_and_errors_come_back(workers):
    assert await workers.run(lambda: 1 + 2) == 3
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 / 0)


async def test_a_full_queue_sheds_at_once_and_serves_again_later(workers):
    gate = Gate()
    held = [asyncio.create_task(workers.run(gate.work)) for _ in range(3)]
    await until(lambda: (workers.running_count, workers.waiting_count) == (1, 2))

    with pytest.raises(ServingError) as caught:
        await workers.run(lambda: None)
    gate.event.set()

    assert ErrorKind.OVERLOADED is caught.value.kind
    assert await asyncio.gather(*held) == ["through"] * 3
    assert await workers.run(lambda: "again") == "again"


async def test_a_request_cancelled_while_it_waits_never_runs(workers):
    gate = Gate()
    ran: list[str] = []
    running = asyncio.create_task(workers.run(gate.work))
    await until(lambda: workers.running_count == 1)
    waiting = asyncio.create_task(workers.run(lambda: ran.append("cancelled")))
    await until(lambda: workers.waiting_count == 1)

    waiting.cancel()
    await until(lambda: workers.waiting_count == 0)
    gate.event.set()

    assert await running == "through"
    await workers.run(lambda: ran.append("later"))
    assert ran == ["later"]


async def test_callers_that_gave_up_do_not_fill_the_queue_of_a_hanging_model(workers):
    gate = Gate()
    hanging = asyncio.create_task(workers.run(gate.work))
    await until(lambda: workers.running_count == 1)
    for _ in range(10):
        gone = asyncio.create_task(workers.run(lambda: None))
        await until(lambda: workers.waiting_count == 1)
        gone.cancel()
        await until(lambda: workers.waiting_count == 0)
    patient = asyncio.create_task(workers.run(lambda: "served"))

    gate.event.set()

    assert await patient == "served"
    assert await hanging == "through"


async def test_a_result_for_a_caller_that_has_gone_is_dropped(workers):
    gate = Gate()
    gone = asyncio.create_task(workers.run(gate.work))
    await until(lambda: workers.running_count == 1)

    gone.cancel()
    gate.event.set()
    await until(lambda: workers.running_count == 0)

    assert await workers.run(lambda: "next") == "next"
