"""The suite against the real model server, and against servers that do not speak the protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bench.conformance import cli, peers, runner
from bench.conformance.models import NAMES, SIGNATURES, Kind
from bench.conformance.results import Outcome, Report
from bench.conformance.runner import Target, UnreachableError
from bench.conformance.suite import CASES

pytestmark = pytest.mark.contract

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the command wrote about our server."""
    file = tmp_path_factory.mktemp("report") / "report.json"
    cli.main(["--peer", "slipway", "--report", str(file)])
    return json.loads(file.read_text(encoding="utf-8"))


def test_nothing_fails_on_our_server_and_every_case_is_tried(report: Any) -> None:
    wrong = {
        case["name"]: case["detail"] for case in report["cases"] if case["outcome"] != "passed"
    }

    assert wrong == {}
    assert report["passed"] == len(report["cases"]) == len(CASES)
    assert (report["server"]["name"], report["server"]["extensions"]) == ("slipway", EXTENSIONS)


def test_every_model_is_tried_on_our_server(report: Any) -> None:
    assert set(report["models"]) == set(NAMES.values())
    assert all(counts["passed"] and not counts["failed"] for counts in report["models"].values())


def test_what_is_asked_of_other_models_can_be_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        peers.exported() as repository,
        peers.serving("slipway", Kind.IDENTITY, repository=repository, log=print) as target,
    ):
        code = cli.main([target.url, "--only", "identity", "--typed", "identity"])

    assert code == 0
    assert "left out by --only identity" in capsys.readouterr().out


@pytest.fixture
async def wrong_server() -> AsyncIterator[str]:
    """It has the model `simple`, and does nearly everything else another way."""
    signature = SIGNATURES[Kind.SIMPLE]

    async def server(_: web.Request) -> web.Response:
        return web.json_response({"name": "wrong", "version": 1, "extensions": []})

    async def model(_: web.Request) -> web.Response:
        fields = {
            "name": "simple",
            "platform": "none",
            "inputs": [spec.metadata for spec in signature.inputs],
            "outputs": [spec.metadata | {"datatype": "INT64"} for spec in signature.outputs],
        }
        return web.json_response(fields)

    async def infer(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
            shape = body["inputs"][0]["shape"]
            output = {"name": "OUTPUT0", "datatype": "INT32", "shape": shape, "data": [0] * 16}
            return web.json_response({"model_name": "simple", "id": None, "outputs": [output]})
        except (ValueError, KeyError, TypeError, IndexError) as err:
            return web.json_response({"detail": str(err)}, status=500)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    app = web.Application()
    app.router.add_get("/v2", server)
    app.router.add_get("/v2/models/simple", model)
    app.router.add_post("/v2/models/simple/infer", infer)
    app.router.add_post("/v2/repository/index", hang)
    served = web.AppRunner(app, shutdown_timeout=0.1)
    await served.setup()
    site = web.TCPSite(served, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{served.addresses[0][1]}"
    await served.cleanup()


def failures(report: Report) -> dict[str, str]:
    return {case.name: case.detail for case in report.cases if case.outcome is Outcome.FAILED}


async def test_a_wrong_server_fails_by_the_name_of_what_is_wrong(wrong_server: str) -> None:
    report = await runner.run(Target(wrong_server), CASES, case_s_max=2.0)

    found = failures(report)
    assert report.exit_code == 1
    assert "status 200, got 404" in found["the answer to live says so"]
    assert "string 'version'" in found["the server tells name, version and extensions"]
    assert "'INT64'" in found["the model simple is described as it is"]
    assert "values of OUTPUT0" in found["inputs in another order"]
    assert found["an id that was not given is not null"]
    assert "status 4xx, got 500" in found["an empty body"]
    assert "status 4xx, got 200" in found["an element beyond the datatype's range"]
    assert "JSON's content type" in found["an unknown model is told by an error"]
    assert found["the index for b''"] == "expected an answer within 2 s, got none"
    assert len(found) > len(report.cases) / 5
    assert report.count(Outcome.PASSED) > 0


async def test_a_server_without_any_of_the_models_fails(wrong_server: str) -> None:
    names = dict.fromkeys(Kind, "other")

    report = await runner.run(Target(wrong_server, names=names), CASES, case_s_max=2.0)

    assert "no model other" in failures(report)["the server has at least one of the models"]


async def test_an_address_where_nobody_listens_is_told(unused_tcp_port: int) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        await runner.run(Target(f"http://127.0.0.1:{unused_tcp_port}"), CASES)
