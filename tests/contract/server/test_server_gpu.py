"""On a GPU: models run where it was asked for, right, and better in batches.

Needs a GPU with its driver and the packages of requirements/server-gpu.txt in place of those of
server.txt; skips and says what is missing otherwise.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from bench.server import models as samples
from slipway_server.backends import onnx, providers
from slipway_server.backends.placement import Provider, Where

pytestmark = pytest.mark.contract
ROWS = 32
RUNS = 20
# Half precision of convolutions (TF32), and sums in another order.
TOLERANCE = 2e-2


def needs(provider: Provider) -> None:
    missing = providers.obstacles(provider).get(provider)
    if missing:
        pytest.skip(f"NOT TRIED on a GPU: no {provider}: {missing}")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> samples.Sample:
    (made,) = samples.make(tmp_path_factory.mktemp("cnn"), ["cnn"])
    return made


@pytest.mark.parametrize("provider", [Provider.CUDA, Provider.TENSORRT])
def test_a_model_runs_on_what_was_asked_for_and_answers_the_same(
    sample: samples.Sample, tmp_path: Path, provider: Provider
) -> None:
    needs(provider)
    where = Where(provider, is_strict=True, cache=tmp_path / "engines")
    on_gpu = onnx.load(sample.path, thread_count=1, where=where)
    on_cpu = onnx.load(sample.path, thread_count=1)
    (row,) = on_cpu.signature.probes(1)
    names = [spec.name for spec in on_cpu.signature.outputs]

    assert on_gpu.placement.used == provider
    for one, other in zip(on_gpu.infer(row, names), on_cpu.infer(row, names), strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    if provider is Provider.TENSORRT:
        assert list((tmp_path / "engines").iterdir()), "engines are kept"


def test_a_batch_takes_less_time_than_its_rows_one_by_one(sample: samples.Sample) -> None:
    needs(Provider.CUDA)
    backend = onnx.load(sample.path, thread_count=1, where=Where(Provider.CUDA, is_strict=True))
    (row,) = backend.signature.probes(1)
    batch = {name: np.repeat(array, ROWS, axis=0) for name, array in row.items()}
    names = [spec.name for spec in backend.signature.outputs]

    def seconds(feed: dict[str, np.ndarray]) -> float:
        backend.infer(feed, names)  # algorithms for a shape are found when it first comes
        began_s = time.perf_counter()
        for _ in range(RUNS):
            backend.infer(feed, names)
        return (time.perf_counter() - began_s) / RUNS

    assert seconds(batch) < ROWS * seconds(dict(row)) / 2
