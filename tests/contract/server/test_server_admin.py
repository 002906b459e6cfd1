"""Loading and unloading as Triton's clients do it: on the admin port, and nowhere else."""

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_client
import tritonclient.http.aio as http_aio
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException

from tests.contract.server.conftest import OPSETS, ServerProcess, StartServer, until

pytestmark = pytest.mark.contract

CLIENTS = (http_client, http_aio, grpc_client, grpc_aio)
CYCLES = 50
WEIGHTS_MIB = 16

every_client = pytest.mark.parametrize("library", CLIENTS, ids=lambda library: library.__name__)


async def ask(port: int, library, method: str, *arguments, **more) -> Any:
    """Call a method of any of the four clients."""
    client = library.InferenceServerClient(f"127.0.0.1:{port}")
    try:
        found = getattr(client, method)(*arguments, **more)
        return await found if asyncio.iscoroutine(found) else found
    finally:
        closed = client.close()
        if asyncio.iscoroutine(closed):
            await closed


async def index(port: int, library) -> list[tuple[str, str, str, str]]:
    found = await ask(port, library, "get_model_repository_index")
    entries = found if isinstance(found, list) else found.models
    fields = ("name", "version", "state", "reason")
    return [
        tuple(each.get(f, "") if isinstance(each, dict) else getattr(each, f) for f in fields)
        for each in entries
    ]


def infer(server: ServerProcess, name: str) -> Any:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    return server.call(f"/v2/models/{name}/infer", {"inputs": [x]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.fixture
def lay(root: Path, models: Path):
    def one(name: str, version: str = "1", *, content: bytes | None = None) -> None:
        folder = root / name / version
        folder.mkdir(parents=True, exist_ok=True)
        identity = (models / "identity.onnx").read_bytes()
        (folder / "model.onnx").write_bytes(identity if content is None else content)

    return one


@pytest.fixture
def server(start_server: StartServer, root: Path) -> ServerProcess:
    """A server of a repository that is empty when it starts."""
    made = start_server("", model_name="", model_repository=root, admin_port=0)
    return made.wait_until_ready()


@every_client
async def test_a_model_is_loaded_replaced_and_unloaded(server, lay, library) -> None:
    port = server.admin_port
    assert await index(port, library) == []
    lay("a")
    assert await index(port, library) == [("a", "", "UNAVAILABLE", "not loaded")]
    assert infer(server, "a").status == 404

    await ask(port, library, "load_model", "a")
    assert await index(port, library) == [("a", "1", "READY", "")]
    assert infer(server, "a").fields["model_version"] == "1"

    lay("a", "2")
    await ask(port, library, "load_model", "a")
    assert infer(server, "a").fields["model_version"] == "2"

    await ask(port, library, "unload_model", "a")
    assert infer(server, "a").status == 404
    assert await index(port, library) == [("a", "", "UNAVAILABLE", "unloaded")]
    assert 'model="a"' not in server.call("/metrics").body.decode()


@every_client
async def test_a_load_that_fails_says_why_and_the_old_one_serves_on(server, lay, library) -> None:
    lay("a")
    await ask(server.admin_port, library, "load_model", "a")
    lay("a", "2", content=b"no model")

    why = r"phase load failed, a retry does not help: model\.onnx is not an ONNX model"
    with pytest.raises(InferenceServerException, match=why):
        await ask(server.admin_port, library, "load_model", "a")

    assert infer(server, "a").fields["model_version"] == "1"
    assert server.is_ready()


async def test_each_answer_and_the_index_name_the_phase_that_failed(server, lay, root) -> None:
    lay("a")
    tensor = {"datatype": "FP32", "shape": [1, 1]}
    asked = {"inputs": [{"name": "x", "data": [1], **tensor}]}
    golden = {"request": asked, "response": {"outputs": [{"name": "y", "data": [2], **tensor}]}}
    (root / "a" / "1" / "expectations.json").write_text(json.dumps({"goldenRequests": [golden]}))

    for library in CLIENTS:
        with pytest.raises(InferenceServerException, match="phase golden failed, a retry does"):
            await ask(server.admin_port, library, "load_model", "a")
        ((*_, reason),) = await index(server.admin_port, library)
        assert reason.startswith("phase golden failed, a retry does not help: expectations.json")


@every_client
async def test_the_data_ports_say_where_it_is_to_be_had(server, lay, library) -> None:
    lay("a")
    is_http = library in (http_client, http_aio)
    port = server.ports[0 if is_http else 1]

    for method in ("load_model", "unload_model"):
        with pytest.raises(InferenceServerException, match="admin port only") as caught:
            await ask(port, library, method, "a")
        assert caught.value.status() in ("405", "StatusCode.UNIMPLEMENTED")

    assert await index(port, library) == []


@every_client
async def test_nothing_of_a_request_says_what_is_loaded(server, lay, library) -> None:
    lay("a")
    for more in ({"config": '{"backend": "python"}'}, {"files": {"file:1/model.onnx": b"x"}}):
        more.setdefault("config", "{}")
        with pytest.raises(InferenceServerException, match="not taken from requests"):
            await ask(server.admin_port, library, "load_model", "a", **more)

    for name in ("..", "../a", "a/1", "/etc/passwd", ".hidden"):
        for method in ("load_model", "unload_model"):
            with pytest.raises(InferenceServerException):
                await ask(server.admin_port, library, method, name)
    assert [each[2] for each in await index(server.admin_port, library)] == ["UNAVAILABLE"]


def test_the_admin_port_answers_what_the_data_ports_do_and_is_on_loopback(server) -> None:
    admin = ServerProcess(server.process, server.log, server.ledger, server.termination, "a")
    admin.ports = (server.admin_port, server.admin_port)

    assert admin.call("/v2/health/ready").fields == {"ready": True}
    refused = server.call("/v2/repository/models/a/load", {})
    assert (refused.status, refused.headers["allow"]) == (405, "")
    assert admin.call("/v2/repository/models/a/load", b"[]").status == 400
    assert admin.call("/v2/repository/models/a/load", b" " * 20_000).status == 413
    assert admin.call("/v2/repository/models/a/load", {}).status == 404


def test_an_admin_port_without_a_repository_is_a_wrong_setting(start_server, models) -> None:
    server = start_server(models / "identity.onnx", admin_port=0)

    assert server.wait() == 78
    assert "SLIPWAY_SERVER_MODEL_REPOSITORY is not set" in server.termination.read_text()


async def test_no_request_fails_while_a_model_is_replaced(server, lay) -> None:
    """Each of eight clients asks on and on, and each gets the old one or the new one."""
    lay("a")
    await ask(server.admin_port, http_client, "load_model", "a")
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def client() -> None:
        while not is_over.is_set():
            answer = infer(server, "a")
            answers.append((answer.status, answer.fields.get("model_version", "")))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        lay("a", str(number))
        await ask(server.admin_port, http_client, "load_model", "a")
        count = len(answers)
        until(lambda count=count: len(answers) >= count + 20, what="requests go on")
    is_over.set()
    for thread in threads:
        thread.join(30)

    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} >= {"10", "11"}


def large_model(seed: int) -> bytes:
    """`y` = `x` times weights of some MiB."""
    size = WEIGHTS_MIB * 2**20 // 4 // 2
    weights = np.random.default_rng(seed).random((2, size), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("ReduceMax", ["product"], ["y"], axes=[1]),
        ],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(weights, "w")],
    )
    made = helper.make_model(graph, opset_imports=OPSETS, ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def resident_mib(server: ServerProcess) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def test_memory_is_flat_over_cycles_of_load_and_unload(server, lay, root) -> None:
    lay("large", content=large_model(1))
    seen = []
    for cycle in range(CYCLES):
        if cycle % 2:
            shutil.rmtree(root / "large")
            lay("large", content=large_model(cycle))
        await ask(server.admin_port, http_client, "load_model", "large")
        assert infer(server, "large").status == 200
        await ask(server.admin_port, http_client, "unload_model", "large")
        seen.append(resident_mib(server))

    # An allocator may keep what one model had, once; a tenth of the models kept would be more.
    assert max(seen) < seen[0] + 5 * WEIGHTS_MIB, seen
