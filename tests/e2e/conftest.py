"""One cluster with Slipway on it, shared by the whole tier; tests use namespaces of their own.

With SLIPWAY_E2E_KEEP set, the cluster stays for the next run; SLIPWAY_E2E_CLUSTER names it, for two
checkouts at once.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from bench import bucket, files, models, monitoring
from bench.bucket import Bucket
from bench.ground import Ground, raised
from bench.monitoring import Program
from bench.scene import SYSTEM_NAMESPACE, Scene, install, merged
from sandbox import places
from sandbox.cluster import Cluster
from sandbox.progress import Progress

CLUSTER: Final = os.environ.get("SLIPWAY_E2E_CLUSTER", "e2e")
KEEP: Final = "SLIPWAY_E2E_KEEP"
NAMESPACES: Final = ("e2e", "e2e-east", "e2e-west")


LAST: Final = "test_rights"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what looks back on the whole session come last."""
    items.sort(key=lambda item: item.path.stem == LAST)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Raise the cluster; one that a killed run left is not trusted."""
    log, keep = Progress(), KEEP in os.environ
    if not keep:
        Cluster.create(CLUSTER, log=log).down()
    with raised(CLUSTER, keep=keep, log=log) as found:
        yield found


@pytest.fixture(scope="session")
def prometheus(ground: Ground, tmp_path_factory: Any) -> Iterator[Program]:
    """The Prometheus that the operator is told of; it runs where a test starts it."""
    program = monitoring.prometheus(
        tmp_path_factory.mktemp("monitoring") / "prometheus",
        address=ground.cluster.layout.addresses.client.address,
        wrap=ground.client_command,
    )
    yield program
    program.stop()


@pytest.fixture(scope="session")
def scene(ground: Ground, prometheus: Program) -> Scene:
    """Install Slipway by its chart, into a namespace that takes restricted pods only."""
    told = {"prometheus": {"url": prometheus.url}}
    made = Scene(replace(ground, values=merged(ground.values, told)))
    made.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found")
    for name in (SYSTEM_NAMESPACE, *NAMESPACES):
        made.make_namespace(name)
    install(made)
    return made


@pytest.fixture(scope="session")
def catalogue() -> models.Catalogue:
    """Train the models, or take those of the last run."""
    return models.make(places.places().cache / "models")


@pytest.fixture(scope="session")
def store(ground: Ground, catalogue: models.Catalogue) -> Iterator[str]:
    """Serve model files to pods; the base of their addresses."""
    with files.serve(catalogue.folder, address=ground.host_address) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def models_bucket(ground: Ground, tmp_path_factory: Any) -> Iterator[Bucket]:
    """An S3 server with a bucket `models`, which pods reach."""
    log = tmp_path_factory.mktemp("bucket") / "log"
    with bucket.served("models", address=ground.host_address, log=log) as made:
        yield made
