"""One port for both protocols: what a client without a router finds."""

import http.client
import json
import socket

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

pytestmark = pytest.mark.contract

VALUES = np.array([[1, -2.5]], np.float32)
INPUTS = [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, -2.5]}]


def ask_rest(connection: http.client.HTTPConnection) -> int:
    body = json.dumps({"inputs": INPUTS})
    connection.request("POST", "/v2/models/model/infer", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def ask_rpc(channel: grpc.Channel) -> list[float]:
    request = service_pb2.ModelInferRequest(model_name="model")
    entry = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    entry.contents.fp32_contents.extend(VALUES.ravel().tolist())
    response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    return np.frombuffer(response.raw_output_contents[0], np.float32).tolist()


def test_rest_and_grpc_are_answered_on_the_same_port_over_kept_connections(identity_server):
    port = identity_server.either_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            assert ask_rest(connection) == 200
            assert ask_rpc(channel) == [1, -2.5]
    connection.close()


def test_a_large_body_passes_in_both_directions(identity_server):
    count = 300_000
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, count], "data": [0.5] * count}]
    connection = http.client.HTTPConnection("127.0.0.1", identity_server.either_port, timeout=30)
    connection.request("POST", "/v2/models/model/infer", json.dumps({"inputs": inputs}))

    answer = json.loads(connection.getresponse().read())

    assert answer["outputs"][0]["data"] == [0.5] * count
    connection.close()


def test_a_client_that_leaves_without_a_word_leaves_nothing_behind(identity_server):
    with socket.create_connection(("127.0.0.1", identity_server.either_port)) as idle:
        idle.sendall(b"PO")

    connection = http.client.HTTPConnection("127.0.0.1", identity_server.either_port, timeout=10)
    assert ask_rest(connection) == 200
    connection.close()


def test_a_stopping_server_lets_go_of_joined_connections(start_server, models):
    server = start_server(models / "identity.onnx").wait_until_ready()
    connection = http.client.HTTPConnection("127.0.0.1", server.either_port, timeout=10)
    with grpc.insecure_channel(f"127.0.0.1:{server.either_port}") as channel:
        assert ask_rest(connection) == 200
        assert ask_rpc(channel) == [1, -2.5]

        server.terminate()

        assert server.wait() == 0
