"""Which of ONNX Runtime's execution providers runs a model, and why not a better one.

ONNX Runtime itself falls back to the CPU with a line on standard error when a library or the driver
is missing. Here it is asked first, so that the reason can be told, or taken for the end.
"""

import contextlib
import ctypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnxruntime

from slipway_server.backends.placement import Placement, Provider

_ORDER: Final[Mapping[Provider, tuple[Provider, ...]]] = {
    Provider.AUTO: (Provider.CUDA, Provider.CPU),
    Provider.CPU: (Provider.CPU,),
    Provider.CUDA: (Provider.CUDA, Provider.CPU),
    # What it cannot run itself goes to CUDA, if it is there.
    Provider.TENSORRT: (Provider.TENSORRT, Provider.CUDA, Provider.CPU),
}
NAMES: Final[Mapping[Provider, str]] = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
_LIBRARIES: Final[Mapping[Provider, str]] = {
    Provider.CUDA: "libonnxruntime_providers_cuda.so",
    Provider.TENSORRT: "libonnxruntime_providers_tensorrt.so",
}
_SHARED: Final = "libonnxruntime_providers_shared.so"
_DRIVER: Final = "libcuda.so.1"


@dataclass(frozen=True, slots=True)
class Choice:
    """Providers in the order in which ONNX Runtime is to try them, and why not better ones."""

    asked: Provider
    providers: tuple[Provider, ...]
    reason: str

    @property
    def best(self) -> Provider:
        """What should run the model."""
        return self.providers[0]


def choose(asked: Provider, obstacles: Mapping[Provider, str]) -> Choice:
    """Take what is there; `obstacles` says of the others why they are not.

    >>> choose(Provider.CUDA, {Provider.CUDA: "no driver"}).providers
    (<Provider.CPU: 'cpu'>,)
    """
    order = _ORDER[asked]
    providers = tuple(each for each in order if each not in obstacles)
    missed: dict[str, list[str]] = {}
    for each in order[: order.index(providers[0])]:
        missed.setdefault(obstacles[each], []).append(f"no {each}")
    reasons = (f"{', '.join(those)}: {reason}" for reason, those in missed.items())
    return Choice(asked, providers, "; ".join(reasons))


def placement(choice: Choice, taken: Sequence[str]) -> Placement:
    """What runs the model: `taken` are the providers of the session that came of the choice."""
    used = next(each for each in (*choice.providers, Provider.CPU) if NAMES[each] in taken)
    reason = choice.reason
    if used is not choice.best:
        refused = f"no {choice.best}: ONNX Runtime did not take it for this model"
        reason = f"{reason}; {refused}" if reason else refused
    return Placement(str(choice.asked), str(used), reason)


def options(choice: Choice, *, cache: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """Providers as a session takes them; `cache` is a folder for engines of this one model."""
    found: dict[Provider, dict[str, Any]] = {
        Provider.CPU: {},
        # The default, EXHAUSTIVE, tries every algorithm again for every new shape: seconds each.
        Provider.CUDA: {"cudnn_conv_algo_search": "HEURISTIC"},
        Provider.TENSORRT: {},
    }
    if cache is not None and Provider.TENSORRT in choice.providers:
        cache.mkdir(parents=True, exist_ok=True)
        found[Provider.TENSORRT] = {
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(cache),
        }
    return [(NAMES[each], found[each]) for each in choice.providers]


def obstacles(asked: Provider) -> dict[Provider, str]:
    """Why providers that are asked for cannot run on this machine. Loads libraries."""
    found: dict[Provider, str] = {}
    for provider in _ORDER[asked]:
        if provider is not Provider.CPU:
            reason = _obstacle(provider)
            if reason:
                found[provider] = reason
    return found


def _obstacle(provider: Provider) -> str:
    if NAMES[provider] not in onnxruntime.get_available_providers():
        return "this is onnxruntime without it; install onnxruntime-gpu in its place"
    reason = _no_device()
    if reason:
        return reason
    # What it says on standard output would stand in the access log.
    with contextlib.redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()  # CUDA and cuDNN from Python packages, if they are there
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / _SHARED), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / _LIBRARIES[provider]))
    except OSError as err:
        return str(err)
    return ""


def _no_device() -> str:
    """Why there is no GPU; empty if there is one."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return f"no NVIDIA driver ({_DRIVER}) on this machine or in this container"
    count = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return f"the NVIDIA driver answers with error {code}"
    return "" if count.value else "the NVIDIA driver knows no GPU"
