"""ONNX Runtime: the built-in engine. Knows no transport and no storage."""

import ctypes
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from slipway_server.backends import providers
from slipway_server.backends.placement import Placement, Provider, Where
from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.core.signature import DYNAMIC, Signature, TensorSpec
from slipway_server.core.tensors import DTYPES, Array, Datatype

_DATATYPES: Final[Mapping[str, Datatype]] = {
    "tensor(bool)": Datatype.BOOL,
    "tensor(int8)": Datatype.INT8,
    "tensor(int16)": Datatype.INT16,
    "tensor(int32)": Datatype.INT32,
    "tensor(int64)": Datatype.INT64,
    "tensor(uint8)": Datatype.UINT8,
    "tensor(uint16)": Datatype.UINT16,
    "tensor(uint32)": Datatype.UINT32,
    "tensor(uint64)": Datatype.UINT64,
    "tensor(float16)": Datatype.FP16,
    "tensor(bfloat16)": Datatype.BF16,
    "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64,
    "tensor(string)": Datatype.BYTES,
}
_ON_CPU: Final = Where()
_BFLOAT16: Final = 16  # its number in ONNX's TensorProto.DataType
_LOG_ONLY_FATAL: Final = 4  # ONNX Runtime's severities: what it raises, we report ourselves
# Of address space: pages are taken as they are written to, but for 3 % of bookkeeping.
_ARENA_BYTES: Final = 128 * 2**20


class OnnxBackend:
    """One session, shared by all worker threads (`run` is thread-safe and frees the GIL)."""

    platform: Final = "onnx_onnxv1"
    name: Final = "onnxruntime"

    def __init__(self, session: Any, signature: Signature, placement: Placement) -> None:
        self._session = session
        self.placement: Final = placement
        self.signature: Final = signature
        self._types = {s.name: s.datatype for s in (*signature.inputs, *signature.outputs)}
        # The runtime takes 16 bits without a numpy type one way, and strings another way only.
        self._has_bfloat16 = Datatype.BF16 in self._types.values()
        if self._has_bfloat16 and Datatype.BYTES in self._types.values():
            raise LoadError(
                "the model has inputs or outputs of BF16 beside strings, which ONNX Runtime's "
                "Python interface cannot carry; cast one of them inside the model"
            )

    def infer(self, feed: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
        """Run the session; see `Backend.infer`."""
        try:
            if self._has_bfloat16:
                return self._infer_bits(feed, outputs)
            arrays: Sequence[Array] = self._session.run(outputs, feed)
        except Exception as err:  # the runtime's errors have no common base
            raise ServingError(ErrorKind.INTERNAL, f"inference failed: {_line(err)}") from err
        return arrays

    def _infer_bits(self, feed: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The same where numpy lacks the type: its 16 bits go in and come out."""
        values = {name: self._value(name, array) for name, array in feed.items()}
        found = self._session.run_with_ort_values(list(outputs), values)
        return [self._array(name, value) for name, value in zip(outputs, found, strict=True)]

    def _value(self, name: str, array: Array) -> Any:
        if self._types[name] is Datatype.BF16:
            return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
                np.ascontiguousarray(array), _BFLOAT16
            )
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)

    def _array(self, name: str, value: Any) -> Array:
        if self._types[name] is not Datatype.BF16:
            array: Array = value.numpy()
            return array
        shape = tuple(value.shape())
        bits = (ctypes.c_uint16 * math.prod(shape)).from_address(value.data_ptr())
        # A copy, because the memory goes with the value.
        return np.frombuffer(bits, DTYPES[Datatype.BF16]).reshape(shape).copy()


def load(path: Path, *, thread_count: int, where: Where = _ON_CPU) -> OnnxBackend:
    """Read an ONNX file and external data beside it.

    Raises LoadError: not ONNX, a signature that the protocol cannot carry, or a provider that is
    not there and must be.
    """
    found = providers.obstacles(where.asked)
    while True:
        choice = providers.choose(where.asked, found)
        if where.is_strict:
            _insist(choice.asked, choice.best, choice.reason)
        try:
            chosen = providers.options(choice, cache=where.cache)
            session = _session(path, thread_count, chosen, is_on_cpu=choice.best is Provider.CPU)
            break
        except Exception as err:
            if choice.best is Provider.CPU:
                raise LoadError(
                    f"{path.name} is not an ONNX model that ONNX Runtime "
                    f"{onnxruntime.__version__} can load: {_line(err)}; export the model to ONNX "
                    "again"
                ) from err
            found[choice.best] = _line(err)
    placement = providers.placement(choice, session.get_providers())
    if where.is_strict:
        _insist(choice.asked, placement.used, placement.reason)
    return OnnxBackend(session, _signature(session), placement)


def _share_arena() -> None:
    """Give all sessions of the process one arena for activations, in one piece.

    By default it is made of pieces as large as batches were, and a larger one fits in none of them.
    """
    arena = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    onnxruntime.create_and_register_allocator(
        arena, onnxruntime.OrtArenaCfg({"initial_chunk_size_bytes": _ARENA_BYTES})
    )


_share_arena()  # the runtime takes one registration for each process


def _session(path: Path, thread_count: int, chosen: Any, *, is_on_cpu: bool) -> Any:
    options = onnxruntime.SessionOptions()
    # Set by hand, because the runtime would count the host's cores, not the container's.
    options.intra_op_num_threads = thread_count
    options.inter_op_num_threads = 1
    # A thread that spins while it waits takes its time from the others, where they share a quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _LOG_ONLY_FATAL
    if is_on_cpu:
        # A pattern keeps one block for each size of batch that ever came: twice the memory for
        # batches of images, and no time saved (docs/server-benchmarks.md).
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(
        str(path),
        sess_options=options,
        providers=chosen,
        enable_fallback=0,  # its own says nothing that we could pass on
    )


def _insist(asked: Provider, used: str, reason: str) -> None:
    if asked not in (Provider.AUTO, used):
        raise LoadError(
            f"the provider {asked} is asked for, and there is {reason}; "
            "SLIPWAY_SERVER_PROVIDER_FALLBACK=true would take the next best"
        )


def _signature(session: Any) -> Signature:
    return Signature(
        inputs=tuple(_spec(node) for node in session.get_inputs()),
        outputs=tuple(_spec(node) for node in session.get_outputs()),
    )


def _spec(node: Any) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        hint = "; export with zipmap=False" if node.type.startswith("seq(map(") else ""
        raise LoadError(
            f"'{node.name}' of the model is {node.type}, "
            f"which the Open Inference Protocol cannot carry{hint}"
        )
    # Symbolic dimensions are strings, unknown ones None.
    shape = tuple(size if isinstance(size, int) and size >= 0 else DYNAMIC for size in node.shape)
    return TensorSpec(node.name, datatype, shape)


def _line(err: Exception) -> str:
    """The runtime's message as one line: some span several."""
    return " ".join(str(err).split())
