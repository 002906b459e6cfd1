"""Which provider runs a model: what is there is taken, and why nothing better was is said."""

import onnxruntime
import pytest

from slipway_server.backends import onnx, providers
from slipway_server.backends.placement import Placement, Provider, Where
from slipway_server.backends.providers import choose, options, placement
from slipway_server.core.errors import LoadError

CPU, CUDA, TENSORRT = Provider.CPU, Provider.CUDA, Provider.TENSORRT
NO_DRIVER = "no driver"


@pytest.mark.parametrize(
    ("asked", "absent", "expected", "reason"),
    [
        (Provider.CPU, (), (CPU,), ""),
        (Provider.AUTO, (), (CUDA, CPU), ""),
        (Provider.AUTO, (CUDA,), (CPU,), "no cuda: no driver"),
        (Provider.CUDA, (CUDA,), (CPU,), "no cuda: no driver"),
        (Provider.TENSORRT, (), (TENSORRT, CUDA, CPU), ""),
        (Provider.TENSORRT, (TENSORRT,), (CUDA, CPU), "no tensorrt: no driver"),
        (Provider.TENSORRT, (TENSORRT, CUDA), (CPU,), "no tensorrt, no cuda: no driver"),
    ],
)
def test_the_best_that_is_there_is_chosen(asked, absent, expected, reason):
    choice = choose(asked, dict.fromkeys(absent, NO_DRIVER))

    assert (choice.providers, choice.reason) == (expected, reason)


def test_a_provider_that_the_runtime_leaves_out_is_no_success():
    found = placement(choose(Provider.CUDA, {}), ["CPUExecutionProvider"])

    assert (found.asked, found.used) == ("cuda", "cpu")
    assert "did not take it" in found.reason


def test_what_was_taken_needs_no_reason():
    taken = ["CUDAExecutionProvider", "CPUExecutionProvider"]

    assert placement(choose(Provider.CUDA, {}), taken) == Placement("cuda", "cuda")


def test_convolutions_are_not_searched_for_anew_with_each_shape():
    (name, found), _ = options(choose(Provider.CUDA, {}), cache=None)

    assert (name, found) == ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})


def test_engines_of_tensorrt_are_kept_in_a_folder_of_their_model(tmp_path):
    cache = tmp_path / "engines" / "model"

    options(choose(Provider.CUDA, {}), cache=cache)
    assert not cache.exists()
    (_, found), *_ = options(choose(Provider.TENSORRT, {}), cache=cache)

    assert cache.is_dir()
    assert found["trt_engine_cache_enable"]
    assert found["trt_engine_cache_path"] == str(cache)


needs_plain_runtime = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this is onnxruntime-gpu; what it lacks depends on the machine",
)


@needs_plain_runtime
@pytest.mark.parametrize("asked", [Provider.AUTO, Provider.CUDA, Provider.TENSORRT])
def test_a_runtime_without_a_provider_names_the_package_that_has_it(scale_file, asked):
    found = onnx.load(scale_file, thread_count=1, where=Where(asked)).placement

    assert (found.asked, found.used) == (asked, "cpu")
    assert "install onnxruntime-gpu in its place" in found.reason


@needs_plain_runtime
def test_who_insists_on_a_provider_gets_it_or_an_error(scale_file):
    with pytest.raises(LoadError, match="cuda is asked for, and there is no cuda") as caught:
        onnx.load(scale_file, thread_count=1, where=Where(Provider.CUDA, is_strict=True))

    assert caught.value.is_permanent
    for asked in (Provider.AUTO, Provider.CPU):
        loaded = onnx.load(scale_file, thread_count=1, where=Where(asked, is_strict=True))
        assert loaded.placement.used == "cpu"


def test_every_provider_has_a_name_in_the_runtime():
    assert set(providers.NAMES) == set(Provider) - {Provider.AUTO}
    known = set(onnxruntime.get_all_providers())
    assert set(providers.NAMES.values()) <= known
