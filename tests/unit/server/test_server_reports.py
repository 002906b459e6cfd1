"""What the server says about itself: metrics, access log, termination message."""

import json
import os
import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Reference

from slipway_api import last_words
from slipway_api.last_words import LastWords, LoadPhase
from slipway_server import termination
from slipway_server.attempts import AccessLog, Attempts
from slipway_server.core.errors import LoadError
from slipway_server.core.registry import Model
from slipway_server.core.tensors import InferenceResponse, Times
from slipway_server.histogram import Histogram
from slipway_server.metrics import BUCKETS_S, LABELS, Metrics

VALUES = {name: f"a-{name}" for name in LABELS[:-2]}


def test_attempts_are_counted_by_protocol_and_code():
    registry = CollectorRegistry()
    attempts = Attempts(Metrics(registry, VALUES), None)

    for code in ("200", "200", "500"):
        attempts.begin("rest", path="/p", request_id="").end(int(code), code)

    labels = {**VALUES, "model": "", "version": "", "protocol": "rest", "code": "200"}
    assert registry.get_sample_value("slipway_server_requests_total", labels) == 2
    assert registry.get_sample_value("slipway_server_request_seconds_count", labels) == 2


def test_a_request_that_fails_is_counted_for_the_model_that_it_names_if_that_is_ours():
    registry = CollectorRegistry()
    known = {("ours", None): ("ours", "3")}
    attempts = Attempts(
        Metrics(registry, VALUES), None, known=lambda name, version: known.get((name, version))
    )

    for name in ("ours", "theirs"):
        attempt = attempts.begin("rest", path="/p", request_id="")
        attempt.target = (name, None)
        attempt.end(400, "400")

    labels = {**VALUES, "protocol": "rest", "code": "400"}
    for model, version in (("ours", "3"), ("", "")):
        found = {**labels, "model": model, "version": version}
        assert registry.get_sample_value("slipway_server_requests_total", found) == 1
    assert b"theirs" not in generate_latest(registry)


def test_the_series_of_a_model_end_with_it():
    registry = CollectorRegistry()
    metrics = Metrics(registry, VALUES)
    for version in ("1", "2"):
        metrics.began("rest")
        metrics.ended("rest", code="200", model=("m", version), seconds=0.1)

    metrics.forget(Model("m", "1", backend=None))

    text = generate_latest(registry)
    assert (b'version="1"' in text, b'version="2"' in text) == (False, True)


def test_requests_in_flight_are_those_that_began_and_did_not_end():
    registry = CollectorRegistry()
    attempts = Attempts(Metrics(registry, VALUES), None)
    labels = {name: VALUES[name] for name in LABELS[:3]}

    begun = [attempts.begin("grpc", path="/p", request_id="") for _ in range(3)]
    begun[0].end(0, "OK")

    seen = registry.get_sample_value(
        "slipway_server_in_flight_requests", {**labels, "protocol": "grpc"}
    )
    assert seen == 2


def test_the_stages_of_a_request_fill_the_time_from_its_body_to_its_answer():
    registry = CollectorRegistry()
    attempt = Attempts(Metrics(registry, VALUES), None).begin("rest", path="/p", request_id="")
    now_ns = time.perf_counter_ns()
    attempt.decode_ns = now_ns - 10_000_000_000
    attempt.response = InferenceResponse(
        "other", "7", None, (), Times(*(now_ns - s * 1_000_000_000 for s in (9, 6, 1)))
    )

    attempt.end(499, "499")

    labels = {**VALUES, "model": "other", "version": "7", "protocol": "rest", "code": "499"}
    name = "slipway_server_stage_seconds_sum"
    seen = [
        registry.get_sample_value(name, {**labels, "stage": stage})
        for stage in ("decode", "queue", "compute", "encode")
    ]
    assert [1, 3, 5] == seen[:3]
    assert 1 <= seen[3] < 5


def test_a_request_that_did_not_come_to_an_answer_has_no_stages():
    registry = CollectorRegistry()

    Attempts(Metrics(registry, VALUES), None).begin("rest", path="/p", request_id="").end(400, "4")

    assert b"slipway_server_stage_seconds_count{" not in generate_latest(registry)


def test_a_histogram_counts_as_prometheus_clients_does():
    registry = CollectorRegistry()
    reference = Reference("reference", "r", buckets=BUCKETS_S, registry=registry)
    ours = Histogram(BUCKETS_S)

    for value in (0.0, 0.001, 0.0011, 0.3, 60.0, 61.0):
        reference.observe(value)
        ours.observe(value)

    expected = [
        (edge, registry.get_sample_value("reference_bucket", {"le": edge}))
        for edge, _ in ours.buckets()
    ]
    assert expected == ours.buckets()
    assert registry.get_sample_value("reference_sum") == ours.total


def test_gauges_are_read_when_scraped():
    registry = CollectorRegistry()
    waiting = [1]
    Metrics(registry, VALUES).watch("waiting", help_text="w", read=lambda: {("m", "1"): waiting[0]})
    waiting[0] = 7

    assert b"} 7.0" in generate_latest(registry)


def test_the_access_log_has_a_line_for_each_end_of_an_attempt():
    reader, writer = os.pipe()
    attempts = Attempts(Metrics(CollectorRegistry(), VALUES), AccessLog("r1", writer))

    attempt = attempts.begin("grpc", path="/p", request_id="q")
    begun = json.loads(os.read(reader, 4096))
    attempt.end(13, "INTERNAL")
    ended = json.loads(os.read(reader, 4096))

    expected = {"id": "q", "protocol": "grpc", "revision": "r1", "path": "/p"}
    assert expected | {"event": "begin", "at": begun["at"]} == begun
    assert (ended["event"], ended["status"]) == ("end", 13)
    assert 0 <= ended["seconds"] < 5


def test_the_termination_message_and_exit_code_tell_why(tmp_path, capsys):
    path = tmp_path / "log"

    wrong = LoadError("wrong digest", phase=LoadPhase.VERIFY)
    away = LoadError("no answer", is_permanent=False, phase=LoadPhase.FETCH)

    assert termination.report(wrong, path) == 78
    assert termination.report(away, path) == 75

    written = last_words.read(path.read_text())
    assert written == LastWords(LoadPhase.FETCH, is_permanent=False, cause="no answer")
    said = "slipway-server: phase verify failed, a retry does not help: wrong digest"
    assert said in capsys.readouterr().err


def test_a_termination_log_that_cannot_be_written_changes_nothing(tmp_path):
    assert termination.report(LoadError("wrong"), tmp_path / "none" / "log") == 78
