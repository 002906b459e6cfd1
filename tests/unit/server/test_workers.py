"""Threads run inferences; a hanging one stays counted and keeps nobody else."""

import asyncio
import logging
import threading

import pytest

from slipway_server.core.workers import Workers

DEADLINE_S = 5.0


@pytest.fixture
async def workers():
    made = Workers(asyncio.get_running_loop(), thread_count=2)
    yield made
    made.close()


async def test_a_job_runs_in_a_thread_and_its_end_is_told_on_the_loop(workers):
    ended = asyncio.Event()
    threads = []

    workers.run(lambda: threads.append(threading.current_thread().name), done=ended.set)
    count = workers.running_count
    await asyncio.wait_for(ended.wait(), DEADLINE_S)

    assert (count, workers.running_count) == (1, 0)
    assert threads[0].startswith("inference-")


async def test_a_hanging_job_holds_its_thread_only(workers):
    gate, ended = threading.Event(), asyncio.Event()
    workers.run(lambda: gate.wait(DEADLINE_S), done=lambda: None)
    assert workers.has_idle

    workers.run(lambda: None, done=ended.set)
    assert not workers.has_idle
    await asyncio.wait_for(ended.wait(), DEADLINE_S)

    assert (workers.running_count, workers.has_idle) == (1, True)
    gate.set()


class Panic(BaseException):
    """What extensions in other languages raise is no Exception."""


async def test_a_thread_outlives_what_a_job_raises(workers, caplog):
    def panic() -> None:
        raise Panic

    for _ in range(4):  # more than there are threads
        ended = asyncio.Event()
        workers.run(panic, done=ended.set)
        await asyncio.wait_for(ended.wait(), DEADLINE_S)

    assert (workers.running_count, workers.has_idle) == (0, True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
