"""A sample of the proof of writes; all of it is `./dev proof writes`."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sandbox.apiserver import ApiServer
from slipway_operator.adapters.kubeconfig import ClusterAccess, read_kubeconfig
from tests.writes import proof, stories
from tests.writes.proof import Proof, Result

pytestmark = pytest.mark.contract

STORIES: Final = proof.stories_of(stories.STRATEGIES)
SAMPLE: Final = 2 * len(STORIES)
KILLS: Final = 6
SEED: Final = 1


@pytest.fixture(scope="module")
def results(
    api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Result]]:
    """Play a sample of all stories beside each other."""
    logging.disable(logging.CRITICAL)  # crashes are loud
    access = read_kubeconfig(api_server.kubeconfig)
    yield asyncio.run(play(access, tmp_path_factory.mktemp("operators")))
    logging.disable(logging.NOTSET)


async def play(access: ClusterAccess, folder: Path) -> list[Result]:
    async with proof.ground(access, folder) as ground:
        proving = Proof(ground)
        cases = proof.sample(await proving.record(STORIES), SAMPLE, seed=SEED)
        return await proving.play(proof.with_kills(cases, KILLS, seed=SEED), lambda _: None)


@pytest.mark.parametrize("story", STORIES)
def test_whatever_write_is_interrupted_the_end_is_the_same(
    results: list[Result], story: str
) -> None:
    of_story = [result for result in results if result.case.story == story]

    assert of_story
    assert {r.case.name: r.differences for r in of_story if r.differences} == {}


def test_nearly_every_write_of_the_sample_came(results: list[Result]) -> None:
    """Two things at once have no order, so a write may be sent in another state for once."""
    missed = [result.case.name for result in results if not result.outcome.is_hit]

    assert len(missed) <= len(results) / 10, missed
