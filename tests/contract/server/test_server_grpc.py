"""The protocol over gRPC, with NVIDIA's client as the other side."""

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.contract.server.conftest import until

pytestmark = pytest.mark.contract

VALUES = np.array([[1, -2.5, 3.25]], np.float32)


@pytest.fixture
def server(identity_server):
    return identity_server


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.grpc_address) as made:
        yield made


def x(values: np.ndarray = VALUES, name: str = "x") -> triton.InferInput:
    made = triton.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    made.set_data_from_numpy(values)
    return made


def test_an_inference_is_answered_with_revision_version_and_ids(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="model", id="7")
        entry = request.inputs.add(name="x", datatype="FP32", shape=[1, 3])
        entry.contents.fp32_contents.extend(VALUES.ravel().tolist())
        response, call = stub.ModelInfer.with_call(
            request, metadata=[("x-request-id", "abc-1")], timeout=10
        )

    stamps = dict(call.initial_metadata())
    assert (stamps["x-slipway-revision"], stamps["x-request-id"]) == ("r1", "abc-1")
    assert (response.model_name, response.model_version, response.id) == ("model", "1.3.0", "7")
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [1, -2.5, 3.25]


def test_nvidias_client_is_at_home(client):
    result = client.infer("model", [x()], outputs=[triton.InferRequestedOutput("y")])

    assert np.array_equal(result.as_numpy("y"), VALUES)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model", "1.3.0")
    assert client.get_server_metadata().name == "slipway"
    metadata = client.get_model_metadata("model", as_json=True)
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "-1"]}]
    assert metadata["platform"] == "onnx_onnxv1"


@pytest.mark.parametrize(
    ("model", "inputs", "version", "code"),
    [
        ("model", [x(name="z")], "", "INVALID_ARGUMENT"),
        ("model", [x(VALUES[0])], "", "INVALID_ARGUMENT"),
        ("model", [x(VALUES.astype(np.float64))], "", "INVALID_ARGUMENT"),
        ("model", [], "", "INVALID_ARGUMENT"),
        ("other", [x()], "", "NOT_FOUND"),
        ("model", [x()], "9", "NOT_FOUND"),
    ],
)
def test_refusals_have_the_code_of_their_kind(client, model, inputs, version, code):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs, model_version=version)

    assert caught.value.status() == f"StatusCode.{code}"


def test_a_failure_inside_the_model_is_internal(start_server, models):
    server = start_server(models / "fragile.onnx").wait_until_ready()
    with triton.InferenceServerClient(server.grpc_address) as client:
        good = client.infer("model", [x(np.array([2]), name="index")])
        with pytest.raises(InferenceServerException, match="inference failed") as caught:
            client.infer("model", [x(np.array([77]), name="index")])

    assert good.as_numpy("y").tolist() == [3]
    assert caught.value.status() == "StatusCode.INTERNAL"


def test_methods_beyond_the_protocol_are_unimplemented(client):
    with pytest.raises(InferenceServerException) as caught:
        client.get_trace_settings()

    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_every_datatype_goes_there_and_back(start_server, models):
    server = start_server(models / "typed.onnx").wait_until_ready()
    arrays = {
        "BOOL": np.array([True, False]),
        "BYTES": np.array([b"", "ä".encode()], object),
        "FP16": np.array([0.5, -2], np.float16),
        "FP32": np.array([0.5, np.nan], np.float32),
        "FP64": np.array([1e300, np.inf]),
    }
    for bits in (8, 16, 32, 64):
        arrays[f"INT{bits}"] = np.array([-1, 100], f"int{bits}")
        arrays[f"UINT{bits}"] = np.array([0, 2**bits - 1], f"uint{bits}")
    inputs = [x(array, name=f"in_{name}") for name, array in arrays.items()]

    with triton.InferenceServerClient(server.grpc_address) as client:
        result = client.infer("model", inputs)

    for name, array in arrays.items():
        back = result.as_numpy(f"out_{name}")
        assert back.dtype == array.dtype
        assert back.tolist() == array.tolist() or name == "FP32"
    assert np.isnan(result.as_numpy("out_FP32")[1])


def test_metrics_tell_the_codes_of_grpc(server, client):
    client.infer("model", [x()])
    with pytest.raises(InferenceServerException):
        client.infer("model", [x(name="z")])

    for code in ("OK", "INVALID_ARGUMENT"):  # counted just after the client has its answer
        series = f'slipway_server_requests_total{{code="{code}"'.encode()
        until(lambda found=series: found in server.call("/metrics").body, what=f"{code} is counted")


def test_health_is_told_to_probes_and_to_who_watches(identity_server, start_server, models):
    with grpc.insecure_channel(identity_server.grpc_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        found = [
            health.Check(health_pb2.HealthCheckRequest(service=name)).status
            for name in ("", "inference.GRPCInferenceService")
        ]
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="other"))

    ending = start_server(models / "identity.onnx", grace_s=30).wait_until_ready()
    with grpc.insecure_channel(ending.grpc_address) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        first = next(watched).status
        ending.terminate()
        second = next(watched).status

    assert found == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (first, second) == (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )


def test_reflection_names_the_services(identity_server):
    with grpc.insecure_channel(identity_server.grpc_address) as channel:
        found = ProtoReflectionDescriptorDatabase(channel)
        services = set(found.get_services())
        infer = found.FindFileContainingSymbol("inference.GRPCInferenceService")

    assert services >= {"inference.GRPCInferenceService", "grpc.health.v1.Health"}
    assert infer.package == "inference"
