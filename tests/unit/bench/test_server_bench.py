"""The benchmark's pure parts: what the load says, and how rounds become rows."""

import json

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import service_pb2

from bench.server import grpc_load, load, models, peers, report
from bench.server.report import Cell, Reading
from slipway_server.rest import convert
from slipway_server.rpc import convert as rpc

NAIVE = Cell("naive", False, "iris", "json", 32)
OURS = Cell("slipway", True, "iris", "json", 32)


def reading(cell, turn, per_s, **more):
    fields = {"p50_ms": 3.0, "p99_ms": 9.0, "cpu_us": 100.0, "rss_mb": 90.0, "error_count": 0}
    return Reading(cell, turn, per_s, **{**fields, **more})


def test_what_the_load_printed_is_read():
    printed = "Running 3s test\nRESULT " + json.dumps(
        {"requests": 300, "us": 3_000_000, "p50": 1500.0, "p99": 9000.0, "errors": 2}
    )

    found = load.read(printed + "\n")

    assert (found.per_s, found.p50_ms, found.p99_ms, found.error_count) == (100.0, 1.5, 9.0, 2)


H2LOAD = """
requests: 300 total, 302 started, 300 done, 298 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 298 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 246.71KB (252627) total, 48.40KB (49560) headers (space savings 74.52%), 12.6KB ({}) data
"""
LINES = "".join(f"1795310565314453\t200\t{index * 1000}\n" for index in range(1, 101))


@pytest.mark.parametrize(("data", "answered"), [(298 * 44, 298), (250 * 44, 250)])
def test_calls_without_a_message_in_their_answer_failed(data, answered):
    """HTTP/2 knows nothing of a gRPC status: such an answer is a success to it."""
    found = grpc_load.read(H2LOAD.format(data), LINES, seconds=2, answer_bytes=44)

    assert (found.request_count, found.error_count) == (answered, 300 - answered)
    assert (found.per_s, found.p50_ms, found.p99_ms) == (answered / 2, 50.5, 99.01)


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
def test_every_server_is_asked_in_json_and_in_what_it_has(peer):
    assert peer.protocols[0] == "json"
    assert ("grpc" in peer.protocols) == peer.has_grpc
    assert ("binary" in peer.protocols) == peer.has_binary


def test_a_ratio_is_taken_inside_its_round_and_a_row_is_the_median():
    """The machine was half as fast in the last round: for both."""
    readings = [
        *(reading(NAIVE, turn, per_s) for turn, per_s in enumerate((1000, 1000, 500))),
        *(reading(OURS, turn, per_s) for turn, per_s in enumerate((4000, 3000, 2000))),
    ]

    naive, ours = report.rows(readings)

    assert (naive.rps_per_core, naive.ratio_to_naive) == (1000, 1.0)
    assert (ours.rps_per_core, ours.ratio_to_naive) == (3000, 4.0)


def test_without_the_naive_server_there_is_no_ratio():
    (row,) = report.rows([reading(OURS, 0, 4000)])

    assert row.ratio_to_naive is None
    assert "–" in report.table([row])


def test_what_something_costs_is_told_by_the_differences_of_rounds():
    readings = [
        *(reading(NAIVE, turn, 1, cpu_us=cpu_us) for turn, cpu_us in enumerate((100, 90, 200))),
        *(reading(OURS, turn, 1, cpu_us=cpu_us) for turn, cpu_us in enumerate((104, 92, 199))),
    ]

    assert report.costs(readings, base="naive") == [
        "iris: slipway takes +2.0 µs more for a request (-1.0 to +4.0)"
    ]


def test_errors_add_up_and_the_largest_memory_counts():
    readings = [reading(OURS, 0, 1, error_count=1), reading(OURS, 1, 1, error_count=2, rss_mb=99)]

    (row,) = report.rows(readings)

    assert (row.errors, row.rss_mb) == (3, 99)


@pytest.mark.parametrize("name", ["iris", "mlp"])
def test_all_ways_of_asking_say_the_same_and_the_model_takes_it(name, tmp_path):
    (sample,) = models.make(tmp_path, [name])
    session = onnxruntime.InferenceSession(str(sample.path))

    written, _ = convert.decode(sample.json_body, model_name="m", model_version=None)
    packed, wanted = convert.decode(
        sample.binary_body,
        model_name="m",
        model_version=None,
        header_length=sample.header_length,
    )
    called = rpc.decode(service_pb2.ModelInferRequest.FromString(grpc_load.request(sample)))
    (output,) = session.run(None, {models.INPUT: packed.inputs[0].array})

    assert wanted.is_binary
    assert np.array_equal(written.inputs[0].array, packed.inputs[0].array)
    assert np.array_equal(written.inputs[0].array, called.inputs[0].array)
    assert output.shape[0] == 1
