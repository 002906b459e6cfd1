"""SIGTERM under load: not ready at once, no request lost, exit code 0."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.server.conftest import until

pytestmark = pytest.mark.contract

X = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}
BODY = json.dumps(
    {"inputs": [X, {"name": "passes", "datatype": "INT64", "shape": [], "data": [20_000]}]}
)


@dataclass
class Load:
    """Clients that behave as a router does: they stop once the server has been seen not ready."""

    server: object
    is_over: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    answered_after_term: int = 0
    lost: list[str] = field(default_factory=list)
    terminated_at: float = float("inf")

    def count(self, problem: str | None) -> None:
        if problem is not None:
            self.lost.append(problem)
        self.answered += 1
        self.answered_after_term += time.monotonic() > self.terminated_at

    def rest(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports[0], timeout=20)
        while not self.is_over.is_set():
            try:
                connection.request("POST", "/v2/models/model/infer", BODY)
                answer = connection.getresponse()
                answer.read()
                self.count(None if answer.status == 200 else f"REST {answer.status}")
            except (OSError, http.client.HTTPException) as err:
                self.count(f"REST {err!r}")
                connection.close()

    def rpc(self) -> None:
        request = service_pb2.ModelInferRequest(model_name="model")
        request.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
        request.inputs.add(
            name="passes", datatype="INT64", shape=[]
        ).contents.int64_contents.append(20_000)
        with grpc.insecure_channel(self.server.grpc_address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not self.is_over.is_set():
                try:
                    stub.ModelInfer(request, timeout=20)
                    self.count(None)
                except grpc.RpcError as err:
                    self.count(f"gRPC {err}")

    def watch(self) -> None:
        """Look at readiness ten times a second and stop the load 0.3 s after it went."""
        while self.server.is_ready():
            time.sleep(0.1)
        time.sleep(0.3)
        self.is_over.set()


def test_no_request_is_lost_when_the_server_is_told_to_end(start_server, models):
    server = start_server(models / "busy.onnx", grace_s=1.5).wait_until_ready()
    load = Load(server)
    threads = [
        threading.Thread(target=target)
        for target in (load.rest, load.rest, load.rest, load.rpc, load.rpc, load.watch)
    ]
    for thread in threads:
        thread.start()
    until(lambda: load.answered > 50, what="load runs")

    load.terminated_at = time.monotonic()
    server.terminate()
    exit_code = server.wait()
    ended_after_s = time.monotonic() - load.terminated_at
    for thread in threads:
        thread.join()

    assert exit_code == 0
    assert not load.lost
    assert load.answered_after_term > 5
    assert 1.5 <= ended_after_s < 10


def test_what_is_in_flight_when_the_grace_ends_is_finished(start_server, models):
    """With a grace of zero, every request is in flight or waits when the listeners close."""
    server = start_server(models / "busy.onnx", grace_s=0, concurrency=1).wait_until_ready()
    slow = BODY.replace("20000", "1000000")
    connections = []
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=30)
        connection.request("POST", "/v2/models/model/infer", slow)
        connections.append(connection)
    until(lambda: b"waiting_requests{" in server.call("/metrics").body, what="metrics answer")
    until(
        lambda: any(
            line.startswith(b"slipway_server_waiting_requests{") and line.endswith(b" 2.0")
            for line in server.call("/metrics").body.splitlines()
        ),
        what="two wait, one runs",
    )

    server.terminate()
    answers = [connection.getresponse() for connection in connections]
    statuses = [(answer.status, len(answer.read()) > 0) for answer in answers]

    assert statuses == [(200, True)] * 3
    assert server.wait() == 0


def test_readiness_goes_at_once_while_inference_goes_on(start_server, models):
    server = start_server(models / "identity.onnx", grace_s=3).wait_until_ready()
    connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=10)
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}

    server.terminate()
    until(lambda: not server.is_ready(), what="readiness goes", deadline_s=1.0)

    connection.request("POST", "/v2/models/model/infer", json.dumps({"inputs": [x]}))
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    answer.read()
    assert server.call("/v2/health/live").status == 200
    assert server.call("/v2/models/model/ready").status == 503
    assert server.wait() == 0
