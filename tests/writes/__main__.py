"""The command line of the proof: `./dev proof writes`. What it means: docs/proofs.md."""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sandbox.apiserver import ApiServer
from sandbox.progress import Progress
from slipway_operator.adapters.kubeconfig import read_kubeconfig
from tests.writes import proof, stories
from tests.writes.proof import Case, Proof, Result

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
        help="what begins so: canary, canary/promote, 'canary/promote:7 crash before'",
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many cases, by the seed")
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
    async with proof.ground(read_kubeconfig(server.kubeconfig), folder) as ground:
        proving = Proof(ground, beside=asked.beside)
        cases = [c for c in await proving.record(wanted) if c.name.startswith(only)]
        if asked.sample is not None:
            cases = proof.sample(cases, asked.sample, seed=asked.seed)
        cases = proof.with_kills(cases, asked.kills, seed=asked.seed)
        results = await proving.play(cases, lambda result: _tell(result, asked.seed))
    _table(results, cases)
    print(f"{len(results)} runs, {time.monotonic() - began_s:.0f} s, seed {asked.seed}")
    if asked.report is not None:
        asked.report.write_text("".join(f"{json.dumps(_row(r))}\n" for r in results))
    return 0 if all(not result.differences for result in results) else 1


def _tell(result: Result, seed: int) -> None:
    """Say what did not converge, and how to see it again."""
    case = result.case
    if not result.differences:
        return
    print(f"not converged: {case.name}", flush=True)
    for difference in result.differences:
        print(f"    {difference}")
    assert case.point is not None
    kill = " --kills 1" if case.is_process else " --kills 0"
    again = f"{case.story}:{case.number} {case.point.fault}"
    print(f"    again: ./dev proof writes --seed {seed}{kill} --only '{again}'", flush=True)


def _table(results: Sequence[Result], cases: Sequence[Case]) -> None:
    print("strategy    operation  writes  runs  reached  converged")
    for story in dict.fromkeys(case.story for case in cases):
        of_story = [result for result in results if result.case.story == story]
        strategy, operation = story.split("/")
        writes = len({result.case.number for result in of_story})
        hit = sum(result.outcome.is_hit for result in of_story)
        good = sum(not result.differences for result in of_story)
        print(f"{strategy:12}{operation:9}{writes:8}{len(of_story):6}{hit:9}{good:11}")


def _row(result: Result) -> dict[str, Any]:
    case = result.case
    assert case.point is not None
    return {
        "strategy": case.strategy,
        "operation": case.operation,
        "number": case.number,
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
