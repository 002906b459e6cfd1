"""The queue's workers, in an event loop whose clock jumps instead of waiting."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from slipway_operator.shell.work_queue import WorkQueue


class JumpingSelector(selectors.DefaultSelector):
    """Where a loop would wait for time to pass, time passes at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop would wait for ever"
        self.now_s += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(story())


class Recorder:
    """A handler that takes `duration_s` for each run and notes (key, begin)."""

    def __init__(self, duration_s: float = 1.0, failures: int = 0) -> None:
        self.runs: list[tuple[str, float]] = []
        self.active: list[str] = []
        self.overlaps: list[str] = []
        self.parallel_max = 0
        self._duration_s = duration_s
        self._failures = failures

    async def __call__(self, key: str) -> None:
        if key in self.active:
            self.overlaps.append(key)
        self.active.append(key)
        self.parallel_max = max(self.parallel_max, len(self.active))
        self.runs.append((key, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(self._duration_s)
        finally:
            self.active.remove(key)
        if self._failures:
            self._failures -= 1
            raise ValueError(key)


def queue_of(recorder: Recorder, *, workers: int = 2, urgent: int = 1) -> WorkQueue[str]:
    return WorkQueue(
        recorder,
        backoff_s=lambda count: 10.0 * count,
        worker_count=workers,
        urgent_worker_count=urgent,
    )


async def work(queue: WorkQueue[str], for_s: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.run(), for_s)


def test_never_more_runs_than_workers_and_never_two_of_a_key() -> None:
    async def story() -> None:
        recorder = Recorder()
        queue = queue_of(recorder)
        for key in "abcabc":
            queue.add(key)

        await work(queue, 10)

        assert recorder.runs == [("a", 0), ("b", 0), ("c", 1)]
        assert recorder.parallel_max == 2
        assert not recorder.overlaps

    play(story)


def test_an_abort_finds_a_worker_while_all_others_wait() -> None:
    async def story() -> None:
        recorder = Recorder(duration_s=60)
        queue = queue_of(recorder)
        for key in "abcd":
            queue.add(key)
        asyncio.get_running_loop().call_later(5, lambda: queue.add("d", urgent=True))

        await work(queue, 30)

        assert recorder.runs == [("a", 0), ("b", 0), ("d", 5)]

    play(story)


def test_a_key_wakes_up_at_its_time() -> None:
    async def story() -> None:
        recorder = Recorder()
        queue = queue_of(recorder)
        queue.add_at("a", 7.5)
        queue.add_at("b", 3.0)

        await work(queue, 20)

        assert recorder.runs == [("b", 3.0), ("a", 7.5)]

    play(story)


def test_a_failing_key_is_tried_again_with_growing_pauses() -> None:
    async def story() -> None:
        recorder = Recorder(duration_s=1, failures=2)
        queue = queue_of(recorder)
        queue.add("a")

        await work(queue, 100)

        assert recorder.runs == [("a", 0), ("a", 11), ("a", 32)]
        assert queue.running_count == queue.waiting_count == 0

    play(story)


def test_a_key_added_during_its_run_runs_once_more() -> None:
    async def story() -> None:
        recorder = Recorder(duration_s=4)
        queue = queue_of(recorder)
        queue.add("a")
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: queue.add("a"))
        loop.call_later(2, lambda: queue.add("a"))

        await work(queue, 20)

        assert recorder.runs == [("a", 0), ("a", 4)]

    play(story)


def test_ending_the_queue_ends_its_runs() -> None:
    async def story() -> None:
        recorder = Recorder(duration_s=1000)
        queue = queue_of(recorder)
        queue.add("a")

        await work(queue, 5)

        assert recorder.active == []

    play(story)


def test_keys_added_before_the_start_wait_for_it() -> None:
    async def story() -> None:
        recorder = Recorder()
        queue = queue_of(recorder)
        queue.add("a")
        await asyncio.sleep(5)
        assert recorder.runs == []

        await work(queue, 5)

        assert recorder.runs == [("a", 5)]

    play(story)


def test_the_age_of_the_queue_is_that_of_the_oldest_news() -> None:
    async def story() -> None:
        queue = queue_of(Recorder(duration_s=10), workers=1)
        for key in "ab":
            queue.add(key)
        ages: list[tuple[float, float]] = []
        for at_s in (4, 12, 25):
            asyncio.get_running_loop().call_later(
                at_s, lambda: ages.append((queue.oldest_s, queue.stuck_s))
            )

        await work(queue, 30)

        assert ages == [(4, 4), (0, 0), (0, 0)]

    play(story)


def test_a_run_that_ends_shows_that_the_queue_gets_on() -> None:
    async def story() -> None:
        queue = queue_of(Recorder(duration_s=10), workers=1)
        for key in "abcd":
            queue.add(key)
        ages: list[tuple[float, float]] = []
        asyncio.get_running_loop().call_later(
            25, lambda: ages.append((queue.oldest_s, queue.stuck_s))
        )

        await work(queue, 30)

        assert ages == [(25, 5)]

    play(story)
