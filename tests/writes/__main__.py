"""The command line of the proof: `./dev proof writes`. What it means: docs/proofs.md."""

import argparse
import asyncio
import contextlib
import json
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sandbox.apiserver import ApiServer
from sandbox.progress import Progress
from slipway_operator.adapters.kubeconfig import read_kubeconfig
from tests.writes import proof, stories
from tests.writes.proof import Case, Proof, Result
from tests.writes.writes import Fault

KILLS: Final = 30


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="./dev proof writes",
        description="Crash the operator before and after each of its writes, lose the reply of"
        " each, and compare what comes of it with an undisturbed run.",
    )
    parser.add_argument(
        "--only",
        metavar="CASE",
        help="what begins so: canary, canary/promote, 'canary/promote:1f0c crash before'",
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many cases, by the seed")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="as many as begin in M minutes, by the seed"
    )
    parser.add_argument(
        "--times", type=int, default=1, metavar="N", help="every case so often, to find the rare"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--kills", type=int, default=KILLS, help="crashes by SIGKILL of a process, by the seed"
    )
    parser.add_argument(
        "--beside", type=int, default=proof.BESIDE, help="runs at a time, default: %(default)s"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="a line of JSON for each run")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the proof; 1 if a run did not converge."""
    asked = parse(arguments)
    logging.disable(logging.CRITICAL)  # crashes are loud
    with (
        tempfile.TemporaryDirectory(prefix="slipway-writes-") as folder,
        ApiServer.start(Path(folder), log=Progress()) as server,
    ):
        return asyncio.run(_prove(asked, server, Path(folder)))


async def _prove(asked: argparse.Namespace, server: ApiServer, folder: Path) -> int:
    only = asked.only or ""
    wanted = [
        story
        for story in proof.stories_of(stories.STRATEGIES)
        if story.startswith(only) or only.startswith(f"{story}:")
    ]
    began_s = time.monotonic()
    begin_s_max = math.inf if asked.minutes is None else asked.minutes * 60
    with _rows(asked.report) as write:

        def report(result: Result) -> None:
            _tell(result, asked.seed)
            write(result)

        async with proof.ground(read_kubeconfig(server.kubeconfig), folder) as ground:
            proving = Proof(ground, beside=asked.beside)
            every = [c for c in await proving.record(wanted) if c.name.startswith(only)]
            cases = _chosen(every, asked)
            results = await proving.play(cases, report, begin_s_max=begin_s_max)
    _table(results, every)
    print(f"{len(results)} runs, {time.monotonic() - began_s:.0f} s, seed {asked.seed}")
    return 0 if all(not result.differences for result in results) else 1


def _chosen(every: Sequence[Case], asked: argparse.Namespace) -> Sequence[Case]:
    """Choose what is played, and in which order: all of a story, or some of each."""
    cases = every
    if asked.sample is not None or asked.minutes is not None:
        count = len(every) if asked.sample is None else asked.sample
        cases = proof.sample(every, count, seed=asked.seed)
    return proof.with_kills([*cases] * asked.times, asked.kills, seed=asked.seed)


@contextlib.contextmanager
def _rows(path: Path | None) -> Iterator[Callable[[Result], None]]:
    """Open the report, if one is asked for; what was written is there if the proof is ended."""
    if path is None:
        yield lambda _: None
        return
    with path.open("w", encoding="utf-8", buffering=1) as file:
        yield lambda result: print(json.dumps(_row(result)), file=file)


def _tell(result: Result, seed: int) -> None:
    """Say what did not converge, and how to see it again."""
    case = result.case
    if not result.differences:
        return
    print(f"not converged: {case.name}", flush=True)
    for difference in result.differences:
        print(f"    {difference}")
    kill = " --kills 1" if case.is_process else " --kills 0"
    print(f"    again: ./dev proof writes --seed {seed}{kill} --only '{case.key}'", flush=True)


def _table(results: Sequence[Result], every: Sequence[Case]) -> None:
    """Print a line for each story: how many of its cases were played, and what came of them."""
    print(f"{'strategy':13}{'operation':11}writes  cases  runs  reached  converged")
    for story in dict.fromkeys(case.story for case in every):
        cases = [case for case in every if case.story == story]
        of_story = [result for result in results if result.case.story == story]
        strategy, operation = story.split("/")
        writes = len({case.point for case in cases}) // len(Fault)
        hit = sum(result.outcome.is_hit for result in of_story)
        good = sum(not result.differences for result in of_story)
        counts = f"{writes:6}{len(cases):7}{len(of_story):6}{hit:9}{good:11}"
        print(f"{strategy:13}{operation:11}{counts}")


def _row(result: Result) -> dict[str, Any]:
    case = result.case
    assert case.point is not None
    return {
        "strategy": case.strategy,
        "operation": case.operation,
        "key": case.key,
        "write": case.point.write.what,
        "state": case.point.write.state,
        "fault": case.point.fault,
        "killed": case.is_process,
        "reached": result.outcome.is_hit,
        "converged": not result.differences,
        "differences": result.differences,
        "seconds": round(result.outcome.seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
