"""What the server says about itself: metrics, access log, termination message."""

import json
import os

from prometheus_client import CollectorRegistry, generate_latest

from slipway_server import termination
from slipway_server.attempts import AccessLog, Attempts
from slipway_server.core.errors import LoadError
from slipway_server.metrics import LABELS, Metrics

VALUES = {name: f"a-{name}" for name in LABELS[:-2]}


def test_attempts_are_counted_by_protocol_and_code():
    registry = CollectorRegistry()
    attempts = Attempts(Metrics(registry, VALUES), None)

    for code in ("200", "200", "500"):
        attempts.begin("rest", path="/p", request_id="").end(int(code), code)

    labels = {**VALUES, "protocol": "rest", "code": "200"}
    assert registry.get_sample_value("slipway_server_requests_total", labels) == 2
    assert registry.get_sample_value("slipway_server_request_seconds_count", labels) == 2


def test_gauges_are_read_when_scraped():
    registry = CollectorRegistry()
    waiting = [1]
    Metrics(registry, VALUES).watch("waiting", help_text="w", read=lambda: waiting[0])
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

    assert termination.report(LoadError("wrong digest"), path) == 78
    assert termination.report(LoadError("no answer", is_permanent=False), path) == 75

    assert path.read_text() == "no answer"
    assert "slipway-server: wrong digest" in capsys.readouterr().err


def test_a_termination_log_that_cannot_be_written_changes_nothing(tmp_path):
    assert termination.report(LoadError("wrong"), tmp_path / "none" / "log") == 78
