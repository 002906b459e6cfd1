"""Hostile requests over gRPC: each gets the code of a bad request, the next good one its answer."""

import contextlib
import socket
import struct

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.contract.server.conftest import DEADLINE_S, ServerProcess

pytestmark = pytest.mark.contract

SERVICE = "/inference.GRPCInferenceService/"
INFER = f"{SERVICE}ModelInfer"
MIB = 2**20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
TOO_MUCH = 0xB  # ENHANCE_YOUR_CALM (RFC 9113, section 7)


def message(*inputs: dict, raw: tuple[bytes, ...] = (), **more) -> bytes:
    found = service_pb2.ModelInferRequest(model_name="model", raw_input_contents=raw, **more)
    for fields in inputs:
        values = fields.pop("values", None)
        shared = fields.pop("shared", None)
        entry = found.inputs.add(**{"name": "x", "datatype": "FP32", "shape": [1, 1], **fields})
        if values is not None:
            entry.contents.fp32_contents.extend(values)
        if shared is not None:
            entry.parameters["shared_memory_region"].string_param = shared
    return found.SerializeToString()


def classes(count: int) -> bytes:
    found = service_pb2.ModelInferRequest.FromString(
        message({"shape": [1, 70_000]}, raw=(bytes(280_000),))
    )
    found.outputs.add(name="y").parameters["classification"].int64_param = count
    return found.SerializeToString()


GOOD = message({"values": [1]})
REFUSED = {
    "no message": (b"\xff\xff\xff", "not a message"),
    "half a message": (GOOD[:-3], "not a message"),
    "a name that is not UTF-8": (b"\x0a\x02\xff\xfe", "not a message"),
    "a group that nests forever": (b"\x0b" * 10_000, "not a message"),
    "empty raw contents": (message({}, raw=(b"",)), "needs 4 bytes, got 0"),
    "raw contents for another": (message({}, raw=(b"1234", b"5")), "2 entries for 1 inputs"),
    "raw contents of nothing": (message(raw=(b"",) * 100_000), "100000 entries for 0 inputs"),
    "contents and raw contents": (message({"values": [1]}, raw=(b"1234",)), "has contents"),
    "no contents": (message({}), "needs 1 elements, data has 0"),
    "more contents": (message({"values": [1] * 9}), "needs 1 elements, data has 9"),
    "a negative size": (message({"shape": [-1, -1], "values": [1]}), ">= 0"),
    "an absurd shape": (message({"shape": [2**62] * 4, "values": [1]}), "needs"),
    "an absurd shape, raw": (message({"shape": [2**62] * 4}, raw=(b"1234",)), "needs"),
    "10 000 dimensions": (message({"shape": [2**62] * 10_000}), "10000 dimensions"),
    "a name of a megabyte": (message({"name": "n" * MIB, "values": [1]}), "unknown input"),
    "a datatype of a megabyte": (message({"datatype": "ü" * MIB}), "unknown datatype"),
    "an input twice": (message({"values": [1]}, {"values": [1]}), "given twice"),
    "100 000 inputs": (message(*({} for _ in range(100_000))), "1024 are the most"),
    "a negative number of classes": (classes(-1), ">= 1"),
    "a million classes": (classes(10**6), "too many"),
}


@pytest.fixture(scope="module")
def server(identity_server):
    return identity_server


@pytest.fixture
def call(server: ServerProcess):
    """Send bytes to a path; the bytes of the answer, or an error."""
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.grpc_address, limits) as channel:

        def send(sent: bytes, path: str = INFER, **options) -> bytes:
            method = channel.unary_unary(path, lambda raw: raw, lambda raw: raw)
            return method(sent, timeout=DEADLINE_S, **options)

        yield send
        assert server.process.poll() is None, server.log.read_text()
        assert send(GOOD)


def refusal(call, sent: bytes, **options) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(sent, **options)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("name", REFUSED)
def test_each_message_of_the_corpus_is_an_invalid_argument(call, name):
    sent, words = REFUSED[name]

    code, details = refusal(call, sent)

    assert (code, words in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details


@pytest.mark.parametrize(
    "path",
    [
        f"{SERVICE}ModelMetadata",
        f"{SERVICE}ModelReady",
        f"{SERVICE}ModelStatistics",
        "/grpc.health.v1.Health/Check",
    ],
)
def test_what_is_no_message_is_an_invalid_argument_everywhere(call, path):
    assert refusal(call, b"\xff\xff", path=path)[0] is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "path",
    [
        INFER[1:],
        "/",
        "//",
        "*",
        f"{INFER}/",
        f"{INFER}?a=b",
        f"/{INFER}",
        INFER.replace("/Model", "//Model"),
        INFER.replace("Infer", "infer"),
        INFER.upper(),
        "/%69nference.GRPCInferenceService/ModelInfer",
        "/x/../inference.GRPCInferenceService/ModelInfer",
        f"{SERVICE}SystemSharedMemoryRegister",
        f"{SERVICE}CudaSharedMemoryRegister",
        f"{SERVICE}TraceSetting",
        "/" + "a" * 6000,
    ],
)
def test_a_path_that_is_not_exactly_a_method_is_no_method(call, path):
    assert refusal(call, GOOD, path=path)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_shared_memory_is_refused_and_not_passed_over(call):
    code, details = refusal(call, message({"values": [1], "shared": "region"}))

    assert (code, "no shared memory" in details) == (grpc.StatusCode.UNIMPLEMENTED, True)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_beyond_the_limit_is_refused_also_where_it_came_small(call, compression):
    large = message({"shape": [1, 20 * MIB]}, raw=(bytes(80 * MIB),))

    assert refusal(call, large, compression=compression)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_that_is_odd_is_no_matter(call):
    odd = [("x-request-id", "a" * 7000), ("x-request-id", "~ ~"), ("x-bin-bin", b"\xff\0")]

    assert call(GOOD, metadata=odd)


def frame(kind: int, payload: bytes = b"", *, flags: int = 0) -> bytes:
    """A frame of HTTP/2 (RFC 9113, section 4.1) on the connection itself."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + bytes(4) + payload


def frames(stream) -> list[tuple[int, bytes]]:
    """All frames until the other side closes."""
    found = []
    while len(head := stream.read(9)) == 9:
        found.append((head[3], stream.read(int.from_bytes(head[:3]))))
    return found


def test_streams_of_one_connection_are_bounded(server):
    with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=DEADLINE_S) as raw:
        raw.sendall(PREFACE + frame(SETTINGS))
        stream = raw.makefile("rb")
        head = stream.read(9)
        payload = stream.read(int.from_bytes(head[:3]))
    told = dict(struct.iter_unpack(">HI", payload))

    assert head[3] == SETTINGS
    assert told[3] == 1024  # SETTINGS_MAX_CONCURRENT_STREAMS


def test_a_connection_that_only_pings_is_sent_away(server, call):
    with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=DEADLINE_S) as raw:
        raw.sendall(PREFACE + frame(SETTINGS) + frame(PING, bytes(8)) * 20)
        found = frames(raw.makefile("rb"))

    (goodbye,) = [payload for kind, payload in found if kind == GOAWAY][-1:]
    assert int.from_bytes(goodbye[4:8]) == TOO_MUCH


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 1000,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        PREFACE + b"\xff" * 1000,
        PREFACE + frame(SETTINGS, b"123"),
        PREFACE + frame(SETTINGS) + frame(1, b"\xff" * 100, flags=4),
        PREFACE + frame(SETTINGS) + frame(9, b"\0" * 100) * 1000,
    ],
    ids=["zeros", "HTTP/1.1", "no frames", "half a setting", "bad headers", "continuations"],
)
def test_what_is_hardly_http_2_ends_its_own_connection(server, call, sent):
    with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=DEADLINE_S) as raw:
        raw.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            frames(raw.makefile("rb"))


def test_a_connection_too_many_is_closed_until_another_one_goes(start_server, models) -> None:
    server = start_server(models / "identity.onnx", connections_max=2).wait_until_ready()
    port = server.ports[1]
    first, second = connected(port), connected(port)

    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as third:
        assert third.recv(1) == b""
    with grpc.insecure_channel(server.grpc_address) as channel:
        first.close()
        live = channel.unary_unary(f"{SERVICE}ServerLive")
        assert live(b"", timeout=DEADLINE_S, wait_for_ready=True) == b"\x08\x01"
    second.close()


def connected(port: int) -> socket.socket:
    """A connection that the server has greeted, and that is idle from then on."""
    found = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    found.sendall(PREFACE + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
    assert found.recv(1)
    return found
