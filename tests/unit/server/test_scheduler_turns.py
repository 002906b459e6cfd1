"""Models share the threads: each gets its turn, and one that is dropped leaves nothing behind."""

import asyncio
import gc
import threading
import time
import weakref

import numpy as np
import pytest

from slipway_server.core.batching import Entry
from slipway_server.core.scheduler import Limits, Scheduler
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.core.workers import Workers

DEADLINE_S = 5.0
Y = TensorSpec("y", Datatype.FP32, (-1, 1))


class Backend:
    """Answers once its gate is open, and writes its name to the ledger."""

    platform, name = "test", "test"
    signature = Signature((TensorSpec("x", Datatype.FP32, (-1, 1)),), (Y,))

    def __init__(self, label: str, ledger: list[str]) -> None:
        self.label, self.ledger = label, ledger
        self.gate = threading.Event()

    def infer(self, feed, outputs):
        assert self.gate.wait(DEADLINE_S)
        self.ledger.append(self.label)
        return [feed["x"]]


@pytest.fixture
async def workers():
    made = Workers(asyncio.get_running_loop(), thread_count=1)
    yield made
    made.close()


def scheduler(workers: Workers, backend: Backend) -> Scheduler:
    return Scheduler(
        workers,
        backend,
        Limits(row_count_max=2),
        observe=lambda _: None,
        now_ns=time.perf_counter_ns,
        proof_count=0,
    )


def ask(queue: Scheduler) -> asyncio.Task[None]:
    return asyncio.create_task(_ask(queue))


async def _ask(queue: Scheduler) -> None:
    feed = {"x": np.ones((1, 1), np.float32)}
    entry = Entry(feed, (Y,), is_batchable=True, deadline_ns=None)
    ran = asyncio.Event()
    queue.submit(entry, ran.set)
    try:
        await ran.wait()
    except asyncio.CancelledError:
        queue.drop(entry)
        raise


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_model_is_not_kept_from_the_thread_by_one_that_always_has_work(workers):
    ledger: list[str] = []
    busy, quiet = Backend("busy", ledger), Backend("quiet", ledger)
    queues = scheduler(workers, busy), scheduler(workers, quiet)
    tasks = []
    for queue in (queues[0], queues[0], queues[1], *[queues[0]] * 9):
        tasks.append(ask(queue))
        await settled()

    for backend in (busy, quiet):
        backend.gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE_S)

    assert ledger == ["busy", "busy", "quiet", "busy", "busy", "busy", "busy"]


async def test_a_turn_that_nobody_wants_any_more_goes_to_the_next(workers):
    ledger: list[str] = []
    backends = [Backend(name, ledger) for name in "abc"]
    queues = [scheduler(workers, backend) for backend in backends]
    tasks = []
    for queue in queues:
        tasks.append(ask(queue))
        await settled()
    tasks[1].cancel()
    await settled()

    for backend in backends:
        backend.gate.set()
    await asyncio.wait_for(asyncio.wait(tasks), DEADLINE_S)

    assert ledger == ["a", "c"]


async def test_a_queue_is_drained_once_nothing_waits_and_nothing_runs(workers):
    backend = Backend("a", [])
    queue = scheduler(workers, backend)
    tasks = [ask(queue), ask(queue)]
    await settled()
    drained = asyncio.create_task(queue.drained())
    await settled()
    was_drained = drained.done()

    backend.gate.set()
    await asyncio.wait_for(drained, DEADLINE_S)

    assert not was_drained
    assert queue.running_count == 0
    await asyncio.gather(*tasks)


async def test_no_thread_keeps_what_it_ran(workers):
    backend = Backend("a", [])
    backend.gate.set()
    queue = scheduler(workers, backend)
    await asyncio.wait_for(ask(queue), DEADLINE_S)
    ghost = weakref.ref(backend)

    del queue, backend
    deadline_s = time.monotonic() + DEADLINE_S
    while ghost() is not None and time.monotonic() < deadline_s:
        await asyncio.sleep(0.001)
        gc.collect()

    assert ghost() is None
