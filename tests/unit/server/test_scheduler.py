"""The queue: nothing waits for a timer, rows are counted, and who has gone is forgotten."""

import asyncio
import time

import numpy as np
import pytest

from slipway_server.core.batching import Entry
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.scheduler import Limits, Scheduler
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.core.workers import Job

Y = TensorSpec("y", Datatype.FP32, (-1, 1))
MS = 1_000_000


class Echo:
    platform, name = "test", "test"
    signature = Signature((TensorSpec("x", Datatype.FP32, (-1, 1)),), (Y,))

    def __init__(self) -> None:
        self.runs: list[int] = []

    mixes = False

    def infer(self, feed, outputs):
        self.runs.append(feed["x"].shape[0])
        return [feed["x"] - feed["x"].mean(axis=0) if self.mixes else feed["x"]]


class HandWorkers:
    """Workers whose jobs run when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Job, Job]] = []
        self.has_idle = True
        self.cannot_run = False

    def run(self, job: Job, *, done: Job) -> None:
        self.jobs.append((job, done))
        self.has_idle = False

    def line_up(self, call) -> None:
        """Nobody else is here."""

    def pass_on(self) -> None:
        """Likewise."""

    def finish(self) -> None:
        job, done = self.jobs.pop(0)
        if not self.cannot_run:
            job()
        self.has_idle = True
        done()


class Stage:
    """A scheduler, and a clock that stands still until it is moved."""

    def __init__(self, limits: Limits, *, proof_count: int = 0) -> None:
        self.workers, self.echo = HandWorkers(), Echo()
        self.batches: list[int] = []
        self.moved_ns = 0
        self.scheduler = Scheduler(
            self.workers,
            self.echo,
            limits,
            observe=lambda batch: self.batches.append(len(batch)),
            now_ns=lambda: time.perf_counter_ns() + self.moved_ns,
            proof_count=proof_count,
        )

    async def ask(self, *row_counts: int, timeout_ms: int | None = None) -> list[asyncio.Task]:
        """Send requests that arrive at once."""
        tasks = [asyncio.create_task(self._ask(n, timeout_ms)) for n in row_counts]
        await settled()
        return tasks

    async def _ask(self, row_count: int, timeout_ms: int | None) -> int:
        deadline_ns = None if timeout_ms is None else time.perf_counter_ns() + timeout_ms * MS
        feed = {"x": np.ones((row_count, 1), np.float32)}
        entry = Entry(feed, (Y,), is_batchable=True, deadline_ns=deadline_ns)
        ran = asyncio.Event()
        self.scheduler.submit(entry, ran.set)
        try:
            await ran.wait()
        except asyncio.CancelledError:
            self.scheduler.drop(entry)
            raise
        if entry.error is not None:
            raise entry.error
        return int(entry.arrays[0].shape[0])

    async def finish(self) -> None:
        self.workers.finish()
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def stage():
    return Stage(Limits(row_count_max=4, waiting_rows_max=6))


async def test_what_arrives_at_once_runs_together_and_without_waiting(stage):
    tasks = await stage.ask(1, 2, 1)

    await stage.finish()

    assert [task.result() for task in tasks] == [1, 2, 1]
    assert stage.batches == [3]


async def test_what_arrives_meanwhile_goes_next(stage):
    first = await stage.ask(1)
    then = await stage.ask(1, 1)

    await stage.finish()
    assert [task.done() for task in (*first, *then)] == [True, False, False]
    await stage.finish()

    assert [task.result() for task in then] == [1, 1]
    assert stage.batches == [1, 2]


async def test_more_rows_than_may_wait_are_shed_at_once(stage):
    await stage.ask(1)  # runs
    await stage.ask(4)
    (full,) = await stage.ask(3)
    (fits,) = await stage.ask(2)

    assert full.exception().kind is ErrorKind.OVERLOADED
    assert not fits.done()
    assert (stage.scheduler.waiting_count, stage.scheduler.waiting_rows) == (2, 6)


async def test_one_request_may_always_wait_however_large(stage):
    await stage.ask(1)
    (large,) = await stage.ask(100)

    await stage.finish()
    await stage.finish()

    assert large.result() == 100


async def test_who_leaves_while_waiting_never_runs(stage):
    await stage.ask(1)
    gone, stays = await stage.ask(1, 1)

    gone.cancel()
    await settled()
    assert stage.scheduler.waiting_rows == 1
    await stage.finish()
    await stage.finish()

    assert (gone.cancelled(), stays.result()) == (True, 1)
    assert stage.batches == [1, 1]


async def test_who_leaves_while_running_costs_the_others_nothing(stage):
    gone, stays = await stage.ask(1, 1)

    gone.cancel()
    await stage.finish()

    assert (gone.cancelled(), stays.result()) == (True, 1)


async def test_a_deadline_that_the_queue_cannot_meet_is_shed_when_it_comes(stage):
    await stage.ask(1)  # runs
    await stage.ask(1)
    stage.scheduler._batch_ns = 50 * MS  # what batches took lately
    (hopeless,) = await stage.ask(1, timeout_ms=10)
    (patient,) = await stage.ask(1, timeout_ms=10_000)

    assert hopeless.exception().kind is ErrorKind.OVERLOADED
    assert not patient.done()


async def test_one_slow_batch_does_not_shed_for_ever(stage):
    """With nothing before it a request runs, and what it takes is learned from that."""
    stage.scheduler._batch_ns = 60_000 * MS  # the machine stood still once
    (first,) = await stage.ask(1, timeout_ms=1_000)

    await stage.finish()

    assert first.result() == 1


async def test_what_has_waited_past_its_deadline_is_not_computed(stage):
    await stage.ask(1)
    late, patient = (await stage.ask(1, timeout_ms=500)) + (await stage.ask(1))

    stage.moved_ns = 1000 * MS
    await stage.finish()
    await stage.finish()

    assert isinstance(late.exception(), ServingError)
    assert patient.result() == 1
    assert stage.batches == [1, 1]


async def test_without_batching_each_request_runs_alone_and_short_ones_go_together():
    stage = Stage(Limits(row_count_max=1))
    await stage.ask(1)
    waiting = await stage.ask(1, 1, 1)

    stage.scheduler._batch_ns = 0.25 * MS  # what runs took lately; the next changes it by a fifth
    await stage.finish()
    await stage.finish()

    assert stage.echo.runs == [1, 1, 1]
    assert [task.done() for task in waiting] == [True, True, False]


async def test_a_delay_holds_a_batch_until_it_is_full():
    stage = Stage(Limits(row_count_max=2, delay_s=30.0))
    (first,) = await stage.ask(1)
    assert not stage.workers.jobs

    (second,) = await stage.ask(1)
    await stage.finish()

    assert (first.result(), second.result(), stage.batches) == (1, 1, [2])


async def test_a_delay_ends_for_a_batch_that_stays_small():
    stage = Stage(Limits(row_count_max=2, delay_s=0.01))
    (lone,) = await stage.ask(1)
    async with asyncio.timeout(5):
        while not stage.workers.jobs:
            await asyncio.sleep(0.005)

    await stage.finish()

    assert (lone.result(), stage.batches) == (1, [1])


@pytest.mark.parametrize(("mixes", "expected"), [(False, [1, 1, 3]), (True, [1, 1, 1, 1])])
async def test_requests_run_alone_until_some_have_shown_that_rows_do_not_mix(mixes, expected):
    stage = Stage(Limits(), proof_count=2)
    stage.echo.mixes = mixes
    tasks = await stage.ask(1, 1, 1, 1, 1)

    for _ in expected:
        stage.scheduler._batch_ns = 1000 * MS  # runs too long to go together
        await stage.finish()

    assert stage.batches == expected
    assert [task.done() for task in tasks] == [True] * sum(expected) + [False] * (5 - sum(expected))


async def test_a_batch_that_did_not_come_to_its_end_fails_and_the_next_goes_on(stage):
    stage.workers.cannot_run = True
    asked = await stage.ask(1)
    await stage.finish()
    stage.workers.cannot_run = False
    after = await stage.ask(2)
    await stage.finish()

    with pytest.raises(ServingError, match="did not come to its end") as caught:
        await asked[0]
    assert caught.value.kind is ErrorKind.INTERNAL
    assert await after[0] == 2
    assert stage.scheduler.running_count == 0
