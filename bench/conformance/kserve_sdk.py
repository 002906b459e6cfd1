"""KServe's Python SDK against the server: its clients, in an environment of their own.

They cannot share a process with Triton's: both register the protocol's messages under one name.
"""

import json
import subprocess
from typing import Final

from bench.conformance.models import Kind
from bench.conformance.results import Outcome, Result, one_line
from bench.conformance.runner import Target
from sandbox import venvs
from sandbox.progress import Log

REQUIREMENTS: Final = "peer-kserve.txt"
GROUP: Final = "KServe's SDK"
_TIMEOUT_S: Final = 120.0
# Run by the other environment's Python: url, gRPC address (may be empty), name of `simple`.
_PROGRAM: Final = """
import asyncio, json, sys
import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient
from kserve.inference_client import RESTConfig

url, address, model = sys.argv[1:4]
ROWS = np.arange(32, dtype=np.int32).reshape(2, 16)

def request(binary):
    inputs = []
    for name in ("INPUT0", "INPUT1"):
        made = InferInput(name, [2, 16], "INT32")
        made.set_data_from_numpy(ROWS, binary_data=binary)
        inputs.append(made)
    return InferRequest(model, inputs, request_id="7")

def check(response):
    for output, wanted in (("OUTPUT0", ROWS + ROWS), ("OUTPUT1", ROWS - ROWS)):
        found = {each.name: each for each in response.outputs}[output].as_numpy()
        assert found.shape == (2, 16) and (found == wanted).all(), f"{output} is {found}"
    assert response.id == "7", f"the id is {response.id}"

async def rest(cases):
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", timeout=10))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", timeout=10))

    async def json_body():
        check(await v2.infer(url, request(False), model_name=model))

    async def binary_body():
        check(await v2.infer(url, request(True), model_name=model))

    async def predict():
        rows = [{"INPUT0": r.tolist(), "INPUT1": r.tolist()} for r in ROWS]
        found = await v1.infer(url, {"instances": rows}, model_name=model)
        got = np.array([row["OUTPUT0"] for row in found["predictions"]])
        assert (got == ROWS + ROWS).all(), f"predictions are {got}"

    async def health():
        assert await v2.is_server_ready(url) and await v2.is_server_live(url)
        assert await v2.is_model_ready(url, model)

    async def older_health():
        assert await v1.is_model_ready(url, model)

    for name, call in (
        ("InferenceRESTClient: V2 in JSON", json_body),
        ("InferenceRESTClient: V2 in binary", binary_body),
        ("InferenceRESTClient: V1 predict", predict),
        ("InferenceRESTClient: V2 health", health),
        ("InferenceRESTClient: V1 readiness", older_health),
    ):
        await cases(name, call)

async def rpc(cases):
    async with InferenceGRPCClient(address, timeout=10) as client:
        async def infer():
            check(await client.infer(request(True)))

        async def health():
            assert await client.is_server_ready() and await client.is_server_live()
            assert await client.is_model_ready(model)

        await cases("InferenceGRPCClient: infer", infer)
        await cases("InferenceGRPCClient: health", health)

async def main():
    found = []
    async def case(name, call):
        try:
            await asyncio.wait_for(call(), 10)
        except Exception as err:
            found.append((name, f"{type(err).__name__}: {err}"))
        else:
            found.append((name, ""))
    await rest(case)
    if address:
        await rpc(case)
    print("RESULTS " + json.dumps(found))

asyncio.run(main())
"""


def run(target: Target, *, log: Log) -> tuple[Result, ...]:
    """Try the clients on the model `simple`."""
    folder = venvs.ensure(REQUIREMENTS, why="KServe's SDK, which is tried", log=log)
    done = subprocess.run(
        [
            *(folder / "bin" / "python", "-c", _PROGRAM),
            *(target.url, target.grpc or "", target.names[Kind.SIMPLE]),
        ],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    if not lines:
        raise RuntimeError(f"KServe's SDK did not run to its end:\n{done.stderr[-2000:]}")
    found = json.loads(lines[0].removeprefix("RESULTS "))
    return tuple(
        Result(
            name,
            GROUP,
            Outcome.FAILED if problem else Outcome.PASSED,
            one_line(f"expected an answer, got {problem}" if problem else ""),
            "OIP, as KServe's SDK speaks it",
        )
        for name, problem in found
    )
