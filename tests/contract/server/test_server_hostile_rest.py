"""Hostile requests over REST: each is answered with a reason, and the next good one as always.

What is refused in a body is listed in `tests/samples/hostile_requests.py`; unit tests replay it
against the decoders alone.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.server.conftest import DEADLINE_S, ServerProcess
from tests.samples.hostile_requests import BODIES, INFER

pytestmark = pytest.mark.contract

FUZZ_S = int(os.environ.get("SLIPWAY_FUZZ_S", "30"))  # longer on purpose, as long as one likes
WARM_ROUNDS = 3  # after which nothing grew in 23 more
ROUNDS = 3
GROWTH_MIB_MAX = 8  # of ROUNDS times everything here; a round alone sends 60 MiB
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, -2.5]}
GOOD = json.dumps({"inputs": [X]}).encode()
POST = f"POST {INFER} HTTP/1.1\r\nHost: a\r\n".encode()
GET = b"GET /v2 HTTP/1.1\r\nHost: a\r\n"
END = b"Connection: close\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# What is sent, and with which statuses it may be answered; 0 is an end without a word.
RAW = {
    "two lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345", {400}),
    "one length twice": (POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\n1234", {400}),
    "a length and chunks": (
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks and a length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "a negative length": (POST + b"Content-Length: -4\r\n\r\n1234", {400}),
    "a signed length": (POST + b"Content-Length: +4\r\n\r\n1234", {400}),
    "a length in hexadecimal": (POST + b"Content-Length: 0x4\r\n\r\n1234", {400}),
    "a list of lengths": (POST + b"Content-Length: 4, 4\r\n\r\n1234", {400}),
    "a length of 64 bits": (POST + b"Content-Length: 18446744073709551615\r\n\r\n", {413}),
    "a length of 5000 digits": (POST + b"Content-Length: %b\r\n\r\n" % (b"9" * 5000), {400}),
    "a length beyond the limit": (POST + b"Content-Length: 67108865\r\n\r\n", {413}),
    "another coding of the transfer": (POST + b"Transfer-Encoding: gzip\r\n\r\n", {400}),
    "a coding that is almost chunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", {400}),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "a chunk of no size": (CHUNKED + b"ZZ\r\nabc\r\n0\r\n\r\n", {400}),
    "a chunk of negative size": (CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n", {400}),
    "a chunk beyond 64 bits": (CHUNKED + b"F" * 20 + b"\r\nabc\r\n0\r\n\r\n", {400}),
    "a chunk without its end": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", {400}),
    "chunks that hide a request": (
        CHUNKED + b"0\r\n\r\nGET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + END,
        {400},
    ),
    "a path beyond ASCII": (b"GET /v2/\xff\xfe HTTP/1.1\r\nHost: a\r\n" + END, {400, 404}),
    "an inference path beyond ASCII": (POST.replace(b"model/", b"m\xff/") + END, {400, 404}),
    "a path of escapes": (b"GET /v2/models/%ff%00%0a HTTP/1.1\r\nHost: a\r\n" + END, {404}),
    "an escaped slash": (b"GET /v2/models%2Fmodel HTTP/1.1\r\nHost: a\r\n" + END, {200, 404}),
    "a path upwards": (b"GET /v2/models/../../etc/passwd HTTP/1.1\r\nHost: a\r\n" + END, {404}),
    "a whole address": (b"GET http://a/nothing HTTP/1.1\r\nHost: b\r\n" + END, {404}),
    "a star": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + END, {404, 405}),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n" + END, {400, 405}),
    "an unknown method": (b"BREW /v2 HTTP/1.1\r\nHost: a\r\n" + END, {400}),
    "a host in half a bracket": (b"GET /nothing HTTP/1.1\r\nHost: [\r\n" + END, {404}),
    "HTTP/3 in letters": (b"GET /v2 HTTP/3.0\r\nHost: a\r\n" + END, {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, {400}),
    "gRPC": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "zeros": (b"\0" * 10_000, {400}),
    "a header without a name": (b"GET /v2 HTTP/1.1\r\n: a\r\n" + END, {400}),
    "a header that is folded": (GET + b"X: a\r\n b\r\n" + END, {400}),
    "a NUL in a header": (GET + b"X: a\0b\r\n" + END, {400}),
    "a space before a colon": (b"GET /v2 HTTP/1.1\r\nHost : a\r\n" + END, {400}),
    "lines that end alone": (b"GET /v2 HTTP/1.1\nHost: a\n\n", {400}),
    "a header of 100 KB": (GET + b"X: " + b"a" * 100_000 + b"\r\n" + END, {431}),
    "a path of 100 KB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n" + END, {431}),
    "1000 headers": (GET + b"X: a\r\n" * 1000 + END, {431}),
    "101 trailers": (CHUNKED + b"0\r\n" + b"X: a\r\n" * 101 + b"\r\n", {431}),
    "another protocol": (
        GET.replace(b"/v2", b"/none") + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        {404},
    ),
}


@pytest.fixture(scope="module")
def server(identity_server):
    return identity_server


@pytest.fixture(autouse=True)
def it_goes_on(server: ServerProcess):
    """After each: the process is the same, and a good request is answered."""
    yield
    assert server.process.poll() is None, server.log.read_text()
    assert server.call(INFER, GOOD).status == 200


def resident_mib(server: ServerProcess) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def say(server: ServerProcess, sent: bytes, *, wait_s: float = 5) -> tuple[int, bytes]:
    """The status and the body of the first answer, or 0; then the connection is left."""
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=wait_s) as connection:
        with contextlib.suppress(OSError):  # where it has answered already and reads no more
            connection.sendall(sent)
        stream = connection.makefile("rb")
        try:
            line = stream.readline()
            if not line:
                return 0, b""
            headers = {}
            while header := stream.readline().strip():
                name, _, value = header.partition(b":")
                headers[name.strip().lower()] = value.strip()
            return int(line.split()[1]), stream.read(int(headers[b"content-length"]))
        except OSError:
            return 0, b""


@pytest.mark.parametrize("case", BODIES, ids=[case.name for case in BODIES])
def test_each_body_of_the_corpus_is_refused_with_its_reason(server, case):
    answer = server.call(case.path, case.body, **case.headers)

    assert (answer.status, answer.fields.keys()) == (case.status, {"error"})
    assert case.words in answer.fields["error"]
    assert len(answer.body) < 8192


@pytest.mark.parametrize("name", RAW)
def test_what_is_hardly_http_is_answered_with_an_error_object_or_cut(server, name):
    sent, statuses = RAW[name]

    status, body = say(server, sent)

    assert status in statuses
    assert status == 200 or json.loads(body).keys() == {"error"}


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2", "/v2/models/model", "/metrics", "/none"]
)
def test_a_body_where_none_belongs_is_no_second_request(server, path):
    hidden = b"GET /v2/nothing-of-the-kind HTTP/1.1\r\nHost: a\r\n\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(hidden)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.ports[0]), timeout=DEADLINE_S) as raw:
        raw.sendall(head + hidden + GET + END)
        answers = b""
        while part := raw.recv(1 << 16):
            answers += part

    assert b"nothing-of-the-kind" not in answers
    assert answers.count(b"HTTP/1.1 ") == 2
    assert b'"name":"slipway"' in answers


def test_no_rows_of_an_absurd_size_are_no_work(start_server, models):
    """Asked first, as rows were tried beside such that could not be allocated."""
    fresh = start_server(models / "identity.onnx").wait_until_ready()
    absurd = {"name": "x", "datatype": "FP32", "shape": [0, 2**48], "data": []}

    assert fresh.infer(absurd).status == 200
    assert fresh.call(INFER, GOOD).status == 200


def test_a_slow_client_keeps_nobody_waiting(server):
    """Each sends a byte now and then; the limits of time are tested beside the listener."""
    slow = [socket.create_connection(("127.0.0.1", server.ports[0])) for _ in range(200)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(POST[: number % len(POST)] or b"P")

        assert server.call(INFER, GOOD).status == 200
    finally:
        for connection in slow:
            connection.close()


def test_memory_stays_flat_through_all_of_it(server):
    def round_of_everything() -> None:
        for case in BODIES:
            server.call(case.path, case.body, **case.headers)
        for sent, _ in RAW.values():
            say(server, sent)

    for _ in range(WARM_ROUNDS):
        round_of_everything()
    before_mib = resident_mib(server)
    for _ in range(ROUNDS):
        round_of_everything()
    grown_mib = resident_mib(server) - before_mib

    print(f"resident: {before_mib:.0f} MiB, grown by {grown_mib:.1f} MiB in {ROUNDS} rounds")
    assert grown_mib < GROWTH_MIB_MAX


def test_the_openapi_document_holds_for_whatever_it_allows_and_forbids(server, tmp_path):
    """schemathesis; data that fills its shape is more than a schema can ask for."""
    before_mib = resident_mib(server)

    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"http://127.0.0.1:{server.ports[0]}/openapi.json",
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--mode", "all", "--phases", "examples,coverage,fuzzing", "--no-color"),
            *("--max-time", str(FUZZ_S), "--continue-on-failure"),
        ],
        cwd=tmp_path,  # it leaves files where it runs
        capture_output=True,
        text=True,
        timeout=FUZZ_S + 60,
        check=False,
    )

    print(found.stdout[-2000:])
    assert found.returncode == 0, found.stdout + found.stderr
    assert resident_mib(server) - before_mib < 4 * GROWTH_MIB_MAX
