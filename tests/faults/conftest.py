"""The cluster of the end-to-end tests, and for every test a deployment with a ledger of its own.

What a test leaves (its ledger, the deployment's status, pods, events, the operator's log) lies in
`faults/` of the cache; its figures are appended to `--figures FILE`, or to `figures.jsonl` there.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import models
from bench.scene import Scene, Target
from bench.trial import RATE, Models, Trial
from sandbox import places
from tests.e2e.conftest import catalogue, ground, prometheus, scene, store

# Fixtures, found by their names.
__all__ = ["catalogue", "ground", "prometheus", "scene", "store"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="append each test's figures to this file")
    parser.addoption("--rate", type=float, default=RATE, help="requests per second")


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where everything lies that tests leave."""
    made = places.places().cache / "faults"
    made.mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture
def trial(
    scene: Scene,
    catalogue: models.Catalogue,
    store: str,
    folder: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Trial]:
    """A deployment in a fresh namespace of a cluster that is whole."""
    name = request.node.name
    figures: Path = request.config.getoption("--figures") or folder / "figures.jsonl"
    namespace = scene.make_namespace(f"faults-{secrets.token_hex(3)}")
    mine = folder / name
    mine.mkdir(exist_ok=True)
    for old in mine.iterdir():
        old.unlink()
    made = Trial(scene, Models(catalogue, store), target=Target(namespace, "tumour"), folder=mine)
    made.rate = request.config.getoption("--rate")
    made.await_whole()
    try:
        yield made
    finally:
        made.dump()
        if made.figures:
            made.write_figures(figures, test=name)
        scene.delete(made.target)
        scene.kubectl("delete", "namespace", namespace, "--wait=false")
