"""Hanging models, full queues, clients that leave: health and metrics go on."""

import http.client
import json
import threading

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.server.conftest import ENDLESS, until

pytestmark = pytest.mark.contract

BUSY_PATH = "/v2/models/model/infer"


def busy(passes: int) -> dict:
    x = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}
    count = {"name": "passes", "datatype": "INT64", "shape": [], "data": [passes]}
    return {"inputs": [x, count]}


def send(server, passes: int) -> http.client.HTTPConnection:
    """Send a request and do not wait for its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=20)
    connection.request("POST", BUSY_PATH, json.dumps(busy(passes)))
    return connection


def gauge(server, name: str) -> float:
    lines = server.call("/metrics").body.decode().splitlines()
    return float(
        next(line for line in lines if line.startswith(f"slipway_server_{name}{{")).split()[-1]
    )


@pytest.fixture
def server(start_server, models):
    return start_server(
        models / "busy.onnx", concurrency=1, queue_max=2, access_log="json", drain_s=1
    ).wait_until_ready()


def test_a_hanging_inference_blocks_neither_health_nor_metrics(server):
    hanging = send(server, ENDLESS)
    until(lambda: gauge(server, "running_requests") == 1, what="the inference runs")

    assert server.call("/v2/health/live").status == 200
    assert server.call("/v2/models/model/ready").status == 200
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=5).live
    hanging.close()


def test_requests_beyond_the_queue_are_shed_with_word_to_come_again(server):
    held = [send(server, ENDLESS)]
    until(lambda: gauge(server, "running_requests") == 1, what="the inference runs")
    held += [send(server, 0), send(server, 0)]
    until(lambda: gauge(server, "waiting_requests") == 2, what="the queue is full")

    shed = server.call(BUSY_PATH, busy(0))
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = service_pb2.ModelInferRequest(model_name="model")
        request.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
        request.inputs.add(
            name="passes", datatype="INT64", shape=[]
        ).contents.int64_contents.append(0)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=5)

    assert (shed.status, shed.headers["retry-after"]) == (503, "1")
    assert "try again later" in shed.fields["error"]
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Trailers only: with headers sent, a router could no longer try another pod.
    assert not caught.value.initial_metadata()
    assert dict(caught.value.trailing_metadata())["x-slipway-revision"] == "r1"
    for connection in held:
        connection.close()


def test_clients_that_leave_make_room_in_the_queue(server):
    """Else a hang whose callers time out would soon look like a server under load."""
    hanging = send(server, ENDLESS)
    until(lambda: gauge(server, "running_requests") == 1, what="the inference runs")
    waiting = [send(server, 0), send(server, 0)]
    until(lambda: gauge(server, "waiting_requests") == 2, what="the queue is full")

    for connection in waiting:
        connection.close()
    until(lambda: gauge(server, "waiting_requests") == 0, what="the queue is empty")
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = service_pb2.ModelInferRequest(model_name="model")
        request.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
        request.inputs.add(
            name="passes", datatype="INT64", shape=[]
        ).contents.int64_contents.append(0)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=0.5)
    until(lambda: gauge(server, "waiting_requests") == 0, what="the queue is empty again")

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: server.ledger.read_text().count('"end"') == 3, what="three ends are logged")
    lines = [json.loads(line) for line in server.ledger.read_text().splitlines()]
    assert [line["status"] for line in lines if line["event"] == "end"] == [499, 499, 1]
    hanging.close()


def test_a_hanging_inference_does_not_hold_the_end_beyond_the_drain(server):
    hanging = send(server, ENDLESS)
    until(lambda: gauge(server, "running_requests") == 1, what="the inference runs")

    server.terminate()

    assert server.wait() == 0
    hanging.close()


def test_many_at_once_get_each_their_own_answer(start_server, models):
    server = start_server(models / "identity.onnx", concurrency=4).wait_until_ready()
    wrong: list[object] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.ports[0], timeout=20)
        for turn in range(30):
            value = number * 1000 + turn
            x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [value]}
            connection.request("POST", BUSY_PATH, json.dumps({"inputs": [x]}))
            fields = json.loads(connection.getresponse().read())
            if fields.get("outputs", [{}])[0].get("data") != [value]:
                wrong.append(fields)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
