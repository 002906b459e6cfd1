"""Triton's own Python clients, all four, against the running server: every datatype, both ways."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_client
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from tests.contract.server.conftest import TYPES, ServerProcess, start

pytestmark = pytest.mark.contract

VALUES = {
    "BOOL": np.array([True, False]),
    "BYTES": np.array(["ä", ""], dtype=np.object_),
    **{
        name: np.array([1, 2], dtype=dtype)
        for name, dtype in {
            "INT8": np.int8,
            "INT16": np.int16,
            "INT32": np.int32,
            "INT64": np.int64,
            "UINT8": np.uint8,
            "UINT16": np.uint16,
            "UINT32": np.uint32,
            "UINT64": np.uint64,
            "FP16": np.float16,
            "FP32": np.float32,
            "FP64": np.float64,
            "BF16": ml_dtypes.bfloat16,
        }.items()
    },
}
IN_JSON = [name for name in VALUES if name not in ("FP16", "BF16")]  # as their client has it
CLIENTS = (http_client, http_aio, grpc_client, grpc_aio)


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[ServerProcess]:
    made = start(folder / "server", model, environ={})
    made.find_ports()
    try:
        yield made.wait_until_ready()
    finally:
        made.process.kill()
        made.process.wait()


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(models / "typed.onnx", tmp_path_factory.mktemp("typed")) as made:
        yield made


@pytest.fixture(scope="module")
def bf16_server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(models / "typed_bf16.onnx", tmp_path_factory.mktemp("bf16")) as made:
        yield made


async def ask(server: ServerProcess, library, method: str, *arguments, **more):
    """Call a method of any of the four clients."""
    is_http = library in (http_client, http_aio)
    address = f"127.0.0.1:{server.ports[0]}" if is_http else server.grpc_address
    client = library.InferenceServerClient(address)
    try:
        found = getattr(client, method)(*arguments, **more)
        return await found if asyncio.iscoroutine(found) else found
    finally:
        closed = client.close()
        if asyncio.iscoroutine(closed):
            await closed


def inputs(library, *, binary: bool | None = None):
    """All inputs of the model that this way of sending can carry; one of each type."""
    made = []
    for name in TYPES:
        values = VALUES[name]
        one = library.InferInput(f"in_{name}", list(values.shape), name)
        if binary is None or name not in IN_JSON:
            one.set_data_from_numpy(values)
        else:
            one.set_data_from_numpy(values, binary_data=binary)
        made.append(one)
    return made


def decoded(array):
    return [v.decode() if isinstance(v, bytes) else v for v in array.ravel().tolist()]


@pytest.mark.parametrize(
    ("library", "binary"),
    [*((library, True) for library in CLIENTS), (http_client, False), (http_aio, False)],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
async def test_every_datatype_comes_back_as_it_went(server, library, binary) -> None:
    """Their gRPC clients send raw bytes only."""
    is_http = library in (http_client, http_aio)
    # No outputs asked for means that the client wants all as raw bytes.
    asked = None if binary else [
        library.InferRequestedOutput(f"out_{name}", binary_data=name not in IN_JSON)
        for name in TYPES
    ]  # fmt: skip

    result = await ask(
        server,
        library,
        "infer",
        "model",
        inputs(library, binary=binary if is_http else None),
        outputs=asked,
        request_id="7",
    )

    for name in TYPES:
        assert decoded(result.as_numpy(f"out_{name}")) == decoded(VALUES[name]), name


@pytest.mark.parametrize("library", CLIENTS, ids=lambda library: library.__name__)
async def test_bf16_comes_back_as_it_went(bf16_server, library) -> None:
    one = library.InferInput("in_BF16", [2], "BF16")
    one.set_data_from_numpy(VALUES["BF16"])

    result = await ask(bf16_server, library, "infer", "model", [one])

    assert decoded(result.as_numpy("out_BF16")) == [1, 2]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_bodies_may_be_compressed(server, coding) -> None:
    library = http_client
    result = await ask(
        server,
        library,
        "infer",
        "model",
        inputs(library),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )

    assert decoded(result.as_numpy("out_FP32")) == [1, 2]


@pytest.mark.parametrize("library", CLIENTS, ids=lambda library: library.__name__)
async def test_classes_instead_of_a_tensor(server, library) -> None:
    asked = [library.InferRequestedOutput("out_INT32", class_count=1)]

    result = await ask(server, library, "infer", "model", inputs(library), outputs=asked)

    assert decoded(result.as_numpy("out_INT32")) == ["2:1"]


@pytest.mark.parametrize("library", CLIENTS, ids=lambda library: library.__name__)
async def test_health_metadata_configuration_and_statistics(server, library) -> None:
    async def fields(method: str, *arguments):
        more = {} if library in (http_client, http_aio) else {"as_json": True}
        return await ask(server, library, method, *arguments, **more)

    assert await ask(server, library, "is_server_live")
    assert await ask(server, library, "is_server_ready")
    assert await ask(server, library, "is_model_ready", "model", "1.3.0")
    assert "binary_tensor_data" in (await fields("get_server_metadata"))["extensions"]
    assert (await fields("get_model_metadata", "model"))["name"] == "model"
    config = await fields("get_model_config", "model", "1.3.0")
    config = config.get("config", config)
    assert (config["backend"], len(config["input"])) == ("onnxruntime", len(TYPES))
    await ask(server, library, "infer", "model", inputs(library))
    (stats,) = (await fields("get_inference_statistics", "model"))["model_stats"]
    assert int(stats["inference_count"]) >= 2
    assert int(stats["inference_stats"]["compute_infer"]["ns"]) > 0
    index = await fields("get_model_repository_index")
    (entry,) = index if isinstance(index, list) else index["models"]
    assert (entry["name"], entry["version"], entry["state"]) == ("model", "1.3.0", "READY")


@pytest.mark.parametrize("library", CLIENTS, ids=lambda library: library.__name__)
async def test_a_refusal_reads_as_one(server, library) -> None:
    for method, arguments, words in (
        ("infer", ("model", inputs(library)[:1]), "missing input"),
        ("infer", ("other", inputs(library)), "no model 'other'"),
        ("get_model_config", ("other",), "no model 'other'"),
        ("get_inference_statistics", ("model", "9"), "no version '9'"),
    ):
        with pytest.raises(InferenceServerException, match=words):
            await ask(server, library, method, *arguments)
