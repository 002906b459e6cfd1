"""The proof: each story undisturbed, then once for each fault at each of its writes, compared."""

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.adapters.kubeconfig import ClusterAccess
from tests.contract.conftest import install_crds
from tests.writes import cluster, comparison, stories
from tests.writes.comparison import Outcome
from tests.writes.gateway import Upstream
from tests.writes.run import Ground, Point, Run, StuckError
from tests.writes.writes import Fault, Write

RUN_S_MAX: Final = 1200.0  # whatever starves it; what is stuck says so long before
TRIES: Final = 3  # until the write comes that is to go wrong: two things at once have no order
BESIDE: Final = 10  # runs at a time: they mostly wait, but on two processors not for ever

Report = Callable[["Result"], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A story with a fault at one of its writes.

    `is_process`: the operator is a process, and a crash is SIGKILL. `point` None: undisturbed.
    """

    strategy: str
    operation: str
    point: Point | None = None
    is_process: bool = False

    @property
    def story(self) -> str:
        return f"{self.strategy}/{self.operation}"

    @property
    def is_crash(self) -> bool:
        return self.point is not None and self.point.fault is not Fault.REPLY_LOST

    @property
    def name(self) -> str:
        """Name it in one line, such as `--only` takes the beginning of."""
        if self.point is None:
            return f"{self.story} undisturbed"
        kill = " (SIGKILL)" if self.is_process else ""
        return f"{self.key}{kill}: {self.point.write.name}"

    @property
    def key(self) -> str:
        """Name it as every recording does, whatever else it finds."""
        assert self.point is not None
        return f"{self.story}:{self.point.write.digest} {self.point.fault}"


@dataclass(frozen=True, slots=True)
class Result:
    """A case, what it came to, and in what that is not what it should be."""

    case: Case
    outcome: Outcome
    differences: tuple[str, ...]


@contextlib.asynccontextmanager
async def ground(access: ClusterAccess, folder: Path) -> AsyncIterator[Ground]:
    """Prepare an API server for runs; logs of processes go to the folder."""
    await install_crds(access)
    async with KubeClient(access) as client:
        await cluster.prepare(client)
        upstream = Upstream(access)
        try:
            yield Ground(client, upstream, folder)
        finally:
            await upstream.close()


class Proof:
    """Plays cases beside each other on one API server."""

    def __init__(self, on: Ground, *, beside: int = BESIDE) -> None:
        """`beside` is how many runs go on at a time."""
        self._ground, self._beside = on, beside
        self._numbers = itertools.count(1)
        self.recorded: dict[str, Outcome] = {}  # by story

    async def record(self, asked: Sequence[str]) -> list[Case]:
        """Play stories undisturbed; gives all cases of them. Raises `StuckError`."""
        pairs = (story.split("/") for story in asked)
        alone = [Case(strategy, operation) for strategy, operation in pairs]
        for case, outcome in await self._play_all(alone, lambda _: None):
            if wrong := outcome.trouble or "; ".join(outcome.violations):
                raise StuckError(f"{case.name}: {wrong}")
            self.recorded[case.story] = outcome
        return [case for story in asked for case in cases_of(story, self.recorded[story].trace)]

    async def play(
        self, cases: Iterable[Case], report: Report, *, begin_s_max: float = math.inf
    ) -> list[Result]:
        """Play cases, but begin none after so many seconds; each is reported when it is over."""
        results: list[Result] = []

        def take(done: tuple[Case, Outcome]) -> None:
            case, outcome = done
            found = comparison.differences(
                self.recorded[case.story], outcome, may_step_back=case.is_crash
            )
            results.append(Result(case, outcome, tuple(found)))
            report(results[-1])

        ends_s = time.monotonic() + begin_s_max
        await self._play_all(itertools.takewhile(lambda _: time.monotonic() < ends_s, cases), take)
        return results

    async def _play_all(
        self, cases: Iterable[Case], take: Callable[[tuple[Case, Outcome]], None]
    ) -> list[tuple[Case, Outcome]]:
        free = asyncio.Queue[int]()
        for slot in range(1, 1 + self._beside):
            free.put_nowait(slot)
        done: list[tuple[Case, Outcome]] = []

        async def one(case: Case, slot: int) -> None:
            try:
                for _ in range(TRIES):
                    outcome = await self._once(case, slot)
                    if case.point is None or outcome.is_hit or outcome.trouble:
                        break
            finally:
                free.put_nowait(slot)
            done.append((case, outcome))
            take(done[-1])

        async with asyncio.TaskGroup() as group:
            slot = await free.get()
            for case in cases:
                group.create_task(one(case, slot))
                slot = await free.get()
        return done

    async def _once(self, case: Case, slot: int) -> Outcome:
        """Run one case from the beginning to the end."""
        run = Run(
            self._ground,
            f"writes-{next(self._numbers)}",
            slot=slot,
            point=case.point,
            is_process=case.is_process,
        )
        strategy = stories.STRATEGIES[case.strategy]
        operation = stories.OPERATIONS[case.operation]
        began_s = time.monotonic()
        await run.open()
        try:
            async with asyncio.timeout(RUN_S_MAX):
                if not operation.before:
                    run.arm()
                await run.start()
                for scene in operation.before:
                    await scene(run, strategy)
                run.arm()
                await operation.scene(run, strategy)
                await run.finish()
        except (StuckError, ApiError, TimeoutError) as error:
            run.outcome.trouble = str(error) or f"not over after {RUN_S_MAX:.0f} s"
        finally:
            await run.close()
        run.outcome.seconds = time.monotonic() - began_s
        return run.outcome


def cases_of(story: str, trace: Sequence[Write]) -> list[Case]:
    """Generate every fault at every distinct (state, write) of a recorded story."""
    strategy, operation = story.split("/")
    return [
        Case(strategy, operation, Point(write, fault))
        for write in dict.fromkeys(trace)
        for fault in Fault
    ]


def with_kills(cases: Sequence[Case], count: int, *, seed: int) -> list[Case]:
    """Let some of the crashes be those of a process."""
    crashes = [case for case in cases if case.is_crash]
    chosen = set(random.Random(seed).sample(crashes, min(count, len(crashes))))
    return [replace(case, is_process=case in chosen) for case in cases]


def sample(cases: Sequence[Case], count: int, *, seed: int) -> list[Case]:
    """Choose some cases, as many of each story as may be, and those that come first alike."""
    chance = random.Random(seed)
    by_story: dict[str, list[Case]] = {}
    for case in cases:
        by_story.setdefault(case.story, []).append(case)
    for found in by_story.values():
        chance.shuffle(found)
    turns = itertools.zip_longest(*by_story.values())
    return [case for turn in turns for case in turn if case is not None][:count]


def stories_of(strategies: Iterable[str]) -> list[str]:
    """List the stories of strategies."""
    return [
        f"{strategy}/{operation}" for strategy in strategies for operation in stories.OPERATIONS
    ]
